"""Addresses and keys of an embedded installation, kept where other commands find them."""

from pathlib import Path

from models.durable import make_folder_durably, write_durably
from models.keys import key_entry, make_key
from models.settings import ApiKey, Scope, Settings, services_file

# The keys that `expunge up` makes: one for the person, one for the deletion pipeline.
KEYS: dict[str, frozenset[Scope]] = {
    "admin": frozenset({Scope.ADMIN}),
    "pipeline": frozenset({Scope.REQUESTS, Scope.CHECKPOINTS}),
}


def key_file(data_dir: Path, name: str) -> Path:
    """Where the secret of an embedded installation's key lies."""
    return data_dir / "keys" / name


def write_services(settings: Settings, database_url: str, redis_url: str) -> dict[str, str]:
    """Write `services.env`; return the same as environment variables."""
    folder = settings.data_dir
    complete = settings.model_copy(
        update={
            "data_dir": folder,
            "database_url": database_url,
            "redis_url": redis_url,
            "artifact_store_url": settings.artifact_store_url or (folder / "artifacts").as_uri(),
            "api_keys": settings.api_keys or _kept_keys(folder),
            "gateway_port": settings.gateway_port,
        }
    )
    environment = complete.environment()
    lines = [f"{name}='{value}'\n" for name, value in environment.items()]
    write_durably(services_file(folder), "".join(lines).encode())
    return environment


def _kept_keys(folder: Path) -> list[ApiKey]:
    """The installation's own keys, made the first time."""
    entries = []
    for name, scopes in KEYS.items():
        path = key_file(folder, name)
        kept = path.read_text() if path.exists() else ""
        # A file that a full disk has left empty holds no key that anybody could send.
        if kept:
            entries.append(key_entry(name, kept, scopes))
        else:
            key, entry = make_key(name, scopes)
            make_folder_durably(path.parent)
            write_durably(path, key.encode())
            entries.append(entry)
    return entries
