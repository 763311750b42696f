"""JSON bodies of deletion requests: what is far from right costs about as much as has come."""

import tracemalloc

import pytest
from fastapi.exceptions import RequestValidationError

from app.intake.posted import read_posted
from app.security import Principal
from models.errors import TooManySamples
from models.settings import Scope

PRINCIPAL = Principal("pipeline", frozenset({Scope.REQUESTS}))
MOST = 1000
MANY = 300_000


def body(items: bytes, more: bytes = b"") -> bytes:
    return b'{"model": "digits", "sample_ids": [%b]%b}' % (items, more)


def read(content: bytes) -> list[str]:
    return read_posted(content, None, PRINCIPAL, MOST).sample_ids


@pytest.mark.parametrize("bad", [b'""', b"0", b"null", b"[]", b'"\\u0000"'])
def test_of_many_bad_sample_ids_one_is_named(bad: bytes) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read(body(b",".join([b'"person-1"', *[bad] * (MOST - 1)])))
    assert [item["loc"] for item in refused.value.errors()] == [("body", "sample_ids", 1)]


@pytest.mark.parametrize(
    "content",
    [
        body(b",".join([b'""'] * MANY)),
        body(b",".join([b'"a"'] * MANY)),
        body(b" , ".join([b'"\\"\\\\"'] * MANY)),
        body(b",".join([b"0"] * MANY)),
        body(b",".join([b"[[]]"] * MANY)),
        body(b'"a"', b"," + b",".join(b'"%x": 0' % number for number in range(MANY))),
    ],
)
def test_far_too_much_is_refused_before_it_is_parsed(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooManySamples, match=str(MOST)):
            read(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(content)


def test_quotation_marks_and_commas_within_sample_ids_are_not_counted() -> None:
    names = [f'"{number}\\",:{{[' + '\\"' * 50 + "," * 50 for number in range(MOST)]
    content = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    assert read(body(content.encode())) == names


def test_one_more_than_the_limit_is_counted_and_as_many_are_taken() -> None:
    names = [f"person-{number}" for number in range(MOST + 1)]
    everything = b', "mode": "delete", "reference": "r", "deadline": "2030-01-01T00:00:00Z"'
    quoted = [b'"%b"' % name.encode() for name in names]
    assert read(body(b",".join(quoted[:-1]), everything)) == names[:-1]
    with pytest.raises(TooManySamples, match=f"^{MOST + 1} sample IDs were sent"):
        read(body(b",".join(quoted)))
    with pytest.raises(TooManySamples, match=f"^More than {MOST} sample IDs"):
        read(body(b",".join(quoted), everything))


@pytest.mark.parametrize(
    "more", [b', "model": "digits"', b', "sample_ids": ["person-2"]', b', "mod\\u0065l": "other"']
)
def test_a_field_that_is_given_twice_is_refused_rather_than_lost(more: bytes) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read(body(b'"person-1"', more))
    [item] = refused.value.errors()
    assert (item["loc"], item["msg"]) == (("body",), "holds a field twice")


def test_of_very_many_fields_that_there_cannot_be_only_the_number_is_told() -> None:
    more = b"".join(b', "a%d": 0' % number for number in range(100))
    with pytest.raises(RequestValidationError) as refused:
        read(body(b'"person-1"', more))
    [item] = refused.value.errors()
    assert "102 fields" in item["msg"]


@pytest.mark.parametrize("content", [b'"' + b'\\"' * 500_000, b"\\" * 999_999, b'"' * 999])
def test_strings_that_do_not_end_are_no_json(content: bytes) -> None:
    with pytest.raises(RequestValidationError) as refused:
        read(content)
    assert refused.value.errors()[0]["type"] == "json_invalid"
