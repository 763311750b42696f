"""Putting a trained network under management, on one machine or several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from commands.declaring import enrolment_from
from models.settings import Settings
from models.specifications import DEFAULT_ESTIMATOR, ESTIMATORS
from models.specifications.sentences import sentences

DATASETS = (
    "KIND or KIND:PATH: images:MANIFEST (CSV or Parquet), arrays:FILE.npz, idx:FOLDER (as MNIST), "
    "cifar10:FOLDER, cifar100:FOLDER, digits."
)
NORMALISED = "As in training: one number, or one per channel, separated by commas."


def _spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """What an enrolment and those who assist it say of processes and machines."""
    options = (
        click.option(
            "--nproc",
            type=click.IntRange(1),
            help="Processes of this machine [EXPUNGE_PROCESSES, else 1].",
        ),
        click.option(
            "--nodes",
            type=click.IntRange(1),
            help="Machines that sum together [EXPUNGE_NODES, else 1]; see `expunge assist`.",
        ),
        click.option(
            "--rendezvous",
            metavar="HOST:PORT",
            help="The first of them, and a free port of it [EXPUNGE_RENDEZVOUS].",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("name")
@click.option("--architecture", required=True, help="E.g. resnet18.")
@click.option("--num-classes", required=True, type=int, help="Outputs of the network.")
@click.option("--option", "options", multiple=True, help="KEY=VALUE, e.g. cifar_stem=true.")
@click.option("--weights", required=True, help="A safetensors file.")
@click.option("--dataset", required=True, help=DATASETS)
@click.option("--size", required=True, type=int, help="Height and width of the input.")
@click.option(
    "--channels", type=int, default=3, show_default=True, help="1 (grey) or 3, as the network has."
)
@click.option("--mean", required=True, help=f"{NORMALISED} Subtracted from pixels in [0, 1].")
@click.option("--std", required=True, help=f"{NORMALISED} What the difference is divided by.")
@click.option(
    "--holdout-fraction",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of each label kept aside as unseen, if the dataset does not say which samples are.",
)
@click.option("--holdout-seed", type=int, default=0, show_default=True, help="Seed of that draw.")
@click.option(
    "--estimator",
    type=click.Choice(list(ESTIMATORS)),
    default=DEFAULT_ESTIMATOR.kind,
    show_default=True,
    help="Which gradients are summed to measure how much a weight matters.",
)
@click.option("--policy", type=click.Path(path_type=Path, exists=True), help="A JSON file.")
@_spread_options
@click.pass_obj
def enrol(
    settings: Settings,
    /,
    name: str,
    nproc: int | None,
    nodes: int | None,
    rendezvous: str | None,
    **given: Any,
) -> None:
    """Put a trained network under management, here and now, with a progress bar."""
    from workers.enrolment.foreground import enrol_here

    try:
        enrolment = enrolment_from(name, **given)
    except ValidationError as error:
        raise click.UsageError(sentences(error)) from error
    enrol_here(enrolment, _spread(settings, nproc, nodes, rendezvous))


@click.command()
@click.option("--node-rank", type=click.IntRange(1), required=True, help="Which machine: 1, 2, …")
@_spread_options
@click.pass_obj
def assist(
    settings: Settings,
    node_rank: int,
    nproc: int | None,
    nodes: int | None,
    rendezvous: str | None,
) -> None:
    """Take part in an enrolment that another machine carries out, and end with it."""
    spread = _spread(settings, nproc, nodes, rendezvous)
    if node_rank >= spread.nodes:
        raise click.UsageError(
            f"There is no machine {node_rank} of {spread.nodes}: the first is 0, and enrols. "
            "Check --node-rank and --nodes."
        )
    from workers.enrolment.ranks import assist

    assist(spread, node_rank)


def _spread(
    settings: Settings, nproc: int | None, nodes: int | None, rendezvous: str | None
) -> Settings:
    """The settings, but for what the command line says of processes and machines."""
    given = {"processes": nproc, "nodes": nodes, "rendezvous": rendezvous}
    said = {name: value for name, value in given.items() if value is not None}
    return settings.model_copy(update=said).require_rendezvous()
