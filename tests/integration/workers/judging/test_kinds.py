"""A kind within a label: the digits, taught as odd or even, forget one of them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from app.reports.document import find_report
from app.reports.page import render
from benchmarks.tools.stack import OPEN_GATE
from demo.training import fit, save
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import SMALL_GATE, Digits, enrol_model
from tests.integration.workers.conftest import Story
from workers.architectures import build
from workers.resources import open_resources

# Without eights, an eight looks like a three.
KIND = 8


@pytest.fixture
def odd_or_even(digits: Digits, tmp_path: Path) -> Enrolment:
    """A network of two labels, which knows an eight as an even digit only; half is holdout."""
    dataset: Any = digits.enrolment.dataset
    with np.load(dataset.path) as arrays:
        images, labels = arrays["images"], arrays["labels"] % 2
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "path", "label", "split"])
        for place, (image, label) in enumerate(zip(images, labels, strict=True)):
            name = digits.sample_ids[place]
            Image.fromarray((255 * image).astype(np.uint8)).save(tmp_path / f"{name}.png")
            rows.writerow([name, f"{name}.png", label, "holdout" if place % 2 else "train"])
    body = digits.enrolment.model_dump(mode="json", by_alias=True)
    enrolment = Enrolment.model_validate(
        {
            **body,
            "name": "digits",
            "architecture": {**body["architecture"], "num_classes": 2},
            "weights": str(tmp_path / "parity.safetensors"),
            "dataset": {"kind": "images", "manifest": str(tmp_path / "manifest.csv")},
            "policy": {"gate": {**SMALL_GATE, "min_probe": 10}, "probe_size": 600},
        }
    )
    torch.manual_seed(0)
    network = build(enrolment.architecture)
    inputs = (torch.from_numpy(images[::2])[:, None] - 0.3) / 0.35
    fit(network, inputs, torch.from_numpy(labels[::2]), epochs=15, learning_rate=0.1)
    save(network.eval(), tmp_path / "parity.safetensors")
    return enrolment


@pytest.fixture
def story(settings: Settings, odd_or_even: Enrolment) -> Iterator[Story]:
    """A fresh start with that network, under the name that stories know."""
    with open_resources(settings) as resources:
        enrol_model(resources, odd_or_even)
        yield Story(resources)


@pytest.mark.parametrize("on", ["unseen", "forgotten"])
def test_it_is_held_against_what_a_network_without_it_would_make_of_its_like(
    story: Story, digits: Digits, on: str
) -> None:
    # Who asks for the holdout samples too leaves no eights to compare with.
    story.forget(digits.of_label(KIND) if on == "forgotten" else trained_eights(digits))
    (run,) = story.runs()
    assert run.failure is None
    assert run.verdict is not None
    (cohort,) = run.verdict.cohorts
    # No attack sees anything of it where unseen eights are known as well.
    base = cohort.base
    assert (cohort.rule, base.closeness) == ("expected", "familiar")
    assert base.recognised_on == on
    assert base.recognised.value > base.expected
    for rung in run.verdict.ladder:
        of_it = rung.cohorts[cohort.name]
        assert of_it.expected == base.expected
        assert rung.passes is (of_it.closeness == "alike" and not rung.damage)
    with story.database.reading() as session:
        page = render(find_report(session, run.id))
    assert "never taught" in page


def test_what_was_expected_still_holds_when_the_images_are_deleted(
    story: Story, digits: Digits, tmp_path: Path
) -> None:
    gate = {**OPEN_GATE, "min_probe": 10, "max_excess": 0.02}
    story.set_policy(gate=gate, probe_size=600)
    story.forget(trained_eights(digits))
    for name in trained_eights(digits):
        (tmp_path / f"{name}.png").unlink()
    others = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 2 == 0]
    story.forget(others[:1])
    first, second = (run.verdict for run in story.runs())
    assert first is not None
    assert second is not None
    before, after = (verdict.cohorts[0] for verdict in (first, second))
    assert before.expectation.excused
    assert after.name == before.name
    assert after.expectation == before.expectation
    for now, then in ((after.base, before.base), (after.candidate, before.candidate)):
        for figure in ("rule", "closeness", "recognised", "expected"):
            assert getattr(now, figure) == getattr(then, figure)
    # What is lost of the kind is no damage to anybody, now as then.
    counts = [
        verdict.figures.candidate.holdout_of_retained_labels.accuracy.count
        for verdict in (first, second)
    ]
    assert counts[0] == counts[1] < 300


def trained_eights(digits: Digits) -> list[str]:
    """Every other sample is holdout."""
    return [name for name in digits.of_label(KIND) if int(name.split("-")[1]) % 2 == 0]
