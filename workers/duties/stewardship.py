"""What duties work with."""

from dataclasses import dataclass

from models.artifacts import ArtifactStore
from models.database import Database
from models.doorbell import Doorbell
from models.settings import Settings


@dataclass(frozen=True)
class Stewardship:
    """Handed from duty to duty; nothing here is global."""

    settings: Settings
    database: Database
    store: ArtifactStore
    doorbell: Doorbell
