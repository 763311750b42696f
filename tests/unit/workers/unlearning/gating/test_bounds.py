"""Bounds: nothing of a policy's gate is lost or mixed up."""

from models import specifications
from workers.unlearning.gating.bounds import Bounds


def test_bounds_are_those_of_the_policy() -> None:
    policy = specifications.Gate(
        max_retained_fall=0.1,
        max_class_fall=0.2,
        max_holdout_fall=0.3,
        max_membership=0.4,
        max_excess=0.6,
        min_probe=5,
    )
    assert Bounds.of(policy) == Bounds(0.1, 0.2, 0.3, 0.4, 0.6, 5)
