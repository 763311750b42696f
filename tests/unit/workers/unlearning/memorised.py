"""A network that has learnt every sample by heart, and a workbench on which it forgets some.

Its inputs have one feature for each of two labels, and one for every training sample. The label's
weight is shared, and the sample's own is what it remembers the sample by: without it, a forgotten
sample is exactly like an unseen one of its label. If samples are remembered `in_pairs`, the
forgotten share theirs with retained ones, and nothing forgets them altogether.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import nn

from workers.unlearning.batches import Batch, among
from workers.unlearning.cohorts import Cohort
from workers.unlearning.dampening import Weights
from workers.unlearning.gate import Gate
from workers.unlearning.gating.bounds import Bounds
from workers.unlearning.importances import Sums, fisher_sums
from workers.unlearning.mixing import CohortSettings, Mixer
from workers.unlearning.probing.observation import Observed, observe
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Concession
from workers.unlearning.searching.workbench import Kept, Workbench

PER_LABEL, FORGOTTEN = 40, 10
TRAINED = 2 * PER_LABEL
COHORT = Cohort((0,), FORGOTTEN, scattered=False)
BOUNDS = Bounds(
    retained_fall=0.02,
    class_fall=0.1,
    holdout_fall=0.01,
    membership=0.02,
    excess=0.05,
    min_probe=30,
)


def samples(*, in_pairs: bool = False) -> Batch:
    """Training samples, label by label, then as many that were never seen."""
    labels = torch.arange(2).repeat_interleave(PER_LABEL)
    shared = nn.functional.one_hot(labels).float()
    own = torch.eye(TRAINED)
    if in_pairs:
        own[:FORGOTTEN] = own[FORGOTTEN : 2 * FORGOTTEN]
    trained = torch.cat([shared, own], dim=1)
    unseen = torch.cat([shared, torch.zeros(TRAINED, TRAINED)], dim=1)
    return Batch.of(torch.cat([trained, unseen]), labels.repeat(2))


def network() -> nn.Module:
    """Its logit of a label is 1 for the label and 2 more for having seen the sample."""
    linear = nn.Linear(2 + TRAINED, 2, bias=False)
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[:, :2] = torch.eye(2)
        for label in range(2):
            first = 2 + label * PER_LABEL
            linear.weight[label, first : first + PER_LABEL] = 2.0
    return linear.eval()


def bench(
    done: Callable[[], None] = lambda: None,
    *,
    in_pairs: bool = False,
    last_layer: Sequence[str] = (),
    gone: frozenset[int] = frozenset(),
    pinned: CohortSettings | None = None,
    floors: CohortSettings | None = None,
    excused: Mapping[Cohort, Concession] | None = None,
    kept: Mapping[Cohort, Kept] | None = None,
) -> Workbench:
    """On which the first samples of label 0 are forgotten."""
    everything, linear = samples(in_pairs=in_pairs), network()
    base: Weights = {name: tensor.clone() for name, tensor in linear.state_dict().items()}

    def look(weights: Weights, at: Collection[int] | None = None) -> Observed:
        linear.load_state_dict(weights)
        return observe(linear, [everything] if at is None else among([everything], at))

    def sums(first: int, last: int) -> Sums:
        return fisher_sums(network(), [everything.part(first, last)])

    probe = Probe(
        forgotten={COHORT: range(FORGOTTEN)},
        unseen=range(TRAINED, TRAINED + PER_LABEL),
        retained=range(FORGOTTEN, TRAINED),
        holdout=range(TRAINED, 2 * TRAINED),
        gone=gone,
        num_classes=2,
    )
    forget = sums(0, FORGOTTEN)
    mixer = Mixer(base, sums(0, TRAINED), TRAINED, lambda _cohort: forget)
    gate = Gate(look(base), probe, BOUNDS)
    return Workbench(
        gate,
        mixer,
        look,
        last_layer,
        done,
        pinned=pinned,
        floors=floors,
        excused=excused,
        kept=kept,
    )
