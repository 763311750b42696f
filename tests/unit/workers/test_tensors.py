"""The safetensors format, as we write and read it, against the library's own reading."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from workers.tensors import DTYPES, Layout, parse_tensors, read_tensors, save_tensors, write_tensors

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
TENSORS = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.tuples(st.sampled_from(list(DTYPES.values())), SHAPES),
    max_size=6,
)
METADATA = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3)


def _filled(kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: (torch.randn(shape) * 50).to(dtype) for name, (dtype, shape) in kinds.items()}


def _assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)


@given(kinds=TENSORS, metadata=METADATA)
def test_what_is_written_the_library_and_we_read(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]],
    metadata: dict[str, int | str],
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "file"
    tensors = _filled(kinds)
    save_tensors(path, tensors, metadata)
    _assert_equal(load_file(path), tensors)
    ours, ours_metadata = parse_tensors(bytearray(path.read_bytes()))
    _assert_equal(ours, tensors)
    assert ours_metadata == metadata
    _assert_equal(read_tensors(path)[0], tensors)


@given(kinds=TENSORS, metadata=METADATA)
def test_a_header_read_back_is_the_same_header(
    kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]], metadata: dict[str, int | str]
) -> None:
    layout = Layout.of(kinds, metadata)
    assert Layout.parse(layout.header()) == layout
    assert all(place.start % place.dtype.itemsize == 0 for place in layout.places.values())


def test_the_order_of_tensors_and_metadata_changes_no_byte(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, dtype=torch.int64), "c": torch.ones(3)}
    save_tensors(tmp_path / "one", tensors, {"x": 1, "y": 2})
    backwards = dict(reversed(tensors.items()))
    save_tensors(tmp_path / "other", backwards, {"y": 2, "x": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_tensors_that_lie_otherwise_in_memory_are_written_by_their_shape(tmp_path: Path) -> None:
    tensor = torch.arange(24.0).view(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    save_tensors(tmp_path / "file", {"turned": tensor, "part": tensor[:, 1]}, {})
    _assert_equal(load_file(tmp_path / "file"), {"turned": tensor, "part": tensor[:, 1]})


def test_tensors_that_were_parsed_may_be_changed() -> None:
    content = bytearray()

    class Memory:
        def write(self, data: bytes | memoryview, /) -> None:
            content.extend(data)

    write_tensors(Memory(), {"a": torch.ones(2)}, {})
    tensors, _ = parse_tensors(content)
    tensors["a"].add_(1)
    assert tensors["a"].tolist() == [2, 2]


def test_somebody_elses_metadata_are_none_of_ours(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "file", metadata={"format": "pt"})
    assert read_tensors(tmp_path / "file")[1] == {}


def test_our_metadata_are_one_canonical_text_under_one_key(tmp_path: Path) -> None:
    save_tensors(tmp_path / "file", {"a": torch.ones(2)}, {"b": 1, "a": [2]})
    with safe_open(tmp_path / "file", framework="pt") as file:
        (text,) = file.metadata().values()
    assert text == json.dumps({"a": [2], "b": 1}, separators=(",", ":"))
