"""Files that rows refer to by digest: checkpoints and Fisher sums.

An artifact's name is the SHA-256 of its bytes. Files come first and rows second: `put` returns only
when the bytes are safely stored, and only then may a transaction name them.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from models.artifacts.filesystem import FilesystemStore
from models.artifacts.store import SHELVES, Artifact, ArtifactStore, KeptStore, Writer
from models.errors import NotConfigured

__all__ = [
    "SHELVES",
    "STORES",
    "Artifact",
    "ArtifactStore",
    "KeptStore",
    "Writer",
    "open_store",
]

STORES: Mapping[str, Callable[[str], KeptStore]] = {
    "file": FilesystemStore.from_url,
}


def open_store(url: str) -> KeptStore:
    """The store at `url`; its scheme chooses the kind."""
    scheme = urlsplit(url).scheme
    if scheme not in STORES:
        raise NotConfigured(
            f"ARTIFACT_STORE_URL has the scheme {scheme!r}; known are {', '.join(STORES)}."
        )
    return STORES[scheme](url)
