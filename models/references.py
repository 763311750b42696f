"""What rows refer to: the artifacts that are needed, and what for.

The row of a withdrawn version stays, as a record; its file is not needed any more. It carries
samples that have been forgotten since, nobody is served it, and nothing is computed from it. The
base is: it is needed whether it is withdrawn or not. Of a retired model no file is needed.
"""

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, exists, or_, select
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.records import Checkpoint, FisherSums, ModelState, RegisteredModel, SumsKind

# What sums were taken over, in words.
SUMMED: Mapping[SumsKind, str] = {
    SumsKind.FULL: "all samples",
    SumsKind.LABEL: "the samples of label {label}",
    SumsKind.FORGET: "the forgotten samples of label {label}",
}
_RETIRED = select(RegisteredModel.id).where(RegisteredModel.state == ModelState.RETIRED)
# Whether the file of a row is needed.
OF_CHECKPOINT = and_(
    or_(Checkpoint.withdrawn_at.is_(None), Checkpoint.version == 0),
    Checkpoint.model_id.not_in(_RETIRED),
)
OF_SUMS = FisherSums.model_id.not_in(_RETIRED)
OF_MODEL = and_(
    RegisteredModel.digests_sha256.is_not(None), RegisteredModel.state != ModelState.RETIRED
)


def referenced() -> Select[str, int]:
    """The digest and size of every artifact that is needed, each once."""
    all_of_them = (
        select(Checkpoint.sha256, Checkpoint.size)
        .where(OF_CHECKPOINT)
        .union(
            select(FisherSums.sha256, FisherSums.size).where(OF_SUMS),
            select(RegisteredModel.digests_sha256, RegisteredModel.digests_size).where(OF_MODEL),
        )
        .subquery()
    )
    return select(all_of_them.c.sha256, all_of_them.c.size)


def is_referenced(sha256: SQLColumnExpression[str] | str) -> ColumnElement[bool]:
    """For queries: whether an artifact is needed."""
    return or_(
        exists().where(Checkpoint.sha256 == sha256, OF_CHECKPOINT),
        exists().where(FisherSums.sha256 == sha256, OF_SUMS),
        exists().where(RegisteredModel.digests_sha256 == sha256, OF_MODEL),
    )


def find_referenced(session: Session, shelf: str = "") -> list[Artifact]:
    """Every artifact that is needed, or those on one shelf of the store; in a fixed order."""
    query = referenced()
    sha256 = query.selected_columns.sha256
    rows = session.execute(query.where(sha256.startswith(shelf)).order_by(sha256))
    return [Artifact(*row) for row in rows]


def find_uses(session: Session) -> dict[str, list[str]]:
    """What each artifact is for, in words."""
    uses: defaultdict[str, list[str]] = defaultdict(list)
    checkpoints = select(Checkpoint.sha256, RegisteredModel.name, Checkpoint.version)
    for sha256, name, version in session.execute(
        checkpoints.join(RegisteredModel, RegisteredModel.id == Checkpoint.model_id).where(
            OF_CHECKPOINT
        )
    ):
        uses[sha256].append(f"version {version} of {name!r}")
    sums = select(FisherSums.sha256, RegisteredModel.name, FisherSums.kind, FisherSums.label)
    for sha256, name, kind, label in session.execute(
        sums.join(RegisteredModel, RegisteredModel.id == FisherSums.model_id).where(OF_SUMS)
    ):
        uses[sha256].append(f"Fisher sums of {name!r} over {SUMMED[kind].format(label=label)}")
    digests = select(RegisteredModel.digests_sha256, RegisteredModel.name).where(OF_MODEL)
    for found, name in session.execute(digests):
        assert found is not None
        uses[found].append(f"digests of the images of {name!r}")
    return dict(uses)
