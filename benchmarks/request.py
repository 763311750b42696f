"""What does a request cost, and does it grow with the training set?

Over HTTP with a real worker, on noise in a colour for each label: only time is measured, and it
does not depend on what images show. Networks are trained just enough to tell colours.

- End to end: ResNet18 with CIFAR stem, requests for 1 sample, for 100 of ten labels, and for 100 of
  one label, phase by phase. The probes are the smallest there are, since a probe's forward passes
  cost what the policy's `probe_size` says and nothing else.
- Growth: ResNet18 with stock stem, training sets of growing size, requests for 100 random samples.
  In the same run, for comparison: computing the full Fisher anew for the request, as the authors'
  code does, and training again without the samples.

`python -m benchmarks.request`
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.tools import results
from benchmarks.tools.stack import OPEN_GATE, TEMPLATE, Service, Stack, open_stack
from benchmarks.tools.timing import finish
from demo import training
from models.specifications import (
    AdaptiveMethod,
    ArchitectureSpec,
    ArraysSpec,
    Enrolment,
    Gate,
    Policy,
    Preprocessing,
)
from workers.architectures import build
from workers.datasets import open_dataset
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums

SIZES = (1_000, 2_000, 4_000)
SAMPLES = 100
REPETITIONS = 3
CLASSES = 10
EPOCHS = 10
# The comparisons are timed on this many samples and scaled: they are linear in the samples.
TIMED = 200
# What it takes to recognise colours.
TRAINED_ON, TRAINED_FOR = 320, 8
# Smallest there is, so that verification hides nothing of the rest.
PROBE = 10
CIFAR_SIZE = 2_000
ARCHITECTURE = ArchitectureSpec(name="resnet18", num_classes=CLASSES)
CIFAR_STEM = ArchitectureSpec(name="resnet18", num_classes=CLASSES, options={"cifar_stem": True})
PREPROCESSING = Preprocessing(size=32, channels=3, mean=[0.5], std=[0.25])
console = Console()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the worker")
    parser.add_argument("--name", help="of the result")
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.manual_seed(0)
    with open_stack() as stack:
        database = stack.postgres.url(TEMPLATE)
        with stack.service("request", database, device=given.device) as service:
            ends = end_to_end(service, stack)
            measured = [measure_size(service, stack, size, device) for size in given.sizes]
    first, last = measured[0], measured[-1]
    found = {
        "end_to_end": ends,
        "samples_per_request": SAMPLES,
        "sizes": measured,
        "growth": {
            "training_set": last["training_samples"] / first["training_samples"],
            "worker_seconds": last["worker_seconds"] / first["worker_seconds"],
        },
    }
    path = results.write(results.name_on("request", given), found)
    console.print_json(data=found)
    console.print(f"Written to {path}.")
    return 0


def end_to_end(service: Service, stack: Stack) -> dict[str, Any]:
    """Worker seconds of small and large requests, and of their phases: medians."""
    name, by_label = "cifar-stem", _trained_ids(CIFAR_SIZE)
    service.enrol(_enrolment(stack, name, CIFAR_STEM, CIFAR_SIZE, PROBE))
    # The first run compiles what no run has compiled on this machine yet.
    service.forget(name, [by_label[9].pop()])
    requests: dict[str, Callable[[], list[str]]] = {
        "1 sample": lambda: [by_label[0].pop()],
        "100 samples of one label": lambda: _largest(by_label, SAMPLES),
        "100 samples of ten labels": lambda: [by_label[n % 10].pop() for n in range(SAMPLES)],
    }

    found = {}
    for what, choose in requests.items():
        timings = [service.forget(name, choose())["timings"] for _ in range(REPETITIONS)]
        phases = {phase: statistics.median(run[phase] for run in timings) for phase in timings[0]}
        found[what] = {
            "seconds": statistics.median(sum(run.values()) for run in timings),
            "without_verification": statistics.median(
                sum(run.values()) - run["verify"] for run in timings
            ),
            "phases": phases,
        }
    return found


def _largest(by_label: dict[int, list[str]], count: int) -> list[str]:
    """Take so many samples of one label, of which there are the most."""
    label = max(by_label, key=lambda label: len(by_label[label]))
    taken, by_label[label] = by_label[label][:count], by_label[label][count:]
    assert len(taken) == count
    return taken


def _enrolment(
    stack: Stack, name: str, architecture: ArchitectureSpec, size: int, probe: int
) -> Enrolment:
    base = stack.folder / f"{name}.safetensors"
    dataset = ArraysSpec(path=str(_images(stack.folder / f"{name}.npz", size)))
    training.save(_trained(architecture, dataset), base)
    return Enrolment(
        name=name,
        architecture=architecture,
        weights=str(base),
        dataset=dataset,
        preprocessing=PREPROCESSING,
        # These images are not there to be judged.
        policy=Policy(
            method=AdaptiveMethod(method="adaptive"),
            gate=Gate.model_validate(OPEN_GATE),
            probe_size=probe,
        ),
    )


def measure_size(service: Service, stack: Stack, size: int, device: torch.device) -> dict[str, Any]:
    """One training set: requests over HTTP, then what the alternatives would take."""
    name = f"random-{size}"
    enrolment = _enrolment(stack, name, ARCHITECTURE, size, 1000)
    started = time.monotonic()
    model = service.enrol(enrolment)
    assert model["state"] == "active", model["failure"]
    enrolled = time.monotonic() - started
    trained = model["training_samples"]
    trained_ids = [f"sample-{position}" for position in range(size) if position % 10 != 9]
    runs = []
    for repetition in range(REPETITIONS):
        runs.append(service.forget(name, trained_ids[repetition::REPETITIONS][:SAMPLES]))
    seconds = [sum(run["timings"].values()) for run in runs]
    median = statistics.median(seconds)
    per_sample = _seconds_per_sample(device)
    alternatives = {
        "full Fisher anew, batch gradients (the authors' way)": per_sample["batch gradients"],
        "full Fisher anew, per sample": per_sample["per sample"],
        f"retraining, {EPOCHS} epochs": per_sample["epoch"] * EPOCHS,
    }
    return {
        "training_samples": trained,
        "enrolment_seconds": enrolled,
        "worker_seconds": median,
        "worker_seconds_all": seconds,
        "timings": runs[-1]["timings"],
        "alternatives": {
            name: {"seconds": cost * trained, "ratio": cost * trained / median}
            for name, cost in alternatives.items()
        },
    }


def _trained(architecture: ArchitectureSpec, dataset: ArraysSpec) -> nn.Module:
    opened = open_dataset(dataset, PREPROCESSING)
    labels = torch.from_numpy(opened.index().labels[:TRAINED_ON])
    network = build(architecture)
    training.fit(
        network, opened.load(range(TRAINED_ON)), labels, epochs=TRAINED_FOR, learning_rate=0.02
    )
    return network.eval()


def _images(path: Path, size: int) -> Path:
    random = np.random.default_rng(size)
    colours = random.integers(64, 192, (CLASSES, 1, 1, 3))
    noise = random.integers(-64, 64, (size, 32, 32, 3))
    np.savez(
        path,
        ids=np.array([f"sample-{position}" for position in range(size)]),
        images=(colours[_labels(size)] + noise).astype(np.uint8),
        labels=_labels(size),
        splits=np.array(["holdout" if p % 10 == 9 else "train" for p in range(size)]),
    )
    return path


def _labels(size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.random.default_rng(size + 1).integers(0, CLASSES, size)


def _trained_ids(size: int) -> dict[int, list[str]]:
    """The sample IDs of each label that are not holdout."""
    by_label: dict[int, list[str]] = {label: [] for label in range(CLASSES)}
    for position, label in enumerate(_labels(size).tolist()):
        if position % 10 != 9:
            by_label[label].append(f"sample-{position}")
    return by_label


def _seconds_per_sample(device: torch.device) -> dict[str, float]:
    """What one training sample costs each of the alternatives."""
    network = build(ARCHITECTURE).to(device)
    inputs = torch.randn(TIMED, 3, 32, 32).to(device)
    labels = torch.randint(0, CLASSES, (TIMED,)).to(device)
    passes: dict[str, Callable[[], object]] = {
        "per sample": lambda: fisher_sums(network, [Batch.of(inputs, labels)]),
        "batch gradients": lambda: _batch_gradients(network, inputs, labels),
        "epoch": lambda: training.fit(network, inputs, labels, epochs=1, learning_rate=0.01),
    }
    if device.type == "cuda":
        # Kernels are loaded by a first pass of each.
        for run in passes.values():
            run()
        network.eval()
    return {name: _timed(run) / TIMED for name, run in passes.items()}


def _batch_gradients(network: nn.Module, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    """The published code's estimator: squares of the gradients of batch means."""
    parameters = list(network.eval().parameters())
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for chosen in torch.split(torch.arange(len(inputs)), training.BATCH):
        loss = nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen])
        gradients = torch.autograd.grad(loss, parameters)
        for total, gradient in zip(sums, gradients, strict=True):
            total.addcmul_(gradient, gradient)
    return sums


def _timed(run: Callable[[], object]) -> float:
    finish()
    started = time.monotonic()
    run()
    finish()
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
