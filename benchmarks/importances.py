"""What do exact per-sample Fisher sums cost, next to one plain forward and backward pass?

Interleaved in one process, medians, threads fixed; every contender gets the same batch. Contenders
that take seconds a sample get a part of it. On a CPU peak memory is read in a process of its own
for each.

`python -m benchmarks.importances`
"""

import argparse
import json
import multiprocessing
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.tools import contenders, memory, results
from benchmarks.tools.timing import Run, interleaved
from models.specifications import ArchitectureSpec
from workers.architectures import build
from workers.resources import require_determinism
from workers.unlearning.batches import Batch
from workers.unlearning.passes import reproducible_size

THREADS = 2
CLASSES = 10
Contender = Callable[[nn.Module, list[Batch]], Run]


@dataclass(frozen=True)
class Sizes:
    """Samples of a batch, and of all batches: ours and the plain pass get at least a window.

    Contenders that take very long get `few`. `vmap(grad)` takes one of `chunks` at once: which is
    best depends on the network, so all are tried. Batches grow through `growing`.
    """

    batch: int
    samples: int
    few: int
    chunks: tuple[int, ...]
    growing: tuple[int, ...]


# GPUs want more at a time.
SIZES = {
    "cpu": Sizes(batch=64, samples=256, few=16, chunks=(8, 16, 32), growing=(8, 32, 128)),
    "cuda": Sizes(batch=256, samples=1024, few=64, chunks=(32, 64, 128), growing=(64, 256, 1024)),
}

PLAIN, OURS = "plain", "ours"
# Requests sum reproducibly, in batches that suit the network; where they are small, a plain pass in
# such batches is slower too.
PLAIN_AS_REQUESTS = "plain, in the batches of requests"
OURS_AS_REQUESTS = "ours, as requests use it"
MEASURED_MEMORY = (PLAIN, PLAIN_AS_REQUESTS, OURS, OURS_AS_REQUESTS)
console = Console()


def contenders_for(
    network: nn.Module, device: torch.device
) -> dict[str, tuple[Contender, int, int]]:
    """Each with the size of its batches and their number."""
    sizes = SIZES[device.type]
    in_request = reproducible_size(network, batch_of(1, device).inputs)
    whole = (sizes.batch, sizes.samples // sizes.batch)
    as_requests = (in_request, sizes.samples // in_request)
    return {
        PLAIN: (contenders.plain, *whole),
        "plain, channels last": (contenders.plain_channels_last, *whole),
        PLAIN_AS_REQUESTS: (contenders.plain, *as_requests),
        OURS: (contenders.ours, *whole),
        "ours, reproducible": (contenders.ours_reproducible, *whole),
        OURS_AS_REQUESTS: (contenders.ours_reproducible, *as_requests),
        "batch-1 loop": (contenders.loop, sizes.few, 1),
        **{
            f"vmap(grad), {chunk} at once": (
                partial(contenders.by_vmap, chunk=chunk),
                max(sizes.chunks),
                1,
            )
            for chunk in sizes.chunks
        },
        "BackPACK": (contenders.backpack, sizes.few, 1),
        "Opacus": (contenders.opacus, sizes.few, 1),
    }


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
    parser.add_argument("--device", choices=SIZES, default="cpu")
    parser.add_argument("--name", help="of the result")
    given = parser.parse_args()
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    device = torch.device(given.device)
    _prepare(device)
    found: dict[str, dict[str, Any]] = {
        name: {
            "contenders": compare(make().to(device), device, given.repetitions),
            "growth": growth(make().to(device), device, given.repetitions),
            "memory": {who: peak(name, who, device) for who in MEASURED_MEMORY},
            "one_set_of_sums": size_of_sums(make()),
        }
        for name, make in NETWORKS.items()
    }
    name = results.name_on("importances", given)
    path = results.write(name, {"batch": SIZES[device.type].batch, "networks": found})
    _print(found)
    results.plot_bars(
        name,
        {name: network["contenders"] for name, network in found.items()},
        "time per sample / plain forward and backward pass",
    )
    console.print(f"Written to {path}.")
    return 0


def _prepare(device: torch.device) -> None:
    torch.set_num_threads(THREADS)
    if device.type == "cuda":
        # As in a worker: else the plain pass would be in TF32.
        require_determinism()


def batch_of(size: int, device: torch.device) -> Batch:
    """Random images of 32 x 32: what they show does not matter to the time."""
    generator = torch.Generator().manual_seed(size)
    images = torch.randn(size, 3, 32, 32, generator=generator)
    return Batch.of(images, torch.randint(0, CLASSES, (size,), generator=generator)).to(device)


def compare(network: nn.Module, device: torch.device, repetitions: int) -> dict[str, Any]:
    """Milliseconds per sample of every contender, and their ratio to the plain pass.

    `vmap(grad)` is there once, at the chunk that suits it best.
    """
    runs: dict[str, Run] = {}
    unsupported: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for name, (contender, size, count) in contenders_for(network, device).items():
        try:
            runs[name] = contender(network, [batch_of(size, device)] * count)
            sizes[name] = size * count
        except contenders.Unsupported as error:
            unsupported[name] = str(error)
    seconds = interleaved(runs, repetitions)
    plain = seconds[PLAIN] / sizes[PLAIN]
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


def growth(network: nn.Module, device: torch.device, repetitions: int) -> dict[str, Any]:
    """Milliseconds per sample as the batch grows: of the plain pass, of ours, and of ours if it
    must make its passes of just that size.
    """
    found = {}
    samples = SIZES[device.type].samples
    for size in SIZES[device.type].growing:
        batches = [batch_of(size, device)] * (samples // size)
        runs = {
            PLAIN: contenders.plain(network, batches),
            OURS: contenders.ours(network, batches),
            "ours, passes of that size": contenders.ours_as_delivered(network, batches),
        }
        seconds = interleaved(runs, repetitions)
        found[str(size)] = {name: 1e3 * s / samples for name, s in seconds.items()}
    return found


def peak(network: str, contender: str, device: torch.device) -> float:
    """MiB that a pass adds, on a CPU to a process of its own, over a window and one batch more.

    The plain pass is at its peak in every batch; ours is when it sums a window and already holds
    the sums of one before.
    """
    if device.type == "cuda":
        # What was taken and given back before does not count there.
        return _peak(network, contender, device)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_peak, args=(network, contender, device, sender))
    process.start()
    # Else nobody would hear that it has died.
    sender.close()
    mebibytes: float = receiver.recv()
    process.join()
    return mebibytes


def _send_peak(network: str, contender: str, device: torch.device, sender: Any) -> None:
    _prepare(device)
    memory.give_back_what_is_freed()
    sender.send(_peak(network, contender, device))


def _peak(network: str, contender: str, device: torch.device) -> float:
    built = NETWORKS[network]().to(device)
    make, size, count = contenders_for(built, device)[contender]
    # Libraries and kernels are loaded by a first pass.
    make(built, [batch_of(2, device)])()
    run = make(built, [batch_of(size, device)] * (count + 1))
    return memory.peak_above_now(run, device)


def size_of_sums(network: nn.Module) -> float:
    """MiB of one set of float64 sums."""
    return sum(8 * parameter.numel() for parameter in network.parameters()) / 2**20


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
