"""A network with notes on how it came about, for methods that have more to say than weights."""

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Noted:
    """`notes` are kept with the figures of the network."""

    network: nn.Module
    notes: dict[str, Any]
