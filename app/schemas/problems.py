"""Problems, as RFC 9457 has them."""

from pydantic import BaseModel, Field


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="Where, as a path into the request.")
    detail: str


class Problem(BaseModel):
    """Why a request was not carried out. Nothing has changed."""

    type: str = Field(examples=["urn:expunge:problem:unknown-model"])
    title: str
    status: int
    detail: str = Field(description="What is wrong with this request, and what to do.")
    errors: list[Violation] = []
