"""Name → network: Expunge's own, torchvision's classification networks, and plug-ins.

A plug-in is an entry point in the group `expunge.architectures`: a callable that takes
`num_classes` and its options as keywords and returns a `torch.nn.Module` whose forward pass turns
images [n, c, h, w] into logits [n, num_classes]. Its name must be its own.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points

from torch import nn

from models.errors import UnknownArchitecture
from models.specifications import ArchitectureSpec
from workers.architectures.small_resnet import small_resnet
from workers.architectures.torchvision_networks import torchvision_builders

Builder = Callable[..., nn.Module]

PLUG_INS = "expunge.architectures"

# Expunge's own.
ARCHITECTURES: Mapping[str, Builder] = {"small_resnet": small_resnet}


def build(spec: ArchitectureSpec) -> nn.Module:
    """A network with random weights, in eval mode, on PyTorch's default device.

    Raises:
        UnknownArchitecture: no network of that name, or not with these options.

    """
    builder = _builder(spec.name)
    _check_options(spec, builder)
    try:
        network = builder(num_classes=spec.num_classes, **spec.options)
    except UnknownArchitecture:
        raise
    # A constructor fails in its own way on an option's value: an assertion, a division by zero,
    # an allocation. Without options the fault is not the client's.
    except Exception as error:
        if not spec.options:
            raise
        raise UnknownArchitecture(
            f"{spec.name} cannot be built with the options {spec.options}: {error}"
        ) from error
    return network.eval()


def _builder(name: str) -> Builder:
    plug_ins = entry_points(group=PLUG_INS)
    claims = [plug_in for plug_in in plug_ins if plug_in.name == name]
    built_in = ARCHITECTURES.get(name) or torchvision_builders().get(name)
    if len(claims) + (built_in is not None) > 1:
        raise UnknownArchitecture(
            f"'{name}' is ambiguous: {' and '.join(_claimants(built_in, claims))} have that name. "
            "Rename or uninstall the plug-in."
        )
    if claims:
        return _loaded(claims[0])
    if built_in is None:
        known = [*ARCHITECTURES, *torchvision_builders(), *plug_ins.names]
        raise UnknownArchitecture(_no_such(name, known))
    return built_in


def _claimants(built_in: Builder | None, claims: Iterable[EntryPoint]) -> list[str]:
    ours = ["a built-in architecture"] if built_in else []
    return ours + [f"the plug-in {claim.value}" for claim in claims]


def _loaded(plug_in: EntryPoint) -> Builder:
    try:
        builder: Builder = plug_in.load()
    # Importing a plug-in runs code of someone else's, which may raise anything.
    except Exception as error:
        raise UnknownArchitecture(
            f"The plug-in {plug_in.value} for '{plug_in.name}' does not load: {error}"
        ) from error
    return builder


def _no_such(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return f"There is no architecture '{name}'. Did you mean {' or '.join(close)}?"
    return (
        f"There is no architecture '{name}'. Use small_resnet, the torchvision name of a "
        f"classification network, or a plug-in installed as '{PLUG_INS}'."
    )


def _check_options(spec: ArchitectureSpec, builder: Builder) -> None:
    taken = inspect.signature(builder).parameters
    # A builder of `**options` judges them itself.
    judges = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    for option in spec.options:
        if option == "num_classes" or not (judges or option in taken):
            raise UnknownArchitecture(f"{spec.name} takes no option '{option}'.")
