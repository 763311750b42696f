"""safetensors files to tensors and back: the only module that knows the format.

    8 bytes: n, little-endian    n bytes: the header, JSON    the tensors' bytes, without gaps

    header = {"__metadata__": {key: text}, name: {"dtype": "F32", "shape": […],
              "data_offsets": [from, to]}, …}         offsets count from the end of the header

Our files carry one canonical JSON text under one metadata key, and tensors in a fixed order, so the
same tensors and metadata always give the same bytes. The format has no checksum: what is read here
has been hashed before, but for files that somebody else made, which the library reads.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.artifacts import Writer
from models.artifacts.hashing import HashedReader
from models.errors import WeightsUnreadable

METADATA_KEY = "expunge"
PICKLE_STARTS = (b"PK\x03\x04", b"\x80")
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTH_BYTES = 8


@dataclass(frozen=True)
class Place:
    """Where a tensor's bytes lie in a file, and what they are."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int

    def of(self, content: Tensor) -> Tensor:
        """The tensor, from bytes (uint8) of its own."""
        return content.view(self.dtype).view(self.shape)


@dataclass(frozen=True)
class Layout:
    """A file's header: what is where. Places are in the order of the file."""

    places: dict[str, Place]
    metadata: dict[str, Any]

    @classmethod
    def of(
        cls, tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], metadata: Mapping[str, Any]
    ) -> "Layout":
        """That of a new file. Wide numbers come first, so that all are aligned."""
        sizes = {
            name: dtype.itemsize * math.prod(shape) for name, (dtype, shape) in tensors.items()
        }
        places: dict[str, Place] = {}
        start = 0
        for name in sorted(tensors, key=lambda name: (-tensors[name][0].itemsize, name)):
            dtype, shape = tensors[name]
            places[name] = Place(dtype, shape, start, start + sizes[name])
            start += sizes[name]
        layout = cls(places, dict(metadata))
        offset = len(layout.header())
        return cls(
            {
                name: Place(place.dtype, place.shape, place.start + offset, place.stop + offset)
                for name, place in places.items()
            },
            layout.metadata,
        )

    @classmethod
    def parse(cls, content: bytes | bytearray | memoryview) -> "Layout":
        """That of a file of ours which begins with `content`, a whole header or more.

        Raises `ValueError`, `KeyError` or `TypeError` if it is none.
        """
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        offset = LENGTH_BYTES + length
        header = json.loads(bytes(content[LENGTH_BYTES:offset]))
        metadata = json.loads(header.pop("__metadata__", {}).get(METADATA_KEY, "{}"))
        places = {
            name: Place(
                DTYPES[entry["dtype"]],
                tuple(entry["shape"]),
                offset + entry["data_offsets"][0],
                offset + entry["data_offsets"][1],
            )
            for name, entry in header.items()
        }
        layout = cls(dict(sorted(places.items(), key=lambda item: item[1].start)), metadata)
        for place in layout.places.values():
            size = place.dtype.itemsize * math.prod(place.shape)
            if (place.start, place.stop) != (offset, offset + size):
                raise ValueError("The tensors do not lie one after another.")
            offset = place.stop
        return layout

    @classmethod
    def read(cls, reader: HashedReader, size: int) -> "Layout":
        """That of a file of ours of so many bytes, read up to where its tensors begin.

        Raises what `parse` raises.
        """
        length = reader.read(LENGTH_BYTES)
        header = int.from_bytes(length, "little")
        if header > size - LENGTH_BYTES:
            raise ValueError("The header is longer than the file.")
        return cls.parse(length + reader.read(header))

    def header(self) -> bytes:
        """The bytes in front of the tensors; a multiple of eight of them."""
        first = min((place.start for place in self.places.values()), default=0)
        entries: dict[str, Any] = {"__metadata__": {METADATA_KEY: _canonical(self.metadata)}}
        for name, place in self.places.items():
            entries[name] = {
                "dtype": NAMES[place.dtype],
                "shape": list(place.shape),
                "data_offsets": [place.start - first, place.stop - first],
            }
        text = json.dumps(entries, separators=(",", ":"), ensure_ascii=True).encode()
        text += b" " * (-len(text) % LENGTH_BYTES)
        return len(text).to_bytes(LENGTH_BYTES, "little") + text


def write_tensors(
    writer: Writer, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write tensors by name; the same tensors and metadata always give the same bytes."""
    layout = Layout.of({name: (t.dtype, tuple(t.shape)) for name, t in tensors.items()}, metadata)
    writer.write(layout.header())
    for name in layout.places:
        writer.write(bytes_of(tensors[name]))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors, as `write_tensors` does, to a file of their own."""
    with path.open("wb") as file:
        write_tensors(file, tensors, metadata)


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's numbers as they lie in a file; its own memory if it can be."""
    flat = tensor.detach().cpu().contiguous().view(-1)
    return flat.view(torch.uint8).numpy().data


def parse_tensors(content: bytearray) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of one of our files; the tensors lie in `content` itself."""
    layout = Layout.parse(content)
    held = torch.frombuffer(content, dtype=torch.uint8)
    tensors = {
        name: place.of(held[place.start : place.stop]) for name, place in layout.places.items()
    }
    return tensors, layout.metadata


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and our metadata ({} if the file is somebody else's).

    Raises `WeightsUnreadable` for anything that is not a whole safetensors file. Nothing in the
    file is executed.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name).clone() for name in names}
            metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    except FileNotFoundError:
        raise WeightsUnreadable(f"There is no file {path}.") from None
    except OSError as error:
        raise WeightsUnreadable(f"{path} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise WeightsUnreadable(
            f"{path} has metadata under {METADATA_KEY!r} that are not JSON. Save it without them."
        ) from error
    except SafetensorError as error:
        raise WeightsUnreadable(_what_it_is_instead(path, error)) from error
    return tensors, metadata


def _canonical(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _what_it_is_instead(path: Path, error: SafetensorError) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(PICKLE_STARTS):
        return (
            f"{path} is a PyTorch pickle, which can execute code when it is loaded, so it is not "
            "opened. Save the weights with safetensors.torch.save_file(network.state_dict(), path)."
        )
    return f"{path} is not a whole safetensors file: {error}. Save or copy it again."
