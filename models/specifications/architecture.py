"""What a client declares about the network that the weights belong to."""

from pydantic import Field

from models.specifications.base import Integer, Number, Specification, Text


class ArchitectureSpec(Specification):
    """Which network the weights belong to."""

    name: Text = Field(
        min_length=1,
        max_length=64,
        description="A torchvision classification network, or one of Expunge's own.",
        examples=["resnet18"],
    )
    num_classes: Integer = Field(ge=2, le=1_000_000, description="Outputs of the network.")
    options: dict[Text, bool | int | Number | Text] = Field(
        default_factory=dict,
        description="Further arguments of the builder, e.g. `cifar_stem` for ResNets.",
    )
