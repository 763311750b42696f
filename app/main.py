"""The gateway's application: what is mounted where, and what lives as long as it does."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from app import routes
from app.conditional import LOOKERS, Polls
from app.guard import Guard
from app.intake.accepting import Intake
from app.intake.grouping import ALONE, Grouping
from app.operation_ids import operation_id
from app.problems import PROBLEM_RESPONSES, describe, install_problem_handlers
from app.readiness import Watch
from app.schemas.deletion_requests import NewDeletionRequest
from app.schemas.problems import Problem
from app.security import require_keys
from app.slots import Slots
from app.verified import VerifiedFiles
from models.artifacts import open_store
from models.database import Database
from models.doorbell import open_doorbell
from models.readiness import readiness
from models.settings import Settings

DESCRIPTION = """
Expunge makes trained image classifiers forget training samples.

Post sample IDs to `/v1/deletion-requests`. A worker finds which weights matter to them, dampens
those, checks the result, and publishes a new checkpoint version for download. Every step is on the
audit log.

This is *approximate* unlearning: runs carry evidence of what was forgotten and at what cost, not a
proof. Send an API key as `Authorization: Bearer KEY`.
"""
# Handlers are synchronous and run in threads, each with at most one database connection.
THREADS = 20
# Whoever only reads waits no longer for a lock, such as a change of the schema holds.
LOCK_LIMIT_S = 10
# What uvicorn's own command ends with.
START_FAILED = 3


def create_app(settings: Settings) -> FastAPI:
    """Build the gateway. Connections are made on first use and closed on shutdown."""
    settings.require_services()
    require_keys(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        app.state.database.close()

    app = FastAPI(
        title="Expunge",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        responses=PROBLEM_RESPONSES,
        # Behind a proxy that speaks TLS they would lead to http, keys and all.
        redirect_slashes=False,
        # Their pages load scripts of others, on the origin where keys are used.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    # Nobody who has a thread waits for a connection.
    connections = THREADS + LOOKERS + ALONE + 2 + settings.max_large_bodies
    app.state.database = Database(
        settings.database_url,
        pool_size=connections,
        idle_limit_s=settings.lease_s,
        lock_limit_s=LOCK_LIMIT_S,
    )
    app.state.store = open_store(settings.artifact_store_url)
    app.state.files = VerifiedFiles(app.state.store)
    app.state.downloads = Slots.between_keys(settings.max_downloads, "downloads", settings)
    app.state.polls = Polls()
    app.state.doorbell = open_doorbell(settings)
    app.state.watch = Watch(
        lambda: readiness(app.state.database, app.state.doorbell, app.state.store)
    )
    app.state.grouping = Grouping(
        Intake(app.state.database), app.state.doorbell, settings.max_large_bodies
    )
    install_problem_handlers(app)
    describe(app, Problem, NewDeletionRequest)
    for router in routes.ROUTERS:
        app.include_router(router)
    app.add_middleware(Guard, settings=settings)
    return app


class Server(uvicorn.Server):
    """Uvicorn's, but that nobody who waits for news holds up its end."""

    def __init__(self, settings: Settings) -> None:
        app = create_app(settings)
        self._polls: Polls = app.state.polls
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.gateway_host,
                port=settings.gateway_port,
                # Uvicorn logs as everything else does.
                log_config=None,
                # Paths hold sample IDs; Guard writes an access log without them.
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=settings.gateway_grace_s,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and wait a while for the answers that are under way."""
        self._polls.stopping.set()
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(settings)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(START_FAILED)
