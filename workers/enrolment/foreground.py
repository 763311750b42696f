"""An enrolment in the foreground, with a progress bar (`expunge enrol`)."""

import time
import uuid

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from models.errors import EnrolmentRefused
from models.records import ModelState, RegisteredModel
from models.registry import find_unfinished, register_model
from models.settings import Settings
from models.specifications import Enrolment
from workers.enrolment.pipeline import enrol
from workers.progress import Progress, Tell
from workers.resources import Resources, open_resources

FOLLOW_EVERY_S = 0.5


def enrol_here(enrolment: Enrolment, settings: Settings) -> None:
    """Enrol in this process and show how far it is; raise `EnrolmentRefused` with the reason.

    What this very enrolment has begun before goes on where it was. While somebody else is at it,
    their progress is shown instead.
    """
    console = Console(stderr=True)
    with open_resources(settings) as resources:
        with resources.database.transaction() as session:
            begun = find_unfinished(session, enrolment)
            model_id = (begun or register_model(session, enrolment, "command line")).id
        with _bar(console) as bar:
            task = bar.add_task("Fisher sums", total=None)

            def show(progress: Progress) -> None:
                bar.update(task, completed=progress.done, total=progress.total)

            model = _enrolled(model_id, resources, show)
    if model.state is ModelState.ENROLMENT_FAILED:
        assert model.failure is not None
        raise EnrolmentRefused(model.failure["detail"])
    assert model.base_accuracy is not None
    known = " and ".join(
        f"{share['value']:.1%} of {share['count']} {split} samples"
        for split, share in model.base_accuracy.items()
    )
    console.print(f"Registered model {model.name!r} is active. The base recognises {known}.")


def _enrolled(model_id: uuid.UUID, resources: Resources, show: Tell) -> RegisteredModel:
    while True:
        # Nothing happens while somebody else has it, or had it until lately.
        enrol(model_id, resources, show)
        with resources.database.reading() as session:
            model = session.get_one(RegisteredModel, model_id)
        if model.state is not ModelState.ENROLLING:
            return model
        if model.progress is not None:
            show(Progress(**model.progress))
        time.sleep(FOLLOW_EVERY_S)


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
