"""What every declaration is made of: its base class, and texts, paths and numbers."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL character")
    return value


# No file name and no text of PostgreSQL can hold a NUL.
Text = Annotated[str, AfterValidator(_without_nul)]
Path = Annotated[Text, Field(pattern=r"\S", max_length=4096)]
# `true` is no number, nor is "0.1": a slip must not set a bound.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Integer = Annotated[int, Field(strict=True)]


class Specification(BaseModel):
    """Base of all declarations: unknown fields are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
