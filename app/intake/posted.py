"""What was posted, checked and ready to be written down."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.intake.outline import count_strings, outline
from app.schemas.deletion_requests import NewDeletionRequest
from app.security import Principal
from models.errors import TooManySamples
from models.records import RequestMode
from models.requests import NewRequest

# Names and values of a request beside its sample IDs.
OTHERS = 2 * len(NewDeletionRequest.model_fields) - 1
# More names than this are not told one by one.
MOST_NAMES = 20


@dataclass(frozen=True)
class Posted:
    """A deletion request before it is a row; its ID is given here.

    Whoever does not know whether a transaction has committed looks for the ID, and need not guess.
    """

    id: uuid.UUID
    model: str
    mode: RequestMode
    reference: str | None
    deadline: datetime | None
    principal: str
    idempotency_key: str | None
    digest: str
    # Distinct, in the order in which they were posted; of a bulk request they are elsewhere.
    sample_ids: list[str]
    duplicates: int

    def as_rows(self, model: "Active") -> NewRequest:
        """What is inserted of it."""
        return NewRequest(
            id=self.id,
            model_id=model.id,
            mode=self.mode,
            principal=self.principal,
            reference=self.reference,
            deadline=self.deadline,
            idempotency_key=self.idempotency_key,
            body_digest=self.digest,
            duplicates=self.duplicates,
            sample_ids=self.sample_ids,
        )


@dataclass(frozen=True)
class Active:
    """A registered model that takes requests, as one transaction sees it."""

    id: uuid.UUID
    name: str
    policy_version: int


def read_posted(
    body: bytes, idempotency_key: str | None, principal: Principal, max_ids: int
) -> Posted:
    """The request in a JSON body.

    Raises `RequestValidationError` as the framework would have, and `TooManySamples`.
    """
    names = _require_modest(body, max_ids)
    try:
        new = NewDeletionRequest.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in found]
        ) from None
    if names != len(new.model_fields_set):
        raise _invalid("holds a field twice")
    if len(new.sample_ids) > max_ids:
        raise _too_many(f"{len(new.sample_ids)} sample IDs", max_ids)
    distinct = list(dict.fromkeys(new.sample_ids))
    return Posted(
        id=uuid.uuid4(),
        model=new.model,
        mode=new.mode,
        reference=new.reference,
        deadline=new.deadline,
        principal=principal.name,
        idempotency_key=idempotency_key,
        digest=_digest(new),
        sample_ids=distinct,
        duplicates=len(new.sample_ids) - len(distinct),
    )


def _require_modest(body: bytes, max_ids: int) -> int:
    """How many names of fields the body holds; raises if it is far from a request already."""
    if count_strings(body) > max_ids + OTHERS:
        raise _too_many(f"More than {max_ids} sample IDs or other texts", max_ids)
    rest = outline(body)
    if rest.count(b",") > max_ids + OTHERS:
        raise _too_many(f"More than {max_ids} sample IDs or other values", max_ids)
    names = rest.count(b":")
    if names > MOST_NAMES:
        raise _invalid(f"holds {names} fields, most of which there cannot be")
    return names


def _too_many(what: str, max_ids: int) -> TooManySamples:
    return TooManySamples(
        f"{what} were sent; the limit of one JSON request is {max_ids} sample IDs. Send them in "
        "several requests, or as NDJSON."
    )


def _invalid(what: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": ("body",), "msg": what}])


def _digest(new: NewDeletionRequest) -> str:
    body = new.model_dump(mode="json")
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
