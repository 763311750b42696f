"""What does dampening cost, next to copying the weights twice?

One cohort, in place, float32 importances, 2 % of the weights selected; and the service's own path
(float64 sums, the minimum over cohorts, then scaling). Interleaved, medians, threads fixed.

`python -m benchmarks.dampening`
"""

import argparse
import sys
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.importances import THREADS
from benchmarks.tools import results
from benchmarks.tools.timing import interleaved
from workers.unlearning.dampening import Population, apply_factors, dampen, tighten

SIZES = (11_000_000, 250_000_000)
SELECTED = 0.02
POPULATION = Population(total=50_000, forgotten=5_000)
console = Console()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--name", help="of the result")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    # The weights and their importances are made there.
    torch.set_default_device(given.device)
    found = {f"{size:,} weights": measure(size, given.repetitions) for size in given.sizes}
    name = results.name_on("dampening", given)
    path = results.write(name, {"selected": SELECTED, "sizes": found})
    results.plot_bars(name, found, "time / two copies of the weights")
    console.print_json(data=found)
    console.print(f"Written to {path}.")
    return 0


def measure(size: int, repetitions: int) -> dict[str, Any]:
    """Milliseconds of each way, and their ratio to two copies."""
    torch.manual_seed(0)
    weights = {"w": torch.randn(size)}
    seconds = _in_place(weights, repetitions) | _service(weights, repetitions)
    return {
        name: {"ms": 1e3 * taken, "ratio": taken / seconds["two copies"]}
        for name, taken in seconds.items()
    }


def _in_place(weights: dict[str, Tensor], repetitions: int) -> dict[str, float]:
    copy = torch.empty_like(weights["w"])
    retain, forget = _importances(len(copy))
    return interleaved(
        {
            "two copies": lambda: (copy.copy_(weights["w"]), copy.copy_(weights["w"])),
            "one cohort, in place, float32": lambda: dampen(
                weights, retain={"w": retain}, forget={"w": forget}, selection=10.0, strength=1.0
            ),
        },
        repetitions,
    )


def _service(weights: dict[str, Tensor], repetitions: int) -> dict[str, float]:
    """Float64 sums, one cohort, then scaling into new weights."""
    retain, forget = _importances(len(weights["w"]))
    of_forgotten = {"w": forget.double()}
    full = {"w": retain.double() + of_forgotten["w"]}
    factors = {"w": torch.ones_like(full["w"])}
    return interleaved(
        {
            "one cohort's factors, float64": lambda: tighten(
                factors, full, of_forgotten, POPULATION, selection=10.0, strength=1.0
            ),
            "scaling into new weights": lambda: apply_factors(weights, factors),
        },
        repetitions,
    )


def _importances(size: int) -> tuple[Tensor, Tensor]:
    retain = torch.rand(size) + 0.1
    forget = torch.rand(size) * 0.5
    forget[torch.rand(size) < SELECTED] *= 200
    return retain, forget


if __name__ == "__main__":
    sys.exit(main())
