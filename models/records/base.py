"""The declarative base all records share, and the types their columns are made of."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, MetaData, TypeDecorator, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from models.documents import Details, Document, Verdict

Json = dict[str, Any]


class _AsJson(TypeDecorator[Document]):
    """A column of documents, which queries see as JSON."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: type[Document]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Document | None, dialect: Dialect) -> Json | None:  # noqa: ARG002
        return None if value is None else value.as_json()

    def process_result_value(self, value: Json | None, dialect: Dialect) -> Document | None:  # noqa: ARG002
        return None if value is None else self.kind.model_validate(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        # What a key or an index is compared with is no document.
        return self.impl_instance.coerce_compared_value(op, value)


class Base(DeclarativeBase):
    """Records are rows; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        int: BigInteger,
        uuid.UUID: Uuid(as_uuid=True),
        Json: JSONB(none_as_null=True),
        Verdict: _AsJson(Verdict),
        Details: _AsJson(Details),
    }


def enum_column(states: type[StrEnum]) -> Enum:
    """Text with a CHECK constraint: readable in psql, and the database refuses other words."""
    return Enum(
        states,
        native_enum=False,
        create_constraint=True,
        length=32,
        name=states.__name__.lower(),
        values_callable=lambda e: [member.value for member in e],
    )
