"""What a run tells while it works: its phase, its progress, how long each phase took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update

from models.database import unless_away
from models.errors import RunCancelled
from models.records import Phase, RunState, UnlearningRun
from models.records.base import Json
from workers.leases import Heartbeat
from workers.progress import Progress
from workers.resources import Resources
from workers.runs import Run


class RunLog:
    """Writes to the run's row while the run holds its lease; changes nothing afterwards.

    A line that cannot be written is left out: a short absence of the database stops no run. The
    journal reads the phase as well (`models/journal/preparing.py`), and without that line it makes
    sure once more.
    """

    def __init__(self, run: Run, resources: Resources, heartbeat: Heartbeat) -> None:
        self._run = run
        self._resources = resources
        self._heartbeat = heartbeat
        self._ended: Json = {}
        self._began: tuple[Phase, float] | None = None

    def timings(self) -> Json:
        """Seconds per phase, those of the present one included."""
        if self._began is None:
            return self._ended
        phase, start = self._began
        return {**self._ended, phase.value: round(time.monotonic() - start, 3)}

    @property
    def at(self) -> Phase | None:
        """The phase that has begun and not ended."""
        return None if self._began is None else self._began[0]

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """The seconds this block takes are the phase's timing."""
        self._heartbeat.check()
        self._write(phase=phase, progress=None, timings=self.timings())
        self._began = (phase, time.monotonic())
        yield
        self._ended = self.timings()
        self._began = None

    def tell(self, progress: Progress) -> None:
        """Keep the progress of the present phase.

        Raises `LeaseLost` if the lease is gone, `WorkerStopping` if the worker has to stop,
        `RunCancelled` if somebody has asked for that.
        """
        self._heartbeat.check()
        self._write(progress=progress.as_json())

    def _write(self, **values: object) -> None:
        asked_to_stop = None
        with (
            unless_away("The progress could not be written"),
            self._resources.database.transaction() as session,
        ):
            asked_to_stop = session.scalar(
                update(UnlearningRun)
                .where(
                    UnlearningRun.id == self._run.id,
                    UnlearningRun.epoch == self._run.epoch,
                    UnlearningRun.state == RunState.RUNNING,
                )
                .values(**values)
                .returning(UnlearningRun.cancel_requested_at)
            )
        if asked_to_stop is not None:
            raise RunCancelled("The run was asked to stop.")
