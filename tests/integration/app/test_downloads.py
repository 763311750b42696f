"""GET and HEAD /checkpoints/{version}/file: whole, in parts, only if changed."""

import base64
import hashlib
import subprocess
import sys
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integration.app.support import CHECKPOINTS, assert_problem

FILE = f"{CHECKPOINTS}/1/file"
BASE = f"{CHECKPOINTS}/0/file"
LOAD = """
import sys
from safetensors.numpy import load_file
tensors = load_file(sys.argv[1])
assert tensors and all(abs(t).max() < 1e9 for t in tensors.values())
print("torch" in sys.modules, len(tensors))
"""


def test_the_file_comes_with_digest_name_and_type(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    answer = client.get(FILE)

    digest = hashlib.sha256(answer.content)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    encoded = base64.b64encode(digest.digest()).decode()
    assert answer.headers["Repr-Digest"] == f"sha-256=:{encoded}:"
    disposition = answer.headers["Content-Disposition"]
    assert disposition == 'attachment; filename="digits-v1.safetensors"'
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_the_downloaded_bytes_load_in_a_fresh_process(reader: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "downloaded.safetensors"
    path.write_bytes(reader.get(BASE).content)

    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], check=True, capture_output=True, text=True
    )

    assert int(loaded.stdout.split()[1]) > 5


def test_head_answers_like_get_without_the_bytes(reader: TestClient) -> None:
    got, head = reader.get(BASE), reader.head(BASE)

    assert head.status_code == 200
    assert head.content == b""
    for name in (
        "Content-Length",
        "Content-Type",
        "ETag",
        "Repr-Digest",
        "Content-Disposition",
        "Accept-Ranges",
    ):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-100", slice(100, 101)),
        ("bytes=500-", slice(500, None)),
        ("bytes=-64", slice(-64, None)),
        ("bytes=10-99999999999", slice(10, None)),
    ],
)
def test_one_range_is_sent(reader: TestClient, sent: str, part: slice) -> None:
    whole = reader.get(BASE)
    positions = range(len(whole.content))[part]

    answer = reader.get(BASE, headers={"Range": sent})

    assert answer.status_code == 206
    assert answer.content == whole.content[part]
    expected = f"bytes {positions[0]}-{positions[-1]}/{len(whole.content)}"
    assert answer.headers["Content-Range"] == expected
    assert answer.headers["ETag"] == whole.headers["ETag"]
    # Repr-Digest is of the whole, whatever part is sent (RFC 9530).
    assert answer.headers["Repr-Digest"] == whole.headers["Repr-Digest"]


def test_a_suffix_longer_than_the_file_is_all_of_it(reader: TestClient) -> None:
    whole = reader.get(BASE).content
    answer = reader.get(BASE, headers={"Range": f"bytes=-{len(whole) + 1}"})
    assert answer.status_code in {200, 206}
    assert answer.content == whole


def test_several_ranges_are_sent_as_parts(reader: TestClient) -> None:
    whole = reader.get(BASE).content

    answer = reader.get(BASE, headers={"Range": "bytes=0-9,100-119,-5"})

    assert answer.status_code == 206
    kind = answer.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges")
    message = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\n\n" + answer.content)
    found = [part.get("Content-Range") for part in message.get_payload()]  # type: ignore[union-attr]
    size = len(whole)
    assert found == [
        f"bytes 0-9/{size}",
        f"bytes 100-119/{size}",
        f"bytes {size - 5}-{size - 1}/{size}",
    ]
    for piece in (whole[:10], whole[100:120], whole[-5:]):
        assert piece in answer.content


def test_a_range_beyond_the_end_is_a_problem_that_names_the_length(reader: TestClient) -> None:
    size = reader.head(BASE).headers["Content-Length"]

    answer = reader.get(BASE, headers={"Range": f"bytes={size}-"})

    assert_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_a_range_in_a_unit_nobody_knows_is_ignored(reader: TestClient) -> None:
    """RFC 9110, 14.2: an origin server MUST ignore it."""
    answer = reader.get(BASE, headers={"Range": "tensors=0-5"})
    assert answer.status_code == 200


def test_a_range_that_holds_for_the_same_bytes_is_sent(reader: TestClient) -> None:
    etag = reader.head(BASE).headers["ETag"]
    answer = reader.get(BASE, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (answer.status_code, len(answer.content)) == (206, 10)


@pytest.mark.parametrize("other", ['"other"', "W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_range_that_holds_for_other_bytes_is_answered_with_the_whole(
    reader: TestClient, other: str
) -> None:
    whole = reader.get(BASE)
    headers = {"Range": "bytes=0-9", "If-Range": other.format(etag=whole.headers["ETag"])}
    answer = reader.get(BASE, headers=headers)
    assert answer.status_code == 200
    assert answer.content == whole.content


def test_bytes_that_the_client_has_are_not_sent_again(reader: TestClient) -> None:
    etag = reader.head(BASE).headers["ETag"]

    for sent in (etag, f'"other", {etag}', "*"):
        for method in ("GET", "HEAD"):
            answer = reader.request(method, BASE, headers={"If-None-Match": sent})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == etag
    assert reader.get(BASE, headers={"If-None-Match": '"other"'}).status_code == 200


def test_who_expects_another_file_gets_none(reader: TestClient) -> None:
    etag = reader.get(BASE).headers["ETag"]
    assert reader.get(BASE, headers={"If-Match": etag}).status_code == 200
    assert_problem(reader.get(BASE, headers={"If-Match": '"other"'}), 412, "precondition-failed")


def test_if_none_match_is_asked_before_the_range(reader: TestClient) -> None:
    etag = reader.head(BASE).headers["ETag"]
    answer = reader.get(BASE, headers={"If-None-Match": etag, "Range": "bytes=0-9"})
    assert answer.status_code == 304
