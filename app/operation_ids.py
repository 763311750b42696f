"""Operation IDs for generated clients: the handler's name, e.g. `get_run`."""

from fastapi.routing import APIRoute


def operation_id(route: APIRoute) -> str:
    """Handlers are named for what a client calls them; HEAD variants say so."""
    prefix = "head_" if route.methods == {"HEAD"} else ""
    return prefix + route.name
