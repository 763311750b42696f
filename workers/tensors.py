"""safetensors files to tensors and back: the only module that knows the format.

A file carries one canonical JSON text under one metadata key; with several keys its bytes would
not be reproducible. The format has no checksum, so callers hash files before they load them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.errors import WeightsUnreadable

METADATA_KEY = "expunge"
PICKLE_STARTS = (b"PK\x03\x04", b"\x80")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors by name; the same tensors and metadata always give the same bytes."""
    canonical = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(on_cpu, path, metadata={METADATA_KEY: canonical})


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


def _what_it_is_instead(path: Path, error: SafetensorError) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(PICKLE_STARTS):
        return (
            f"{path} is a PyTorch pickle, which can execute code when it is loaded, so it is not "
            "opened. Save the weights with safetensors.torch.save_file(network.state_dict(), path)."
        )
    return f"{path} is not a whole safetensors file: {error}. Save or copy it again."
