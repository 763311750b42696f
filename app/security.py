"""From an API key to a principal and what it may do.

Keys are 32 random bytes, so a plain SHA-256 of one is as good as a slow hash; only the hash is
configured. Comparison takes the same time whichever key is tried.
"""

import hashlib
import hmac
from dataclasses import dataclass

from fastapi.security.utils import get_authorization_scheme_param

from models.errors import NotAuthenticated, NotConfigured, NotPermitted
from models.settings import Scope, Settings


@dataclass(frozen=True)
class Principal:
    """Who is asking."""

    name: str
    scopes: frozenset[Scope]

    @property
    def is_admin(self) -> bool:
        """Admins may do everything and see everybody's requests."""
        return Scope.ADMIN in self.scopes

    def require(self, scope: Scope) -> None:
        """Raise `NotPermitted` unless the principal has the scope."""
        if scope not in self.scopes and not self.is_admin:
            raise NotPermitted(f"The API key {self.name!r} lacks the scope {scope.value!r}.")


def require_keys(settings: Settings) -> None:
    """A gateway that anybody may talk to is a mistake, so it does not start."""
    if not settings.api_keys:
        raise NotConfigured(
            "EXPUNGE_API_KEYS holds no key, so nobody could use the gateway. "
            "Make one with `expunge key NAME --scope admin`."
        )


def bearer(authorization: str | None) -> str | None:
    """The key in an `Authorization` header, if there is one."""
    scheme, key = get_authorization_scheme_param(authorization)
    return key if scheme.lower() == "bearer" else None


def authenticate(key: str | None, settings: Settings) -> Principal:
    """The principal that holds `key`; `NotAuthenticated` if nobody does."""
    if not key:
        raise NotAuthenticated("Send an API key as `Authorization: Bearer KEY`.")
    digest = hashlib.sha256(key.encode()).hexdigest()
    found = None
    for known in settings.api_keys:
        if hmac.compare_digest(known.sha256, digest):
            found = known
    if found is None:
        raise NotAuthenticated("The API key is not known here.")
    return Principal(name=found.name, scopes=found.scopes)
