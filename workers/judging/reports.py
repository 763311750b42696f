"""What a report shows besides the verdict: how losses are spread, before and after."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.documents import Details, Histograms, LossHistograms, ZeroRetrainForgetting
from workers.judging.candidates import Tuned
from workers.judging.figures import estimate
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe

# Losses span many powers of ten: bins are of their logarithm to base 10, the outermost open.
LOWEST, HIGHEST, BINS = -8.0, 2.0, 40


def details(tuned: Tuned, zero_retrain_forgetting: Mapping[str, Estimate | None]) -> Details:
    """Loss histograms as shares of their samples, and ZRF of base and candidate."""
    probe = tuned.gate.probe
    return Details(
        zero_retrain_forgetting=ZeroRetrainForgetting(
            **{name: estimate(found) for name, found in zero_retrain_forgetting.items()}
        ),
        loss_histograms=LossHistograms(
            log10_edges=np.linspace(LOWEST, HIGHEST, BINS + 1).round(6).tolist(),
            base=_histograms(tuned.gate.base, probe),
            candidate=_histograms(tuned.chosen.seen, probe),
        ),
    )


def _histograms(observed: Observed, probe: Probe) -> Histograms:
    forgotten = [p for positions in probe.forgotten.values() for p in positions]
    return Histograms(
        forgotten=_histogram(observed.at(forgotten).loss),
        retained=_histogram(observed.at(probe.retained).loss),
        unseen=_histogram(observed.at(probe.unseen).loss),
    )


def _histogram(losses: NDArray[np.float64]) -> list[float]:
    if not len(losses):
        return [0.0] * BINS
    with np.errstate(divide="ignore"):
        logarithms = np.log10(np.nan_to_num(losses, nan=np.inf))
    counts, _ = np.histogram(logarithms.clip(LOWEST, HIGHEST), bins=BINS, range=(LOWEST, HIGHEST))
    return [round(share, 6) for share in (counts / len(losses)).tolist()]
