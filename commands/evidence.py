"""What somebody who has to believe it can ask for: a run's report, and the weights anew."""

import json
import uuid
from typing import IO

import click

from commands.opening import open_database
from models.settings import Settings


@click.command()
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


@click.command()
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
