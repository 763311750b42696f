"""One attempt of a worker at one batch of pending items of one registered model."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from models.documents import Verdict
from models.records.base import Base, Json, enum_column
from models.records.states import Phase, RequestMode, RunState, check_transition


class UnlearningRun(Base):
    """What admins poll. `epoch` is the lease's epoch under which the run may write."""

    __tablename__ = "unlearning_run"
    __table_args__ = (
        Index("ix_unlearning_run_model_id_created_at", "model_id", "created_at"),
        Index(
            "uq_unlearning_run_running",
            "model_id",
            unique=True,
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    model_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("registered_model.id"))
    state: Mapped[RunState] = mapped_column(enum_column(RunState), default=RunState.RUNNING)
    phase: Mapped[Phase] = mapped_column(enum_column(Phase), default=Phase.CLAIM)
    mode: Mapped[RequestMode] = mapped_column(enum_column(RequestMode))
    # The run that was held for review, of which this one carries out an approved rung.
    carries_out: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("unlearning_run.id"))
    epoch: Mapped[int]
    worker: Mapped[str] = mapped_column(String(128))
    # The highest count of attempts among the run's items, this one included.
    attempt: Mapped[int]
    item_count: Mapped[int]
    parent_version: Mapped[int]
    version: Mapped[int | None]
    # Of the present phase: {"done", "total", "eta_s"}.
    progress: Mapped[Json | None]
    timings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    # What the gate said, the ladder of candidates and their figures (workers/judging/verdicts.py).
    verdict: Mapped[Verdict | None]
    # What a person decided: {"by", "rung"} or {"by", "reason"}.
    review: Mapped[Json | None]
    # The group of items that it took by itself, to find out which of them makes runs fail.
    suspects: Mapped[uuid.UUID | None]
    # If failed: {"kind", "detail"}.
    failure: Mapped[Json | None]
    # If its process died: {"signal", "exit_status", "peak_bytes"}, as far as they are known.
    death: Mapped[Json | None]
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.clock_timestamp()
    )

    @validates("state")
    def _legal(self, _key: str, after: RunState) -> RunState:
        return check_transition(self.state, after)
