"""What do exact per-sample Fisher sums cost, next to one plain forward and backward pass?

Interleaved in one process, medians, threads fixed; every contender gets the same batch. Contenders
that take seconds a sample get a part of it. Peak memory is read in a process of its own for each.

`python -m benchmarks.importances`
"""

import argparse
import ctypes
import gc
import json
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks import contenders, results
from models.specifications import ArchitectureSpec
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.importances import REPRODUCIBLE_BATCH

THREADS = 2
CLASSES = 10
BATCH = 64
GROWTH = (8, 32, 128)
SAMPLES = 256
# Contenders that are slower get so many samples.
FEW = 16
# Samples that `vmap(grad)` takes at once: which is best depends on the network, so all are tried.
CHUNKS = (8, 16, 32)
Contender = Callable[[nn.Module, list[Batch]], contenders.Run]

# Requests sum reproducibly, in batches of eight; a plain pass in such batches is slower too.
PLAIN_AS_REQUESTS = f"plain, batches of {REPRODUCIBLE_BATCH}"
OURS_AS_REQUESTS = "ours, as requests use it"

# Each with the size of its batches and their number: ours and the plain pass get a whole window.
CONTENDERS: Mapping[str, tuple[Contender, int, int]] = {
    "plain": (contenders.plain, BATCH, SAMPLES // BATCH),
    "plain, channels last": (contenders.plain_channels_last, BATCH, SAMPLES // BATCH),
    PLAIN_AS_REQUESTS: (contenders.plain, REPRODUCIBLE_BATCH, SAMPLES // REPRODUCIBLE_BATCH),
    "ours": (contenders.ours, BATCH, SAMPLES // BATCH),
    "ours, reproducible": (contenders.ours_reproducible, BATCH, SAMPLES // BATCH),
    OURS_AS_REQUESTS: (
        contenders.ours_reproducible,
        REPRODUCIBLE_BATCH,
        SAMPLES // REPRODUCIBLE_BATCH,
    ),
    "batch-1 loop": (contenders.loop, FEW, 1),
    **{
        f"vmap(grad), {chunk} at once": (partial(contenders.by_vmap, chunk=chunk), max(CHUNKS), 1)
        for chunk in CHUNKS
    },
    "BackPACK": (contenders.backpack, FEW, 1),
    "Opacus": (contenders.opacus, FEW, 1),
}
# glibc's number for the size from which a piece of memory is the system's (malloc.h).
M_MMAP_THRESHOLD = -3
MEASURED_MEMORY = ("plain", PLAIN_AS_REQUESTS, "ours", OURS_AS_REQUESTS)
console = Console()


def resnet18(*, cifar_stem: bool) -> nn.Module:
    """Torchvision's ResNet18 for ten classes."""
    options: dict[str, bool | int | float | str] = {"cifar_stem": True} if cifar_stem else {}
    return build(ArchitectureSpec(name="resnet18", num_classes=CLASSES, options=options))


def vit() -> nn.Module:
    """12 layers, width 192, 65 tokens."""
    network: nn.Module = torchvision.models.VisionTransformer(
        image_size=32,
        patch_size=4,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=CLASSES,
    )
    return network.eval()


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "ResNet18, stock stem": lambda: resnet18(cifar_stem=False),
    "ResNet18, CIFAR stem": lambda: resnet18(cifar_stem=True),
    "ViT, 12 x 192": vit,
}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    found: dict[str, dict[str, Any]] = {
        name: {
            "contenders": compare(make(), repetitions),
            "growth": growth(make(), repetitions),
            "memory": {who: peak(name, who) for who in MEASURED_MEMORY},
            "one_set_of_sums": size_of_sums(make()),
        }
        for name, make in NETWORKS.items()
    }
    path = results.write("importances", {"batch": BATCH, "networks": found})
    _print(found)
    results.plot_bars(
        "importances",
        {name: network["contenders"] for name, network in found.items()},
        "time per sample / plain forward and backward pass",
    )
    console.print(f"Written to {path}.")
    return 0


def batch_of(size: int) -> Batch:
    """Random images of 32 x 32: what they show does not matter to the time."""
    generator = torch.Generator().manual_seed(size)
    images = torch.randn(size, 3, 32, 32, generator=generator)
    return Batch.of(images, torch.randint(0, CLASSES, (size,), generator=generator))


def compare(network: nn.Module, repetitions: int) -> dict[str, Any]:
    """Milliseconds per sample of every contender, and their ratio to the plain pass.

    `vmap(grad)` is there once, at the chunk that suits it best.
    """
    runs: dict[str, contenders.Run] = {}
    unsupported: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for name, (contender, size, count) in CONTENDERS.items():
        try:
            runs[name] = contender(network, [batch_of(size)] * count)
            sizes[name] = size * count
        except contenders.Unsupported as error:
            unsupported[name] = str(error)
    seconds = interleaved(runs, repetitions)
    plain = seconds["plain"] / sizes["plain"]
    found: dict[str, Any] = {
        name: {"ms_per_sample": 1e3 * s / sizes[name], "ratio": s / sizes[name] / plain}
        for name, s in seconds.items()
    }
    found[OURS_AS_REQUESTS]["ratio_to_plain_in_such_batches"] = (
        seconds[OURS_AS_REQUESTS] / seconds[PLAIN_AS_REQUESTS]
    )
    return best_chunk(found) | {
        name: {"unsupported": reason} for name, reason in unsupported.items()
    }


def best_chunk(found: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same without the slower chunks of `vmap(grad)`; the best says what each of them took."""
    taken = {name: f["ms_per_sample"] for name, f in found.items() if name.startswith("vmap")}
    best = min(taken, key=taken.__getitem__)
    kept = {name: figures for name, figures in found.items() if name not in taken or name == best}
    return kept | {best: {**found[best], "ms_per_sample_of_chunks": taken}}


def growth(network: nn.Module, repetitions: int) -> dict[str, Any]:
    """Milliseconds per sample as the batch grows: of the plain pass, of ours, and of ours if it
    must make its passes of just that size.
    """
    found = {}
    for size in GROWTH:
        batches = [batch_of(size)] * (SAMPLES // size)
        runs = {
            "plain": contenders.plain(network, batches),
            "ours": contenders.ours(network, batches),
            "ours, passes of that size": contenders.ours_as_delivered(network, batches),
        }
        seconds = interleaved(runs, repetitions)
        found[str(size)] = {name: 1e3 * s / SAMPLES for name, s in seconds.items()}
    return found


def interleaved(runs: Mapping[str, contenders.Run], repetitions: int) -> dict[str, float]:
    """Median seconds of each, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repetitions):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def peak(network: str, contender: str) -> float:
    """MiB that a pass adds to a process of its own, over a window and one batch more.

    The plain pass is at its peak in every batch; ours is when it sums a window and already holds
    the sums of one before.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(network, contender, sender))
    process.start()
    mebibytes: float = receiver.recv()
    process.join()
    return mebibytes


def _peak(network: str, contender: str, sender: Any) -> None:
    torch.set_num_threads(THREADS)
    give_back_what_is_freed()
    make, size, count = CONTENDERS[contender]
    built = NETWORKS[network]()
    # Libraries and kernels are loaded by a first pass.
    make(built, [batch_of(2)])()
    run = make(built, [batch_of(size)] * (count + 1))
    release()
    # 5: forget the peak so far (proc(5), clear_refs).
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    run()
    sender.send((status("VmHWM") - before) / 1024)


def give_back_what_is_freed() -> None:
    """From now on, memory that is freed goes back to the system, if it was a megabyte or more.

    Else what is measured depends on how the pieces happen to lie on the heap: a pass with the same
    tensors took 202 to 223 MiB in four processes, and takes 171 or 172 like this. Nobody's time is
    measured here, for which it would be bad.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, 1 << 20)


def release() -> None:
    """Give freed memory back to the system: a pass that reuses it would seem to need less."""
    gc.collect()
    # glibc has it, other C libraries need not.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def size_of_sums(network: nn.Module) -> float:
    """MiB of one set of float64 sums."""
    return sum(8 * parameter.numel() for parameter in network.parameters()) / 2**20


def status(field: str) -> int:
    """A figure of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _print(found: Mapping[str, Any]) -> None:
    for name, network in found.items():
        table = Table(title=name)
        for column in ("", "ms per sample", "x plain"):
            table.add_column(column)
        for who, figures in network["contenders"].items():
            if "unsupported" in figures:
                table.add_row(who, "-", figures["unsupported"][:60])
            else:
                table.add_row(who, f"{figures['ms_per_sample']:.2f}", f"{figures['ratio']:.2f}")
        console.print(table)
        in_such = network["contenders"][OURS_AS_REQUESTS]["ratio_to_plain_in_such_batches"]
        console.print(f"{OURS_AS_REQUESTS}: {in_such:.2f} x {PLAIN_AS_REQUESTS}")
        console.print("growth", json.dumps(network["growth"]))
        console.print("peak MiB above the network", json.dumps(network["memory"]))
        console.print(f"one set of sums: {network['one_set_of_sums']:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
