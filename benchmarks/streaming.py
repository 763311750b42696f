"""What does dampening from files to a file cost, next to copying and hashing the same bytes?

A synthetic checkpoint of a thousand million weights, its sums and one cohort's: 20 GB, more than is
wanted in memory. Copying reads all of it and writes the checkpoint's bytes; both hash whatever they
read and write, in pieces of one size. In turns, each in a process of its own, whose memory above
that of a first, tiny pass is read too.

`python -m benchmarks.streaming`; it needs 25 GB of disk.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.importances import THREADS
from benchmarks.tools import results
from benchmarks.tools.memory import status
from models.artifacts import Artifact, Writer
from models.artifacts.filesystem import FilesystemStore
from models.artifacts.hashing import HashedReader, hashing
from workers.streaming import PIECE, StreamedCohort, dampen_stored
from workers.tensors import Layout, bytes_of
from workers.unlearning.dampening import Population
from workers.unlearning.tuning import Setting

WEIGHTS = 1_000_000_000
# Weights of one tensor.
TENSOR = 8_000_000
COHORT_OF = Population(total=50_000, forgotten=5_000)
SETTING = Setting(selection=10.0, strength=1.0)
GOAL_RATIO, GOAL_MIB = 1.3, 64
Files = tuple[Artifact, Artifact, Artifact]
console = Console()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=int, default=WEIGHTS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where there is room")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="expunge-bench-") as name:
        folder = Path(name)
        console.print("Making files.")
        small, large = make(folder, 10_000, 1_000), make(folder, given.weights, TENSOR)
        taken: dict[str, list[dict[str, float]]] = {"copying": [], "streaming": []}
        for _ in range(given.repetitions):
            for way, runs in taken.items():
                runs.append(in_a_process(way, folder, small, large))
                console.print(way, runs[-1])
    medians = {
        way: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for way, runs in taken.items()
    }
    found = {
        "weights": given.weights,
        "runs": taken,
        "medians": medians,
        "ratio": medians["streaming"]["seconds"] / medians["copying"]["seconds"],
        "goals": {"ratio": GOAL_RATIO, "mebibytes": GOAL_MIB},
    }
    path = results.write("streaming", found)
    results.plot_bars(
        "streaming",
        {
            f"{given.weights:,} weights": {
                way: {"ratio": figures["seconds"] / medians["copying"]["seconds"]}
                for way, figures in medians.items()
            }
        },
        "time / copying and hashing the same bytes",
    )
    console.print_json(data=found)
    console.print(f"Written to {path}.")
    return 0


def make(folder: Path, weights: int, size: int) -> Files:
    """A base in float32, full sums and a cohort's in float64, in tensors of `size`.

    2 % of the weights are selected.
    """
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(size, generator=generator)
    retain = torch.rand(size, generator=generator, dtype=torch.float64) + 0.1
    forget = torch.rand(size, generator=generator, dtype=torch.float64) * 0.05
    forget[torch.rand(size, generator=generator) < 0.02] *= 200
    store = FilesystemStore(folder)

    def put(tensor: Tensor) -> Artifact:
        names = [f"layer.{number:04}" for number in range(weights // size)]
        layout = Layout.of(dict.fromkeys(names, (tensor.dtype, (size,))), {})

        def write(writer: Writer) -> None:
            writer.write(layout.header())
            for _ in names:
                writer.write(bytes_of(tensor))

        return store.put(write)

    return put(base), put(retain + forget), put(forget)


def in_a_process(way: str, folder: Path, small: Files, large: Files) -> dict[str, float]:
    """Seconds and MiB."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(way, folder, small, large, sender))
    process.start()
    figures: dict[str, float] = receiver.recv()
    process.join()
    return figures


def _measure(way: str, folder: Path, small: Files, large: Files, sender: Any) -> None:
    torch.set_num_threads(THREADS)
    store = FilesystemStore(folder / "out")
    # Loops and libraries are loaded by a first pass.
    WAYS[way](FilesystemStore(folder), small, store)
    loaded = status("VmRSS")
    # 5: forget the peak so far (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    made = WAYS[way](FilesystemStore(folder), large, store)
    seconds = time.perf_counter() - started
    store.sized_path(made).unlink()
    sender.send(
        {
            "seconds": seconds,
            "mebibytes": (status("VmHWM") - loaded) / 1024,
        }
    )


def copying(kept: FilesystemStore, files: Files, store: FilesystemStore) -> Artifact:
    """Read and hash everything, and write the base again."""
    base, *sums = files
    for artifact in sums:
        _read(kept, artifact, lambda _piece: None)
    return store.put(lambda writer: _read(kept, base, writer.write))


def _read(kept: FilesystemStore, artifact: Artifact, use: Callable[[memoryview], object]) -> None:
    buffer = memoryview(bytearray(8 * PIECE))
    with kept.sized_path(artifact).open("rb", buffering=0) as file, hashing() as digest:
        reader = HashedReader(file, digest)
        while reader.position < artifact.size:
            piece = buffer[: min(len(buffer), artifact.size - reader.position)]
            reader.read_into(piece)
            use(piece)
        assert reader.hexdigest() == artifact.sha256


def streaming(kept: FilesystemStore, files: Files, store: FilesystemStore) -> Artifact:
    """Dampen."""
    base, full, forget = files
    cohorts = [StreamedCohort([forget], COHORT_OF, SETTING)]
    return store.put(lambda writer: dampen_stored(base, full, cohorts, {}, kept, writer))


WAYS: Mapping[str, Callable[[FilesystemStore, Files, FilesystemStore], Artifact]] = {
    "copying": copying,
    "streaming": streaming,
}


if __name__ == "__main__":
    sys.exit(main())
