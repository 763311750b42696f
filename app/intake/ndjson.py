"""Sample IDs from NDJSON: one JSON string, or one object with a `sample_id`, on every line."""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from app.intake.outline import outline
from app.schemas.deletion_requests import SampleId
from models.errors import MalformedLine
from models.records.sample import MAX_SAMPLE_ID

# Every character escaped, twice if it lies beyond the first plane, and room for the rest.
MAX_LINE = 12 * MAX_SAMPLE_ID + 1000
# Of an object with one field; a sample ID may hold more.
QUOTES = 4


class Line(BaseModel):
    """A line that is an object."""

    model_config = ConfigDict(extra="forbid")

    sample_id: SampleId


_STRING = TypeAdapter(SampleId).validator.validate_json
_OBJECT = TypeAdapter(Line).validator.validate_json


def read_lines(parts: Iterable[bytes]) -> Iterator[list[str]]:
    """The sample IDs of each part, lines that are cut put together again.

    Raises `MalformedLine`, which says where and never what.
    """
    rest, before = b"", 0
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_LINE:
            raise _malformed(before + len(lines) + 1)
        if lines:
            yield _sample_ids(lines, before)
        before += len(lines)
    if rest:
        yield _sample_ids([rest], before)


def _sample_ids(lines: list[bytes], before: int) -> list[str]:
    found: list[str] = []
    append = found.append
    for number, line in enumerate(lines, before + 1):
        if len(line) > MAX_LINE:
            raise _malformed(number)
        try:
            if line.lstrip().startswith(b'"'):
                append(_STRING(line))
                continue
            append(_OBJECT(line).sample_id)
        except ValidationError:
            raise _malformed(number) from None
        if line.count(b'"') > QUOTES and outline(line).count(b":") > 1:
            # The same name twice, of which one ID would be lost.
            raise _malformed(number)
    return found


def _malformed(number: int) -> MalformedLine:
    return MalformedLine(
        f'Line {number} is neither a JSON string nor an object {{"sample_id": "…"}} with 1 to '
        f"{MAX_SAMPLE_ID} printable characters. Correct it and send all lines again: nothing was "
        "changed."
    )
