"""Taking over from workers that are gone, so that their items are free again."""

from sqlalchemy import func, select

from models.records import Lease, RunState, UnlearningRun
from workers.duties.stewardship import Stewardship
from workers.transactions.recovery import take_over


def take_over_expired(stewardship: Stewardship) -> int:
    """End the runs whose leases have run out; return how many.

    Leases that somebody is busy with are left to them.
    """
    ended = 0
    with stewardship.database.transaction() as session:
        expired = session.scalars(
            select(Lease)
            .join(UnlearningRun, UnlearningRun.model_id == Lease.model_id)
            .where(
                UnlearningRun.state == RunState.RUNNING,
                Lease.expires_at <= func.clock_timestamp(),
            )
            .with_for_update(of=Lease, skip_locked=True)
        ).all()
        for lease in expired:
            ended += take_over(session, lease, stewardship.settings, actor="steward")
    return ended
