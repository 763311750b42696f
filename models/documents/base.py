"""What every document is: values that do not change, kept as JSON."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Base of all documents. Their JSON has the field's alias where the name is Python's own."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    def as_json(self) -> dict[str, Any]:
        """As rows and answers hold it."""
        return self.model_dump(mode="json", by_alias=True)
