"""Requests as they came, as long as they fit."""

import time
import uuid

from models.specifications import Gate
from workers.transactions.fitting import too_much

GATE = Gate(max_forgotten_share=0.5)


def requests(*wanted: set[str]) -> dict[uuid.UUID, set[str]]:
    return {uuid.UUID(int=number): samples for number, samples in enumerate(wanted)}


def refused(found: dict[uuid.UUID, set[str]], **counts: int) -> list[tuple[int, set[str]]]:
    return [(request.int, set(new)) for request, new, _ in too_much(found, GATE, **counts)]


def test_what_does_not_fit_is_left_out_and_what_comes_later_may_fit() -> None:
    found = requests({"a", "b"}, {"b", "c", "d", "e"}, {"a", "f"})
    assert refused(found, forgotten=2, total=10) == [(1, {"c", "d", "e"})]
    assert refused(found, forgotten=3, total=10) == [(1, {"c", "d", "e"}), (2, {"f"})]
    assert refused(found, forgotten=0, total=12) == []


def test_what_an_earlier_request_has_asked_for_counts_once() -> None:
    assert refused(requests({"a"}, {"a"}, {"a", "b"}), forgotten=0, total=4) == []


def test_a_hundred_thousand_requests_of_one_sample_each_take_no_longer_than_one_of_them_all() -> (
    None
):
    samples = [f"sample-{number}" for number in range(100_000)]
    each = requests(*({sample} for sample in samples))
    started = time.process_time()
    assert refused(each, forgotten=0, total=1_000_000) == []
    # With a look at all that was taken before for each of them it is minutes.
    assert time.process_time() - started < 10
