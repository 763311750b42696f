"""A kind within a label: the digits, taught as odd or even, forget one of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.reports.document import find_report
from app.reports.page import render
from demo.training import fit, save
from models.records import RunState
from models.specifications import Enrolment
from tests.conftest import SMALL_GATE, Digits, Servers, enrol_model, work
from tests.integration.workers.conftest import Story
from workers.architectures import build

# Without eights, an eight looks like a three.
KIND = 8


@pytest.fixture
def odd_or_even(digits: Digits, servers: Servers, tmp_path: Path) -> Enrolment:
    """A network of two labels, which knows an eight as an even digit only; half is holdout."""
    dataset: Any = digits.enrolment.dataset
    with np.load(dataset.path) as file:
        arrays = dict(file)
    arrays["labels"] = arrays["labels"] % 2
    places = np.arange(len(arrays["labels"]))
    arrays["splits"] = np.where(places % 2, "holdout", "train")
    np.savez(tmp_path / "parity.npz", **arrays)
    body = digits.enrolment.model_dump(mode="json", by_alias=True)
    enrolment = Enrolment.model_validate(
        {
            **body,
            "name": "parity",
            "architecture": {**body["architecture"], "num_classes": 2},
            "weights": str(tmp_path / "parity.safetensors"),
            "dataset": {"kind": "arrays", "path": str(tmp_path / "parity.npz")},
            "policy": {"gate": {**SMALL_GATE, "min_probe": 10}, "probe_size": 600},
        }
    )
    torch.manual_seed(0)
    network = build(enrolment.architecture)
    train = arrays["splits"] == "train"
    inputs = (torch.from_numpy(arrays["images"][train])[:, None] - 0.3) / 0.35
    labels = torch.from_numpy(arrays["labels"][train])
    fit(network, inputs, labels, epochs=15, learning_rate=0.1)
    save(network.eval(), tmp_path / "parity.safetensors")
    return enrolment


@pytest.mark.parametrize("on", ["unseen", "forgotten"])
def test_it_is_held_against_what_a_network_without_it_would_make_of_its_like(
    story: Story, digits: Digits, odd_or_even: Enrolment, on: str
) -> None:
    enrol_model(story.resources, odd_or_even)
    # Who asks for the holdout samples too leaves no eights to compare with.
    eights = digits.of_label(KIND)
    if on == "unseen":
        eights = [name for name in eights if int(name.split("-")[1]) % 2 == 0]
    story.post(eights, model="parity")
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.failure is None
    assert run.verdict is not None
    (cohort,) = run.verdict["cohorts"]
    # No attack sees anything of it where unseen eights are known as well.
    base = cohort["base"]
    assert (cohort["rule"], base["closeness"]) == ("expected", "familiar")
    assert base["recognised_on"] == on
    assert base["recognised"]["value"] > base["expected"]
    if run.state is RunState.NEEDS_REVIEW:
        assert run.verdict["reasons"]
    else:
        assert run.state is RunState.PUBLISHED
        assert cohort["candidate"]["closeness"] == "alike"
    with story.database.reading() as session:
        page = render(find_report(session, run.id))
    assert "never taught" in page
