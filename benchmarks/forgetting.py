"""Does forgetting work on real images, and does it depend on anything it should not?

Fashion-MNIST in idx format, the small residual network, everything over HTTP:

    one class        a whole class in one request
    four classes     one after another, nothing tuned
    eight requests   that together forget one class, gate off and gate on
    order            the same samples in other orders and batches

`python -m benchmarks.forgetting`; `make data` fetches the images.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.tools import places, results
from benchmarks.tools.stack import OPEN_GATE, Service, Stack, open_stack
from demo import training
from models.records import Split
from models.specifications import (
    ArchitectureSpec,
    Enrolment,
    HoldoutSpec,
    IdxSpec,
    Preprocessing,
)
from workers.architectures import build
from workers.datasets import Dataset, open_dataset
from workers.unlearning.batches import Batch
from workers.unlearning.probing.observation import Observed, observe

NAME = "fashion"
CLASSES = 10
FOUR = (0, 3, 5, 8)
PIECES = 8
console = Console()


class Fashion:
    """The data, and the test images that every scenario is judged on."""

    def __init__(self, place: Path) -> None:
        self.spec = IdxSpec(path=str(place.absolute()))
        self.preprocessing = Preprocessing(size=28, channels=1, mean=[0.286], std=[0.353])
        self.architecture = ArchitectureSpec(
            name="small_resnet", num_classes=CLASSES, options={"in_channels": 1, "width": 32}
        )
        self.dataset: Dataset = open_dataset(self.spec, self.preprocessing)
        index = self.dataset.index()
        assert index.splits is not None
        self.by_label: dict[int, list[str]] = {label: [] for label in range(CLASSES)}
        unseen = []
        for position, split in enumerate(index.splits):
            if split is Split.TRAIN:
                self.by_label[int(index.labels[position])].append(index.sample_ids[position])
            else:
                unseen.append(position)
        self._inputs = self.dataset.load(unseen)
        self._labels = torch.from_numpy(index.labels[unseen])
        self._network: nn.Module = build(self.architecture)

    def judge(self, weights: dict[str, Tensor]) -> Observed:
        """Classify all test images with these weights."""
        self._network.load_state_dict(weights)
        unseen = Batch.of(self._inputs, self._labels)
        batches = (unseen.part(start, start + 256) for start in range(0, len(unseen), 256))
        return observe(self._network, batches)


def accuracy_of(figures: Observed, label: int) -> float:
    """Accuracy on the test images of one class."""
    accuracy = figures.of([label]).accuracy
    assert accuracy is not None
    return accuracy


def one_class(service: Service, data: Fashion, before: Observed) -> dict[str, Any]:
    """A whole class in one request."""
    label = 3
    run = service.forget(NAME, data.by_label[label])
    after = data.judge(service.download(NAME, service.settings.data_dir / "head.safetensors"))
    return {
        "class": label,
        "state": run["state"],
        "forgotten_test_accuracy": accuracy_of(after, label),
        "others_before": before.without([label]).accuracy,
        "others_after": after.without([label]).accuracy,
        "timings": run["timings"],
        "alpha": run["verdict"]["cohorts"][0]["alpha"],
        "lambda": run["verdict"]["cohorts"][0]["lambda"],
        "share_dampened": run["verdict"]["weights"]["share"],
    }


def four_classes(service: Service, data: Fashion, before: Observed) -> dict[str, Any]:
    """Four classes, one after another."""
    states = [service.forget(NAME, data.by_label[label])["state"] for label in FOUR]
    after = data.judge(service.download(NAME, service.settings.data_dir / "head.safetensors"))
    return {
        "classes": list(FOUR),
        "states": states,
        "forgotten_test_accuracy": {label: accuracy_of(after, label) for label in FOUR},
        "others_before": before.without(FOUR).accuracy,
        "others_after": after.without(FOUR).accuracy,
    }


def eight_requests(service: Service, data: Fashion, before: Observed) -> dict[str, Any]:
    """One class in eight successive requests."""
    label = 3
    steps = []
    for start in range(PIECES):
        run = service.forget(NAME, data.by_label[label][start::PIECES])
        weights = service.download(NAME, service.settings.data_dir / "head.safetensors")
        after = data.judge(weights)
        steps.append(
            {
                "state": run["state"],
                "head_others": after.without([label]).accuracy,
                "head_forgotten": accuracy_of(after, label),
                "reasons": run["verdict"]["reasons"],
            }
        )
    return {"others_before": before.without([label]).accuracy, "steps": steps}


def in_order(service: Service, batches: list[list[str]]) -> dict[str, Tensor]:
    """The head's weights after these batches."""
    for batch in batches:
        service.forget(NAME, batch)
    return service.download(NAME, service.settings.data_dir / "head.safetensors")


def order(stack: Stack, data: Fashion) -> dict[str, Any]:
    """The same set of samples at once, in shuffled pieces, and at once again."""
    wanted = [*data.by_label[3], *data.by_label[5][:1000], *data.by_label[8][:100]]
    shuffled = random.Random(0).sample(wanted, len(wanted))
    ways = {
        "at once": [wanted],
        "at once again": [shuffled],
        "in five pieces": [shuffled[start::5] for start in range(5)],
    }
    weights = {}
    digests = {}
    for number, (way, batches) in enumerate(ways.items()):
        database = stack.copy(f"order{number}")
        with stack.service(f"order{number}", database, {"gate": OPEN_GATE}) as service:
            weights[way] = in_order(service, batches)
            latest = service.get(f"/v1/models/{NAME}/checkpoints")["checkpoints"][0]
            digests[way] = latest["sha256"]
    return {
        "samples": len(wanted),
        "weights": sum(t.numel() for t in weights["at once"].values()),
        "differ_by_more_than_1e-5": count_differing(weights["at once"], weights["in five pieces"]),
        "same_batch_byte_identical": digests["at once"] == digests["at once again"],
        "five_pieces_byte_identical": digests["at once"] == digests["in five pieces"],
    }


def count_differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> int:
    """Weights that differ by more than 1e-5 relative to the greater one."""
    different = 0
    for name, tensor in first.items():
        a, b = tensor.double(), second[name].double()
        different += int(((a - b).abs() > 1e-5 * torch.maximum(a.abs(), b.abs())).sum())
    return different


def main() -> int:
    """Run all scenarios and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    place = places.find("fashion-mnist")
    if place is None:
        console.print("Fashion-MNIST is not here; `make data` fetches it.")
        return 1
    data = Fashion(place)
    with open_stack() as stack:
        found = run_all(stack, data, epochs=options.epochs, seed=options.seed)
    found["seed"] = options.seed
    path = results.write(f"forgetting-seed{options.seed}", found)
    console.print_json(data=found)
    console.print(f"Written to {path}.")
    return 0


def run_all(stack: Stack, data: Fashion, *, epochs: int, seed: int) -> dict[str, Any]:
    """Train, enrol once, and go through the scenarios."""
    started = time.monotonic()
    network = training.train(
        data.architecture,
        data.spec,
        data.preprocessing,
        holdout=HoldoutSpec(),
        epochs=epochs,
        seed=seed,
    )
    trained = time.monotonic() - started
    base = stack.folder / "base.safetensors"
    training.save(network, base)
    before = data.judge(network.state_dict())
    console.print(f"Trained in {trained:.0f} s: {before.accuracy:.4f} on the test images.")
    enrolment = Enrolment(
        name=NAME,
        architecture=data.architecture,
        weights=str(base),
        dataset=data.spec,
        preprocessing=data.preprocessing,
    )
    started = time.monotonic()
    with stack.service("enrolment", stack.postgres.url("enrolled")) as service:
        model = service.enrol(enrolment)
    assert model["state"] == "active", model["failure"]
    found: dict[str, Any] = {
        "training_seconds": trained,
        "enrolment_seconds": time.monotonic() - started,
        "test_accuracy": before.accuracy,
    }
    scenarios = (
        ("one_class", one_class, None),
        ("four_classes", four_classes, None),
        ("eight_requests_gate_off", eight_requests, {"gate": OPEN_GATE}),
        ("eight_requests_gate_on", eight_requests, None),
    )
    for name, scenario, policy in scenarios:
        with stack.service(name, stack.copy(name), policy) as service:
            found[name] = scenario(service, data, before)
        console.print_json(data={name: found[name]})
    found["order"] = order(stack, data)
    return found


if __name__ == "__main__":
    sys.exit(main())
