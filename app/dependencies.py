"""What handlers ask for, as annotated aliases. Nothing here opens or ends a transaction."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.readiness import Watch
from app.security import Principal, authenticate
from app.slots import Slots
from app.strict import require_declared
from app.verified import VerifiedFiles
from models.database import Database
from models.doorbell import Doorbell
from models.settings import Scope, Settings

_bearer = HTTPBearer(auto_error=False, description="An API key; `expunge key` makes one.")


# Asynchronous although they wait for nothing: a plain function would cost a thread's turn.
async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _doorbell(request: Request) -> Doorbell:
    doorbell: Doorbell = request.app.state.doorbell
    return doorbell


async def _watch(request: Request) -> Watch:
    watch: Watch = request.app.state.watch
    return watch


async def _files(request: Request) -> VerifiedFiles:
    files: VerifiedFiles = request.app.state.files
    return files


async def _downloads(request: Request) -> Slots:
    downloads: Slots = request.app.state.downloads
    return downloads


SettingsDependency = Annotated[Settings, Depends(_settings)]
DatabaseDependency = Annotated[Database, Depends(_database)]
DoorbellDependency = Annotated[Doorbell, Depends(_doorbell)]
FilesDependency = Annotated[VerifiedFiles, Depends(_files)]
DownloadSlots = Annotated[Slots, Depends(_downloads)]
WatchDependency = Annotated[Watch, Depends(_watch)]


def _with_scope(scope: Scope) -> Callable[..., Principal]:
    async def principal(
        request: Request,
        settings: SettingsDependency,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Principal:
        principal = authenticate(credentials.credentials if credentials else None, settings)
        principal.require(scope)
        # Here, since every route that does anything asks for a principal.
        require_declared(request)
        return principal

    return principal  # type: ignore[return-value]


Requester = Annotated[Principal, Depends(_with_scope(Scope.REQUESTS))]
Downloader = Annotated[Principal, Depends(_with_scope(Scope.CHECKPOINTS))]
Admin = Annotated[Principal, Depends(_with_scope(Scope.ADMIN))]

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=3600,
        description="Answer when something has changed, or after so many seconds. With "
        "`If-None-Match`, changed means another ETag; without, it means ended.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most entries on one page.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="`next` of the page before this one.")
]
