"""Whether the images are those that were enrolled, as far as the base can tell.

The manifest's digest tells samples, labels and their order, but not the images: those of somebody
else may lie under the same names. Then the base recognises no more of them than by guessing, and
what a run would forget is not what was asked for.
"""

from models.errors import DatasetChanged
from workers.unlearning.observation import Observed


def require_recognised(retained: Observed, at_enrolment: float | None) -> None:
    """Raise `DatasetChanged` if the base only guesses, and did not when it was enrolled.

    `retained` is what it makes of retained samples. `at_enrolment` is the lower end of the interval
    of what it recognised then, None where that is not on record. That a few images are other ones
    does not show.
    """
    found = retained.accuracy_estimate
    labels = len(retained.by_label())
    if found is None or at_enrolment is None or labels < 2:
        return
    if found.high < at_enrolment and found.low <= 1 / labels:
        raise DatasetChanged(
            f"The network recognises {100 * found.value:.1f} % of {found.count} retained training "
            f"images, as many as by guessing; when it was enrolled it was {100 * at_enrolment:.1f} "
            "% or more. Their images are other ones by now: put the dataset back as it was."
        )
