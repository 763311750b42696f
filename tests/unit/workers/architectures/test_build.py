"""Names, options and plug-ins: what `build` accepts and how it refuses the rest."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.errors import UnknownArchitecture
from models.specifications import ArchitectureSpec
from workers.architectures import ARCHITECTURES, build
from workers.architectures.torchvision_networks import torchvision_builders


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a real distribution that offers `builder` of `module` as the architecture `name`."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, module: str, source: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            f"[expunge.architectures]\n{name} = {module}:builder\n"
        )

    return install


LINEAR = """
from torch import nn

def builder(*, num_classes, inputs=4):
    return nn.Linear(inputs, num_classes)
"""


def spec(name: str, /, **options) -> ArchitectureSpec:
    return ArchitectureSpec(name=name, num_classes=7, options=options)


def test_a_network_is_built_in_eval_mode_on_the_cpu_with_trainable_weights():
    network = build(spec("small_resnet"))
    assert not any(module.training for module in network.modules())
    assert all(p.requires_grad and p.device.type == "cpu" for p in network.parameters())


def test_the_registry_holds_classification_networks_only():
    known = ARCHITECTURES.keys() | torchvision_builders().keys()
    assert {"small_resnet", "resnet18", "vit_b_16", "vgg11"} <= known
    for other in ("quantized_resnet18", "fcn_resnet50", "fasterrcnn_resnet50_fpn", "r3d_18"):
        assert other not in known


def test_torchvision_is_not_imported_for_a_network_of_our_own():
    program = (
        "import sys, workers.jobs, workers.enrolment.rank\n"
        "from models.specifications import ArchitectureSpec\n"
        "from workers.architectures import build\n"
        "build(ArchitectureSpec(name='small_resnet', num_classes=2))\n"
        "assert 'torchvision' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_gets_suggestions():
    with pytest.raises(UnknownArchitecture, match=r"'resnt18'.*resnet18"):
        build(spec("resnt18"))


def test_a_name_like_no_other_is_told_what_there_is():
    with pytest.raises(UnknownArchitecture, match=r"small_resnet.*torchvision.*plug-in"):
        build(spec("qqqq"))


@pytest.mark.parametrize("name", ["small_resnet", "resnet18", "convnext_tiny", "vgg11"])
@pytest.mark.parametrize("option", ["colour", "name", "num_classes", "pretrained", "weights"])
def test_an_option_that_is_not_taken_is_named(name: str, option: str):
    with pytest.raises(UnknownArchitecture, match=f"{name} takes no option '{option}'"):
        build(spec(name, **{option: True}))


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("small_resnet", "in_channels", 2),
        ("small_resnet", "in_channels", True),
        ("small_resnet", "width", 0),
        ("small_resnet", "width", "wide"),
        ("resnet18", "cifar_stem", "yes"),
        ("resnet18", "groups", "two"),
        ("resnet18", "groups", 2),
        ("vit_b_16", "image_size", 33),
    ],
)
def test_a_bad_value_is_refused_with_the_option_named(name: str, option: str, value):
    with pytest.raises(UnknownArchitecture, match=f"{name} cannot be built.*{option}"):
        build(spec(name, **{option: value}))


def test_a_plug_in_is_built_with_its_options(install):
    install("linear", "linear_plug_in", LINEAR)
    assert build(spec("linear", inputs=3))(torch.ones(2, 3)).shape == (2, 7)


def test_a_plug_in_is_suggested_too(install):
    install("perceptron", "suggested_plug_in", LINEAR)
    with pytest.raises(UnknownArchitecture, match="Did you mean perceptron"):
        build(spec("perceptrons"))


def test_a_plug_ins_options_are_checked(install):
    install("linear", "checked_plug_in", LINEAR)
    with pytest.raises(UnknownArchitecture, match="linear takes no option 'depth'"):
        build(spec("linear", depth=3))


def test_a_plug_in_cannot_shadow_a_built_in_network(install):
    install("resnet18", "shadowing_plug_in", LINEAR)
    with pytest.raises(UnknownArchitecture, match=r"'resnet18' is ambiguous.*shadowing_plug_in"):
        build(spec("resnet18"))


def test_two_plug_ins_cannot_share_a_name(install):
    install("linear", "first_plug_in", LINEAR)
    install("linear", "second_plug_in", LINEAR)
    with pytest.raises(UnknownArchitecture, match=r"ambiguous.*_plug_in.*_plug_in"):
        build(spec("linear"))


def test_a_plug_in_that_does_not_load_is_named_with_its_fault(install):
    install("broken", "broken_plug_in", "raise OSError('no such library')")
    with pytest.raises(UnknownArchitecture, match=r"broken_plug_in.*no such library"):
        build(spec("broken"))
