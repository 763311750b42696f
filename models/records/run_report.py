"""What a report shows of a run besides its verdict: kept apart, so that polling stays light."""

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.documents import Details
from models.records.base import Base


class RunReport(Base):
    """One for each run that was judged. `details` are made by `workers/judging/reports.py`."""

    __tablename__ = "run_report"

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("unlearning_run.id"), primary_key=True)
    details: Mapped[Details]
