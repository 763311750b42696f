"""How do published unlearning methods compare, on the tasks of arXiv 2308.07707?

A whole class, a class within a superclass, and a hundred random samples are forgotten by every
method of `benchmarks.experiments.methods`, from networks of several training seeds. An interrupted
run goes on where it stopped. A method's seconds include all that it needs the training set for,
the importances of all samples too, which a service would compute once; on a CPU they are the
processor's.

`python -m benchmarks.paper`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys

from rich.console import Console

from benchmarks.experiments import bench, plot, runs, summary
from benchmarks.experiments.methods import METHODS
from benchmarks.tools import results

console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    measured = runs.run(
        {seed: prepared.tasks(given, seed) for seed in given.seeds},
        {name: METHODS[name] for name in given.methods},
        prepared.networks,
        prepared.store("paper"),
    )
    found = summary.summarise(measured)
    name = bench.result_name(given, "paper")
    asked = {key: getattr(given, key) for key in ("seeds", "classes", "subclasses")}
    path = results.write(name, {"settings": prepared.settings, **asked, "tasks": found})
    picture = plot.draw(name, found)
    summary.show(found, console)
    console.print(f"Written to {path} and {picture}.")


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=10_000, test_images=10_000)
    bench.task_options(parser, classes=[3, 8], subclasses=[5])
    bench.device_option(parser)
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=list(METHODS))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
