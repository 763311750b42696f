"""The upper bound of what may still be forgotten: never too low, seldom counted."""

import time
import uuid

import pytest

from app.intake.allowances import SOON_S, Allowances
from app.intake.posted import Active
from models.errors import ForgetsTooMuch, NothingRetained, TooBusy
from models.records import RegisteredModel
from models.specifications import Policy

MODEL_ID = uuid.UUID(int=1)
ACTIVE = Active(MODEL_ID, "faces", 1)
TOTAL = 1000


@pytest.fixture
def model() -> RegisteredModel:
    return RegisteredModel(
        id=MODEL_ID,
        policy=Policy().model_dump(mode="json", by_alias=True),
        policy_version=1,
        label_counts={"train": {"0": TOTAL}, "holdout": {}},
    )


@pytest.fixture
def allowances(model: RegisteredModel) -> Allowances:
    """Half of a thousand are allowed by default, and a hundred of them are gone."""
    made = Allowances()
    made.learn(model, 100, 0)
    return made


def request(allowances: Allowances, count: int, *, kept: int) -> bool:
    with allowances.reserving() as reserved:
        name = uuid.uuid4()
        taken = reserved.take(name, ACTIVE, count)
        if taken:
            reserved.keep(name, kept)
    return taken


def test_nothing_is_certain_before_it_was_counted() -> None:
    assert not request(Allowances(), 1, kept=1)


def test_what_is_accepted_counts_until_the_bound_does_not_suffice(allowances: Allowances) -> None:
    assert all(request(allowances, 100, kept=100) for _ in range(4))
    assert not request(allowances, 1, kept=1)


def test_what_is_not_kept_is_given_back(allowances: Allowances) -> None:
    assert all(request(allowances, 400, kept=0) for _ in range(10))
    assert all(request(allowances, 100, kept=10) for _ in range(30))
    assert not request(allowances, 101, kept=0)


def test_a_transaction_that_fails_gives_everything_back(allowances: Allowances) -> None:
    def fail() -> None:
        with allowances.reserving() as reserved:
            assert reserved.take(uuid.uuid4(), ACTIVE, 400)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert request(allowances, 400, kept=400)


def test_what_is_under_way_while_somebody_counts_is_still_counted(
    allowances: Allowances, model: RegisteredModel
) -> None:
    assert request(allowances, 50, kept=50)
    with allowances.reserving() as reserved:
        name = uuid.uuid4()
        assert reserved.take(name, ACTIVE, 300)
        before = allowances.ended(MODEL_ID)
        # The count has seen the fifty that had ended, and not these.
        allowances.learn(model, 150, before)
        reserved.keep(name, 300)
    assert not request(allowances, 51, kept=0)
    assert request(allowances, 50, kept=50)


def test_one_request_counts_before_all_would_have_to(
    allowances: Allowances, model: RegisteredModel
) -> None:
    now = time.monotonic()
    allowances.clock = lambda: now
    assert request(allowances, 300, kept=300)
    assert request(allowances, 1, kept=1)
    now += SOON_S + 1
    assert [request(allowances, 1, kept=1) for _ in range(5)] == [False, True, True, True, True]
    with allowances.reserving() as reserved:
        assert not reserved.take(uuid.uuid4(), ACTIVE, 1, counting=True)
        allowances.learn(model, 150, allowances.ended(MODEL_ID))
        assert reserved.take(uuid.uuid4(), ACTIVE, 1, counting=True)
    assert request(allowances, 1, kept=1)


def test_nobody_waits_for_a_count_that_does_not_end(allowances: Allowances) -> None:
    allowances.patience_s = 0.01
    another = allowances.counting()
    with allowances.counting(), pytest.raises(TooBusy, match="Nothing was changed"):
        another.__enter__()
    with allowances.counting():
        assert allowances.ended(MODEL_ID) == 0


def test_another_policy_is_counted_for_anew(allowances: Allowances) -> None:
    with allowances.reserving() as reserved:
        assert not reserved.take(uuid.uuid4(), Active(MODEL_ID, "faces", 2), 1)


def test_too_many_are_refused_when_they_are_counted(
    allowances: Allowances, model: RegisteredModel
) -> None:
    allowances.learn(model, 500, 0)
    with pytest.raises(ForgetsTooMuch):
        allowances.learn(model, 501, 0)
    with pytest.raises(NothingRetained):
        allowances.learn(model, TOTAL, 0)
