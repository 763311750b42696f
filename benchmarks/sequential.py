"""What happens after 1 to 20 successive deletion requests, the open question of arXiv 2308.07707?

Every strategy of `benchmarks.experiments.sequences` serves twenty requests in each scenario, from
networks of several training seeds; figures are of the versions after some of them. By the way: what
becomes of cohorts that are cut otherwise than by label. An interrupted run goes on where it
stopped, and several may share the work by `--scenarios`: what one has measured, all have.

`python -m benchmarks.sequential`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys
from collections.abc import Callable
from functools import cache

from rich.console import Console

from benchmarks.experiments import bench
from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.sequences import plot, runs, summary
from benchmarks.experiments.sequences.course import Course
from benchmarks.experiments.sequences.scenarios import REQUESTS, SCENARIOS
from benchmarks.experiments.sequences.strategies import STRATEGIES
from benchmarks.tools import results

console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    measured = runs.run(
        _courses(prepared),
        scenarios=given.scenarios,
        strategies={name: STRATEGIES[name] for name in given.strategies},
        seeds=given.seeds,
        store=prepared.store(f"sequential-{REQUESTS}"),
    )
    found = summary.summarise(measured)
    name = bench.result_name(given, "sequential")
    path = results.write(
        name,
        {
            "settings": prepared.settings,
            "requests": REQUESTS,
            "seeds": given.seeds,
            "scenarios": found,
            "retained_test_at_once_less_one_by_one": {
                scenario: summary.batching(strategies, REQUESTS)
                for scenario, strategies in found.items()
            },
        },
    )
    picture = plot.draw(name, found)
    summary.show(found, REQUESTS, console)
    console.print(f"Written to {path} and {picture}.")


def _courses(prepared: bench.Bench) -> Callable[[str, int], Course]:
    """Makes courses; a seed's network is trained and enrolled when it is first wanted."""
    data, recipe, networks = prepared.data, prepared.recipe, prepared.networks

    @cache
    def subject_of(seed: int) -> Subject:
        return Subject.enrolled(networks.trained(recipe, data.train, seed), data.train, data.unseen)

    def course_of(scenario: str, seed: int) -> Course:
        subject, chosen = subject_of(seed), SCENARIOS[scenario]
        return Course(
            kind=chosen.kind,
            requests=chosen.requests(data.train.labels, seed),
            data=data,
            recipe=recipe,
            network=networks.trained(recipe, data.train, seed),
            subject=subject.afresh(),
            seed=seed,
        )

    return course_of


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=4000, test_images=4000)
    parser.add_argument("--scenarios", choices=SCENARIOS, nargs="+", default=list(SCENARIOS))
    parser.add_argument("--strategies", choices=STRATEGIES, nargs="+", default=list(STRATEGIES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
