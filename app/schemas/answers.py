"""Good answers besides their bodies, as the OpenAPI document has them: 304, ranges, headers."""

from typing import Any

Answers = dict[int | str, dict[str, Any]]

_HEADERS = {
    "Content-Range": "Which bytes of the file these are; of a refused range, its length.",
    "ETag": "What this representation is told by; send it as `If-None-Match` to hear of news only.",
    "Location": "Path of what is meant.",
    "Repr-Digest": "SHA-256 of the whole file (RFC 9530).",
    "Retry-After": "Seconds after which it is worth looking again.",
}


def described(*names: str) -> dict[str, Any]:
    """Response headers that clients go by."""
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


NOT_MODIFIED: dict[str, Any] = {
    "description": "It has not changed since the ETag in `If-None-Match`.",
    "headers": described("ETag"),
}
# Of whatever is answered by `app/conditional.py`.
CONDITIONAL: Answers = {200: {"headers": described("ETag")}, 304: NOT_MODIFIED}
# Of what redirects, and of what makes something.
ELSEWHERE = {"headers": described("Location")}
