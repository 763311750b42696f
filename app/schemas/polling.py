"""What can be waited for."""

from abc import abstractmethod

from pydantic import BaseModel


class Pollable(BaseModel):
    """A representation that changes until it has ended."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether nothing will change any more by itself."""
