"""torchvision's classification networks under their own names, and one option of ours.

`cifar_stem` fits the ResNet family to images of about 32x32: the first convolution becomes 3x3
with stride 1 and the max-pool goes, so that the first stage sees the image at full resolution.

torchvision is imported when one of its networks is asked for: it brings a compiler along, and so
takes as long to import as all else that a worker needs.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cache, partial

from torch import nn

from models.errors import UnknownArchitecture

Option = bool | int | float | str

RESNET_FAMILY = ("resnet", "resnext", "wide_resnet")

# These two have auxiliary heads that only training uses, and an initialisation of their own that
# the trained weights would overwrite; left to their defaults they warn of it.
DEFAULTS: Mapping[str, Mapping[str, Option]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}

# Options that the builder takes itself, so that they are not in the network's constructor.
TAKEN_BY_BUILDER: Mapping[str, frozenset[str]] = {
    "mobilenet_v3_large": frozenset({"width_mult", "reduced_tail", "dilated"}),
    "mobilenet_v3_small": frozenset({"width_mult", "reduced_tail", "dilated"}),
}


def torchvision_network(
    name: str, /, *, num_classes: int, cifar_stem: bool = False, **options: Option
) -> nn.Module:
    """Torchvision's network `name`, without pretrained weights.

    Raises:
        UnknownArchitecture: an option that this network does not have.
        Exception: whatever torchvision raises for an option's value.

    """
    from torchvision import models

    builder = models.get_model_builder(name)
    _check_options(name, builder, options)
    if cifar_stem and not name.startswith(RESNET_FAMILY):
        raise UnknownArchitecture(f"{name} takes no option 'cifar_stem'; only ResNets do.")
    if not isinstance(cifar_stem, bool):
        raise ValueError(f"cifar_stem must be true or false, not {cifar_stem!r}")
    arguments = {**DEFAULTS.get(name, {}), **options}
    network: nn.Module = builder(weights=None, num_classes=num_classes, **arguments)
    if cifar_stem:
        _fit_stem_to_small_images(network)
    return network


@cache
def torchvision_builders() -> Mapping[str, Callable[..., nn.Module]]:
    """Every classification network of torchvision's, by its name."""
    from torchvision import models

    # Of this module alone: detection, segmentation, video and quantised networks have their own.
    names = models.list_models(module=models)
    return {name: partial(torchvision_network, name) for name in names}


def _check_options(
    name: str, builder: Callable[..., nn.Module], options: Mapping[str, Option]
) -> None:
    # Not left to Python: some constructors swallow any keyword, and the builders' own would
    # download weights (`weights`, `pretrained`).
    constructor = inspect.signature(typing.get_type_hints(builder)["return"]).parameters.values()
    taken = {each.name for each in constructor if each.kind is not inspect.Parameter.VAR_KEYWORD}
    taken |= TAKEN_BY_BUILDER.get(name, frozenset())
    for option in options:
        if option not in taken:
            raise UnknownArchitecture(f"{name} takes no option '{option}'.")


def _fit_stem_to_small_images(network: nn.Module) -> None:
    from torchvision import models

    assert isinstance(network, models.ResNet)
    stem = nn.Conv2d(3, network.conv1.out_channels, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = stem
    network.maxpool = nn.Identity()
