"""Problems, as RFC 9457 has them."""

from pydantic import BaseModel, Field


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    pointer: str = Field(description="Where, as a path into the request.")
    detail: str = Field(description="What is wrong there. What was sent is not repeated.")


class Problem(BaseModel):
    """Why a request was not carried out.

    With a status of 4xx, and with `too-busy`, nothing has changed. After another 5xx that is not
    known: look, or repeat the request with the same `Idempotency-Key`.
    """

    type: str = Field(
        description="What kind of problem it is. These names are stable; there may be more.",
        examples=["urn:expunge:problem:unknown-model"],
    )
    title: str = Field(description="The same in words; they may change.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, and what to do.")
    errors: list[Violation] = Field(
        default=[], description="With `invalid-request`: everything that is wrong, up to 20 things."
    )
