"""What is done to an image before the network sees it."""

from typing import Literal

from pydantic import Field, model_validator

from models.specifications.base import Integer, Number, Specification


class Preprocessing(Specification):
    """How a stored image becomes the network's input.

    Pixels are scaled to [0, 1], resized to `size` x `size` (bilinear, antialiased) if they differ,
    brought to `channels` (grey is repeated; colour is weighed by ITU-R 601), then normalised by
    `(pixel - mean) / std`.
    """

    size: Integer = Field(ge=1, le=4096, description="Height and width of the input.")
    channels: Literal[1, 3] = 3
    mean: list[Number] = Field(
        description="As the network was trained with: one number, or one per channel; 0 for none."
    )
    std: list[Number] = Field(
        description="As the network was trained with: one number, or one per channel; 1 for none."
    )

    @model_validator(mode="after")
    def _per_channel(self) -> "Preprocessing":
        for field, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise ValueError(f"{field} needs one number, or one for each channel")
        if any(not value > 0 for value in self.std):
            raise ValueError("std must be positive")
        return self
