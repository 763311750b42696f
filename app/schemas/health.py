"""Health of the gateway."""

from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What the gateway depends on: `ok`, or what is wrong."""

    status: Literal["ready", "not_ready"]
    database: str
    queue: str
    store: str
