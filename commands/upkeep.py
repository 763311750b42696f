"""Looking after what is kept: schema, keys, readiness, damage, backups."""

import json
import sys
from pathlib import Path

import click

from commands.opening import open_database
from models.settings import Scope, Settings


@click.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    from models import database

    settings.require_services()
    database.migrate(settings.database_url)


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
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
