"""Keeping the journal of publications: what a dead worker left open, what a database has lost."""

from models.doorbell import Job
from models.journal import keep_journal, open_journal
from workers.duties.stewardship import Stewardship


def keep_record(stewardship: Stewardship) -> int:
    """Bring journal and database into step; return how many models have something to replay."""
    journal = open_journal(stewardship.settings.artifact_store_url)
    asked = keep_journal(stewardship.database, journal)
    for model_id in asked:
        stewardship.doorbell.ring(Job.UNLEARN, model_id)
    return len(asked)
