"""Making API keys: 32 random bytes, of which only the SHA-256 is ever configured."""

import hashlib
import secrets

from models.settings import ApiKey, Scope


def make_key(name: str, scopes: frozenset[Scope]) -> tuple[str, ApiKey]:
    """A new secret key, and the entry by which the gateway knows it."""
    key = secrets.token_urlsafe(32)
    return key, key_entry(name, key, scopes)


def key_entry(name: str, key: str, scopes: frozenset[Scope]) -> ApiKey:
    """The entry of an existing key."""
    return ApiKey(name=name, sha256=hashlib.sha256(key.encode()).hexdigest(), scopes=scopes)
