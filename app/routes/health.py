"""Whether the gateway lives, and whether it can do its work. No key is needed."""

from fastapi import APIRouter, Response

from app.dependencies import WatchDependency
from app.schemas.health import Health, Readiness

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def get_health() -> Health:
    """The process answers."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def get_readiness(response: Response, watch: WatchDependency) -> Readiness:
    """Database with its schema, queue and store: each `ok`, or what is wrong with it.

    Each is written to. What is said is at most a second old.
    """
    faults = await watch.states()
    ready = not any(faults.values())
    response.status_code = 200 if ready else 503
    states = {name: fault or "ok" for name, fault in faults.items()}
    return Readiness(status="ready" if ready else "not_ready", **states)
