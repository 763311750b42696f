"""Loss-free SSD (LFSSD, arXiv 2402.19308), per sample: importance without labels.

The importance of a weight is the mean over samples of |∂‖f(x)‖² / ∂w|. So this is not LFSSD as
published: its authors' README has |∂ mean ‖f(x)‖² / ∂w| of batches, in which gradients of different
sign cancel. All samples stand for the retained ones, and λ = 1, as in SSD. The README names no α,
and where those below are from is not on record: they count as ours.
"""

from torch import Tensor, nn

from benchmarks.experiments.dampened import dampened_as_published, importances
from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.tasks import Kind, Task
from workers.unlearning import estimators
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums

SELECTION = {Kind.CLASS: 5.0, Kind.SUBCLASS: 10.0, Kind.RANDOM: 3.5}


def label_free(network: nn.Module, task: Task, _seed: int) -> nn.Module:
    """Dampen; nothing is drawn."""
    return dampened_as_published(
        network,
        label_free_importances(network, task.train),
        label_free_importances(network, task.forget),
        selection=SELECTION[task.kind],
    )


def label_free_importances(network: nn.Module, samples: Batch) -> dict[str, Tensor]:
    """By parameter name, in the precision of the parameters."""
    sums = fisher_sums(network, in_parts(network, samples), estimator=estimators.label_free())
    return importances(sums, len(samples))
