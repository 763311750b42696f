"""What a run tells while it works: its phase, its progress, how long each phase took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update

from models.records import Phase, RunState, UnlearningRun
from models.records.base import Json
from workers.claims import Run
from workers.leases import Heartbeat
from workers.progress import Progress
from workers.resources import Resources


class RunLog:
    """Writes to the run's row while the run holds its lease; changes nothing afterwards."""

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

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """The seconds this block takes are the phase's timing."""
        self._heartbeat.check()
        self._write(phase=phase, progress=None, timings=self.timings())
        self._began = (phase, time.monotonic())
        yield
        self._ended = self.timings()
        self._began = None

    def report(self, progress: Progress) -> None:
        """Keep the progress of the present phase; raise `LeaseLost` if the lease is gone."""
        self._heartbeat.check()
        self._write(progress=progress.as_json())

    def _write(self, **values: object) -> None:
        with self._resources.database.transaction() as session:
            session.execute(
                update(UnlearningRun)
                .where(
                    UnlearningRun.id == self._run.id,
                    UnlearningRun.epoch == self._run.epoch,
                    UnlearningRun.state == RunState.RUNNING,
                )
                .values(**values)
            )
