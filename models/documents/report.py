"""The report of a run: its row, its verdict, and what is kept of it besides."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from models.documents.base import Document
from models.documents.figures import Estimate
from models.documents.verdict import Verdict


class Histograms(Document):
    """Shares of samples whose loss lies in each bin."""

    forgotten: list[float]
    retained: list[float]
    unseen: list[float]


class LossHistograms(Document):
    """How losses are spread, before and after."""

    log10_edges: list[float] = Field(description="Of the bins; the outermost are open.")
    base: Histograms
    candidate: Histograms


class ZeroRetrainForgetting(Document):
    """How much predictions on forgotten samples resemble those of an untrained network."""

    base: Estimate | None
    candidate: Estimate | None


class Details(Document):
    """What a report shows besides the verdict."""

    zero_retrain_forgetting: ZeroRetrainForgetting
    loss_histograms: LossHistograms


class Approval(Document):
    """A person has chosen a candidate."""

    by: str
    rung: int = Field(description="Its place in the ladder.")


class Rejection(Document):
    """A person has decided that nothing is published."""

    by: str
    reason: str


Review = Approval | Rejection


class ReportedRun(Document):
    """Which run it was."""

    id: UUID
    model: str
    mode: str
    state: str
    items: int
    parent_version: int
    version: int | None
    worker: str
    created_at: datetime
    finished_at: datetime | None
    timings: dict[str, float] = Field(description="Seconds per phase.")
    review: Review | None = Field(description="What a person has decided.")
    carries_out: UUID | None


class ReportedRequest(Document):
    """A deletion request that the run has carried out, or was to."""

    id: UUID
    reference: str | None = Field(description="What its client calls it, e.g. a ticket.")
    items: int = Field(description="How many of its items belong to the run.")


class ReportedNetwork(Document):
    """What was worked on and what came of it, by digests that anybody can compare."""

    base_sha256: str
    published_sha256: str | None
    training_samples: int
    manifest_digest: str
    sums: dict[str, Any] = Field(
        description="Estimator and device of the Fisher sums, and what they were made from."
    )


class Report(Details):
    """Everything that is known of a run that was judged."""

    run: ReportedRun
    requests: list[ReportedRequest] = Field(
        description="Those whose items belong to the run now, the earliest first, a hundred at "
        "most. What a later run has taken up belongs to that."
    )
    network: ReportedNetwork
    program: str
    verdict: Verdict
