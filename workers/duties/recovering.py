"""Ending the runs of workers that are gone, so that their items are free again."""

from workers.duties.stewardship import Stewardship
from workers.recovery import take_over_expired


def end_lost_runs(stewardship: Stewardship) -> int:
    """End the runs whose leases have run out; return how many."""
    return take_over_expired(stewardship.database, stewardship.settings, actor="steward")
