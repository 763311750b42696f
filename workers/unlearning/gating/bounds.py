"""The bounds of a policy's gate, as the numerics use them."""

from dataclasses import dataclass

from models import specifications
from workers.unlearning.gating.damage import Allowed
from workers.unlearning.probing.standing import NEGLIGIBLE

# A fall of one label that is not worth a further candidate.
NEGLIGIBLE_OF_ONE = 0.02


@dataclass(frozen=True)
class Bounds:
    """Falls of accuracy since the base, as shares; the attack's distance from 0.5; a count.

    `excess` is a share as well: of what is recognised beyond what is expected.
    """

    retained_fall: float
    class_fall: float
    holdout_fall: float
    membership: float
    excess: float
    min_probe: int

    @property
    def falls(self) -> Allowed:
        """How far accuracy may fall."""
        return Allowed(self.retained_fall, self.class_fall, self.holdout_fall, self.min_probe)

    @property
    def negligible(self) -> Allowed:
        """Falls that are not worth a further candidate."""
        return Allowed(NEGLIGIBLE, NEGLIGIBLE_OF_ONE, NEGLIGIBLE, self.min_probe)

    @classmethod
    def of(cls, gate: specifications.Gate) -> "Bounds":
        """Those that a policy's gate sets."""
        return cls(
            retained_fall=gate.max_retained_fall,
            class_fall=gate.max_class_fall,
            holdout_fall=gate.max_holdout_fall,
            membership=gate.max_membership,
            excess=gate.max_excess,
            min_probe=gate.min_probe,
        )
