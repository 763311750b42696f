"""torchvision's networks: one member of each family runs, and the options that are ours."""

import warnings

import pytest
import torch
import torchvision
from torch import nn

from models.errors import UnknownArchitecture
from models.specifications import ArchitectureSpec
from workers.architectures import build
from workers.architectures.torchvision_networks import torchvision_builders, torchvision_network

# The smallest of each family: the least image that it takes, and options.
FAMILIES = {
    "alexnet": (64, {}),
    "convnext_tiny": (32, {}),
    "densenet121": (32, {}),
    "efficientnet_b0": (32, {}),
    "efficientnet_v2_s": (32, {}),
    "googlenet": (32, {}),
    "inception_v3": (75, {}),
    "maxvit_t": (224, {}),
    "mnasnet0_5": (32, {}),
    "mobilenet_v2": (32, {}),
    "mobilenet_v3_small": (32, {"width_mult": 0.5}),
    "regnet_x_400mf": (32, {}),
    "regnet_y_400mf": (32, {}),
    "resnet18": (32, {}),
    "resnext50_32x4d": (32, {"cifar_stem": True}),
    "shufflenet_v2_x0_5": (32, {}),
    "squeezenet1_1": (32, {}),
    "swin_t": (32, {}),
    "swin_v2_t": (32, {}),
    "vgg11": (32, {}),
    "vit_b_32": (32, {"image_size": 32}),
    "wide_resnet50_2": (32, {"cifar_stem": True}),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_smallest_of_a_family_turns_images_into_logits_without_a_warning(name: str):
    size, options = FAMILIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = build(ArchitectureSpec(name=name, num_classes=7, options=options))
    with torch.no_grad():
        logits = network(torch.rand(1, 3, size, size))
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (1, 7)


def test_every_network_can_be_built_for_any_number_of_classes():
    # RegNet computes its widths with tensors, which have no values on the meta device.
    builders = torchvision_builders()
    for name in (name for name in builders if not name.startswith("regnet")):
        with torch.device("meta"):
            network = builders[name](num_classes=7)
        assert any(parameter.shape[0] == 7 for parameter in network.parameters()), name


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_are_built_only_when_asked_for(name: str):
    with torch.device("meta"):
        plain = build(ArchitectureSpec(name=name, num_classes=7))
        full = build(ArchitectureSpec(name=name, num_classes=7, options={"aux_logits": True}))
        logits = full(torch.empty(1, 3, 96, 96))
    assert not any("aux" in key.lower() for key in plain.state_dict())
    assert any("aux" in key.lower() for key in full.state_dict())
    assert isinstance(logits, torch.Tensor)


def test_the_cifar_stem_keeps_the_full_resolution():
    network = torchvision_network("resnet18", num_classes=7, cifar_stem=True)
    assert network.conv1(torch.rand(1, 3, 32, 32)).shape == (1, 64, 32, 32)
    assert isinstance(network.maxpool, nn.Identity)


def test_without_the_cifar_stem_the_weights_are_torchvisions():
    ours = torchvision_network("resnet18", num_classes=7).state_dict()
    theirs = torchvision.models.resnet18(num_classes=7).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", ["vgg11", "regnet_x_400mf", "squeezenet1_1"])
def test_only_resnets_take_the_cifar_stem(name: str):
    with pytest.raises(UnknownArchitecture, match=f"{name} takes no option 'cifar_stem'"):
        torchvision_network(name, num_classes=7, cifar_stem=True)


def test_the_builders_options_reach_the_network():
    with torch.device("meta"):
        network = torchvision_network("vit_b_16", num_classes=7, image_size=64)
    assert network.image_size == 64
