"""What a client says that would be ignored, or read otherwise than it is meant, is refused.

A deletion is not undone: `?Mode=dry_run` must not be taken for nothing, nor the first of two fields
of the same name.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.intake.bodies import media_type
from app.schemas.media_types import JSON
from models.errors import UnsupportedMediaType

# Of a name that nobody has declared no more is repeated.
MOST_OF_A_NAME = 50


def require_declared(request: Request) -> None:
    """Raise `RequestValidationError` for a query parameter that the route has not, or has twice."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    known = set(_declared(route.dependant))
    wrong = [
        _invalid(("query", name[:MOST_OF_A_NAME]), "is given twice" if name in known else "unknown")
        for name, count in Counter(name for name, _ in request.query_params.multi_items()).items()
        if name not in known or count > 1
    ]
    if wrong:
        raise RequestValidationError(wrong)


def _declared(dependant: Dependant) -> Iterator[str]:
    """The query parameters of a route, and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for other in dependant.dependencies:
        yield from _declared(other)


class StrictRoute(APIRoute):
    """A route whose body, if it has one, is JSON and names no field of an object twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's, after a look at the body."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def strictly(request: Request) -> Response:
            body = await request.body()
            if body and media_type(request) != JSON:
                raise UnsupportedMediaType(
                    f"The body is to be {JSON}. Say in Content-Type that it is."
                )
            _require_single(body)
            return await handle(request)

        return strictly


def _require_single(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_of_single)
    except (ValueError, RecursionError):
        # The framework says where it is no JSON, or that it cannot be read.
        return


def _of_single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RequestValidationError([_invalid(("body",), "holds a field twice")])
    return found


def _invalid(where: tuple[str, ...], what: str) -> dict[str, Any]:
    return {"type": "value_error", "loc": where, "msg": what}
