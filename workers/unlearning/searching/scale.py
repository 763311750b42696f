"""One cohort's α-scale: where on it the cohort is, and where it goes next.

A place is counted in steps stronger than the cohort's seed (`tuning.py`). Every look at the probe
says of it whether it is too gentle, enough or too much. The next one lies a stride beyond what is
known, twice as long each time, and half-way once both sides are known.
"""

import math
from dataclasses import dataclass

from models.documents import Closeness
from workers.unlearning.tuning import Setting, setting_at

# Steps between a place that passes and one that is too gentle, at which it is near enough; and
# between one that is too gentle and one that is too strong or damages, while none passes.
RESOLUTION, FINEST = 0.5, 0.125
# The gentlest place: 1.5 ** 12 is 130 times the seed's α.
GENTLEST = -12.0
STRONGEST = 20.0


@dataclass
class Scale:
    """What is known of one cohort: its place and others, in steps stronger than the seed."""

    seed: float
    # Whether the base already treats it like unseen data, so that nothing tells what is enough.
    blind: bool
    # It must not become gentler than this.
    floor: float = GENTLEST
    # Where it is now.
    step: float = 0.0
    # The strongest place known to be too gentle and the gentlest known to be enough; the strongest
    # that did no damage and the gentlest that did, while nobody else could give way.
    too_gentle: float = -math.inf
    enough: float = math.inf
    harmless: float = -math.inf
    ceiling: float = math.inf
    # Whether a trial at `enough` cannot pass: it is more than enough, or does damage.
    too_much: bool = False
    # How far the next move goes beyond what is known.
    stride: float = 1.0

    def __post_init__(self) -> None:
        self.step = max(self.step, self.floor)

    @property
    def setting(self) -> Setting:
        """The setting at the present place."""
        return setting_at(self.seed, self.step)

    @property
    def can_retreat(self) -> bool:
        """Whether there is a gentler place."""
        return self.step > self.floor

    def note(self, closeness: Closeness, *, damaged: bool, needless: bool) -> None:
        """Learn from a trial at the present place; `needless` if nobody has anything to forget."""
        if not damaged:
            self.harmless = max(self.harmless, self.step)
        told_apart = closeness is Closeness.CONSPICUOUS or (
            closeness is Closeness.FAMILIAR and needless and self.can_retreat
        )
        if self.blind and told_apart:
            # Dampened for nothing, it begins to look strange, or its like do.
            self._stride_from(self.step, -1)
        elif closeness is Closeness.UNDECIDABLE:
            self.blind = True
        elif closeness is Closeness.FAMILIAR:
            self.blind = False
            self.too_gentle = max(self.too_gentle, self.step)
            if self.enough <= self.too_gentle:
                # It had passed while others were dampened otherwise.
                self.enough, self.stride = math.inf, 1.0
        else:
            if self.step <= self.enough:
                self.enough = self.step
                # Where there has been a trial without damage, it is others that do it by now.
                does_damage = damaged and self.step > self.harmless
                self.too_much = does_damage or closeness is Closeness.CONSPICUOUS
            if self.too_gentle >= self.enough:
                self.too_gentle = -math.inf

    def move(self, *, damaged: bool, passes: bool = False) -> None:
        """Go where the next trial tells most, or stay.

        Where it is enough it stays until all others have got there, so that it is not driven to
        the edge meanwhile.
        """
        upper = min(self.enough, self.ceiling)
        if self.blind or (damaged and self.step < upper):
            return
        if not (damaged or passes or self.too_much) and self.step == self.enough:
            return
        resolution = RESOLUTION if self.enough == upper and not self.too_much else FINEST
        if upper - self.too_gentle <= resolution:
            # A ceiling is where it damaged: what is near enough lies below.
            self.step = self.enough if self.enough <= upper else self.too_gentle
        elif math.isfinite(upper) and math.isfinite(self.too_gentle):
            self.step = max(self.floor, (upper + self.too_gentle) / 2)
        elif math.isfinite(upper):
            self._stride_from(upper, -1)
        else:
            self._stride_from(self.too_gentle, 1)

    def retreat(self) -> None:
        """The present place damages too much, and nobody else can give way."""
        self.ceiling = min(self.ceiling, self.step)
        if self.blind:
            self._stride_from(self.step, -1)
            return
        self.enough = math.inf
        self.too_gentle = self.harmless if self.harmless < self.ceiling else -math.inf
        self.move(damaged=True)

    def _stride_from(self, start: float, direction: int) -> None:
        self.step = min(STRONGEST, max(self.floor, start + direction * self.stride))
        self.stride *= 2
