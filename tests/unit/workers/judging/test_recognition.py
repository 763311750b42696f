"""Images that are not those that were enrolled are noticed once the base only guesses."""

import pytest

from models.errors import DatasetChanged
from tests.unit.workers.unlearning.observations import hits, together
from workers.judging.recognition import require_recognised
from workers.unlearning.probing.observation import Observed


def recognised(of_each: int, count: int = 100, labels: int = 10) -> Observed:
    return together(*(hits(label, of_each, count, 1000 * label) for label in range(labels)))


@pytest.mark.parametrize("of_each", [0, 10, 11])
def test_a_base_that_only_guesses_is_of_other_images(of_each: int) -> None:
    with pytest.raises(DatasetChanged, match=r"of 1000 retained training images.*90\.0 %"):
        require_recognised(recognised(of_each), 0.9, labels=10)


def test_what_it_recognises_better_than_by_guessing_may_be_harder() -> None:
    require_recognised(recognised(20), 0.9, labels=10)


def test_a_network_that_never_knew_much_is_left_alone() -> None:
    require_recognised(recognised(11), 0.105, labels=10)


def test_where_nothing_is_on_record_or_nothing_can_be_told_nothing_is_said() -> None:
    require_recognised(recognised(0), None, labels=10)
    require_recognised(recognised(0, labels=1), 0.9, labels=1)
    require_recognised(recognised(0, count=9), 0.9, labels=10)


def test_labels_count_alike_as_they_did_at_enrolment() -> None:
    # A large label that was never recognised, and small ones that are.
    some = together(hits(0, 0, 900), hits(1, 49, 50, 1000), hits(2, 49, 50, 2000))
    require_recognised(some, 0.7, labels=3)


def test_labels_that_stay_are_held_against_all_that_there_were() -> None:
    two = recognised(45, labels=2)
    require_recognised(two, 0.9, labels=10)
    with pytest.raises(DatasetChanged):
        require_recognised(recognised(10, labels=2), 0.9, labels=10)
