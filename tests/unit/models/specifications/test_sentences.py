"""What is wrong with a declaration is said in words, and what was given is not repeated."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.specifications import Policy, Preprocessing, Specification
from models.specifications.sentences import MOST, sentences


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (
            Policy,
            {"method": {"max_candidates": 3}},
            "method: name the kind as well ('method'): it is replaced whole",
        ),
        (Policy, {"gate": {"unheard_of": 1}}, "gate.unheard_of: there is no such field"),
        (Policy, {"gate": {"min_probe": True}}, "gate.min_probe: Input should be a valid integer"),
        (Policy, {"gate": {"max_retained_fall": "0.1"}}, "Input should be a valid number"),
        (Preprocessing, {"size": 8, "mean": [0]}, "std: Field required"),
        (
            Preprocessing,
            {"size": 8, "mean": [0, 0], "std": [1]},
            "mean needs one number, or one for each channel",
        ),
    ],
)
def test_what_is_wrong_is_said_field_by_field(
    kind: type[Specification], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(given)
    assert said in sentences(caught.value)


def test_what_was_given_is_not_repeated_and_no_more_than_a_few_are_named() -> None:
    given = {f"field{number}": "secret" for number in range(100)}
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate(given)
    found = sentences(caught.value)
    assert "secret" not in found
    assert found.count(";") == MOST - 1
