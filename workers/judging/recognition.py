"""Whether the images are those that were enrolled, as far as the base can tell.

The manifest's digest tells samples, labels and their order, but not the images: those of somebody
else may lie under the same names. Then the base recognises no more of them than by guessing, and
what a run would forget is not what was asked for.
"""

from models.errors import DatasetChanged
from workers.unlearning.probing.intervals import share
from workers.unlearning.probing.observation import Observed

# Of fewer samples it may be chance, and whether a run fails must not be.
FEWEST = 100


def require_recognised(retained: Observed, at_enrolment: float | None, *, labels: int) -> None:
    """Raise `DatasetChanged` if the base only guesses, and did not when it was enrolled.

    `retained` is what it makes of retained samples; there are so many `labels` in all.
    `at_enrolment` is the lower end of the interval of what it recognised then, None where that is
    not on record; all labels count alike, as they did then. That a few images are other ones does
    not show, and of a small probe nothing is said.
    """
    of_each = [each.accuracy or 0.0 for each in retained.by_label().values()]
    if len(retained) < FEWEST or at_enrolment is None or labels < 2:
        return
    found = share(round(sum(of_each) / len(of_each) * len(retained)), len(retained))
    assert found is not None
    # Of images in any order one in so many has the label that the network names.
    if found.high < at_enrolment and found.low <= 1 / labels:
        raise DatasetChanged(
            f"The network recognises {100 * found.value:.1f} % of {found.count} retained training "
            f"images, as many as by guessing; when it was enrolled it was {100 * at_enrolment:.1f} "
            "% or more. Their images are other ones by now: put the dataset back as it was."
        )
