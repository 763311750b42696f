"""Loss-free SSD (LFSSD, arXiv 2402.19308): importance without labels.

The importance of a weight is the mean of |∂‖f(x)‖² / ∂w|. It is taken sample by sample here, not of
batches. All samples stand for the retained ones, and λ = 1, as in SSD; α is lower where a label is
a large part of the data, and for random samples.
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
