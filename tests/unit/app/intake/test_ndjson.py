"""Lines that come in parts: what of them is kept waiting for its end."""

from collections.abc import Iterator

import pytest

from app.intake.ndjson import MAX_LINE, read_lines
from models.errors import MalformedLine


def test_a_line_may_be_cut_anywhere() -> None:
    body = '"a"\n{"sample_id": "bü"}\n"c"'.encode()
    for size in range(1, len(body) + 1):
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        assert [name for found in read_lines(parts) for name in found] == ["a", "bü", "c"]


def test_a_line_without_an_end_is_given_up_before_all_of_it_has_come() -> None:
    came = 0

    def parts() -> Iterator[bytes]:
        nonlocal came
        yield b'"a"\n'
        for _ in range(1000):
            came += 1000
            yield b"x" * 1000

    with pytest.raises(MalformedLine, match="Line 2 "):
        list(read_lines(parts()))
    assert came <= MAX_LINE + 1000
