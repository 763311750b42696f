"""Forgetting as the service does it, in memory: the same cohorts, search and gate, no database.

What a worker reads from the store and the database is computed here from tensors, once for each
trained network; every set of forgotten samples is then dampened for from the base.
"""

from collections import Counter
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from benchmarks.experiments.placement import in_parts
from models.documents import Decision
from models.settings import LABEL_SUMS_BYTES
from models.specifications import DEFAULT_ESTIMATOR, AutoMethod, Method, Policy
from workers.enrolment.portions import labels_apart, portions_of
from workers.unlearning.batches import Batch, among, joined
from workers.unlearning.choosing import choose
from workers.unlearning.cohorts import Cohort, form_cohorts, gone_labels
from workers.unlearning.dampening import Weights
from workers.unlearning.estimators import Estimator, estimator_of
from workers.unlearning.gate import Gate
from workers.unlearning.gating.bounds import Bounds
from workers.unlearning.gating.judgement import decide
from workers.unlearning.importances import Sums, add_sums, fisher_sums, zero_sums
from workers.unlearning.last_layer import last_layer_of
from workers.unlearning.methods import METHODS
from workers.unlearning.mixing import Mixer
from workers.unlearning.probing.observation import Observed, observe
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.surrogate import make_surrogate
from workers.unlearning.searching.trials import Trial
from workers.unlearning.searching.workbench import Workbench

# What a model is enrolled with that says nothing else.
OWN_ESTIMATOR = estimator_of(DEFAULT_ESTIMATOR)


@dataclass(frozen=True, eq=False)
class Forgotten:
    """What came of forgetting a set of samples."""

    base: Weights
    weights: Weights
    decision: Decision
    chosen: Trial
    trials: list[Trial]
    # Whether that includes what several cohorts show only together.
    together: bool


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network under management: `train` and `holdout` are its samples.

    Positions of `train` and `holdout` differ, as they do in a dataset.
    """

    network: nn.Module
    train: Batch
    holdout: Batch
    estimator: Estimator
    full: Sums
    # Of labels that a service would have kept them of.
    of_labels: dict[int, Sums]
    base: Weights
    # Sums of sets of samples, by the set: only new ones cost a gradient pass.
    _sums: dict[frozenset[int], Sums] = field(default_factory=dict)

    @classmethod
    def enrolled(
        cls, network: nn.Module, train: Batch, holdout: Batch, estimator: Estimator = OWN_ESTIMATOR
    ) -> "Subject":
        """One gradient pass over all training samples."""
        copy = deepcopy(network)
        base = {name: tensor.clone() for name, tensor in copy.state_dict().items()}
        full, of_labels = zero_sums(copy), {}
        training = list(enumerate(train.labels.tolist()))
        apart = labels_apart(training, copy, LABEL_SUMS_BYTES)
        for portion in portions_of(training, apart):
            samples = train.rows(torch.tensor([row for row, _ in portion.samples]))
            sums = fisher_sums(copy, in_parts(copy, samples), estimator=estimator)
            add_sums(full, sums)
            if portion.label is not None:
                of_labels[portion.label] = sums
        return cls(copy, train, holdout, estimator, full, of_labels, base)

    def forget(
        self,
        forgotten: Tensor,
        *,
        asked: Tensor | None = None,
        forgotten_together: bool = False,
        method: Method | None = None,
        policy: Policy | None = None,
    ) -> Forgotten:
        """Forget the training samples that the mask `forgotten` picks, from the base.

        Those that `asked` picks are asked for now, the others have been forgotten by earlier
        versions, the last of which says whether it has `forgotten_together` what cohorts show only
        so. If it is None, all are asked for.
        """
        method, policy = method or AutoMethod(), policy or Policy()
        labels = self.train.labels
        asked_labels = labels[forgotten if asked is None else asked].tolist()
        probe = self._probe(self.cohorts(forgotten), forgotten, policy.probe_size)
        samples = self._of_probe(probe)

        def look(weights: Weights, at: Collection[int] | None = None) -> Observed:
            self.network.load_state_dict(weights)
            seen = observe(self.network, samples if at is None else among(samples, at))
            return Observed.together([seen])

        base = look(self.base)
        surrogate = make_surrogate(
            base, samples, probe, _counts(labels), _counts(labels[forgotten])
        )
        gate = Gate(
            base,
            probe,
            Bounds.of(policy.gate),
            surrogate,
            asked=asked_labels,
            forgotten_together=forgotten_together,
        )
        mixer = self.mixer(forgotten)
        bench = Workbench(gate, mixer, look, last_layer_of(self.network, probe.num_classes))
        METHODS[method.method](method, bench)
        choice = choose(bench)
        taken = choice.chosen.trial
        return Forgotten(
            base=self.base,
            weights=choice.mixture.weights,
            decision=decide(
                taken.judgement,
                influenced=gate.influenced,
                best_effort=policy.gate.is_best_effort,
            ),
            chosen=taken,
            trials=[tried.trial for tried in choice.ladder],
            together=gate.has_forgotten_together(taken.judgement),
        )

    def cohorts(self, forgotten: Tensor) -> list[Cohort]:
        """Which of the samples to forget are dampened together."""
        labels = self.train.labels
        return form_cohorts(_counts(labels[forgotten]), _counts(labels))

    def mixer(self, forgotten: Tensor) -> Mixer:
        """What makes candidates, without judging them."""
        return Mixer(
            self.base, self.full, len(self.train), lambda each: self._of_cohort(each, forgotten)
        )

    def afresh(self) -> "Subject":
        """The same network, whose next request finds no sums of an earlier one."""
        return replace(self, _sums={})

    def sums_of(self, rows: Tensor) -> Sums:
        """Fisher sums of some training samples, by index."""
        key = frozenset(rows.tolist())
        if key not in self._sums:
            self.network.load_state_dict(self.base)
            samples = self.train.rows(rows)
            # As workers do it: in which requests and order samples are forgotten must not show.
            self._sums[key] = fisher_sums(
                self.network,
                in_parts(self.network, samples),
                estimator=self.estimator,
                reproducible=True,
            )
        return self._sums[key]

    def _of_cohort(self, cohort: Cohort, forgotten: Tensor) -> Sums:
        total = zero_sums(self.network)
        for label in cohort.labels:
            of_label = self.train.labels == label
            rows = (forgotten & of_label).nonzero().flatten()
            goes_whole = len(rows) == int(of_label.sum())
            known = self.of_labels.get(label) if goes_whole else None
            add_sums(total, self.sums_of(rows) if known is None else known)
        return total

    def _probe(self, cohorts: list[Cohort], forgotten: Tensor, size: int) -> Probe:
        counts, trained = _counts(self.train.labels[forgotten]), _counts(self.train.labels)
        positions, labels = self.train.positions, self.train.labels

        def of(cohort: Cohort, among: Tensor, given: Tensor, places: Tensor) -> list[int]:
            picked = []
            for label in cohort.labels:
                share = max(1, round(size * counts[label] / cohort.count))
                picked += places[among & (given == label)][:share].tolist()
            return picked

        everything = torch.ones(len(self.holdout), dtype=torch.bool)
        return Probe(
            forgotten={each: of(each, forgotten, labels, positions) for each in cohorts},
            unseen=[
                position
                for each in cohorts
                for position in of(each, everything, self.holdout.labels, self.holdout.positions)
            ],
            retained=self._stratified(~forgotten, size),
            holdout=self.holdout.positions[:size].tolist(),
            gone=gone_labels(counts, trained),
            num_classes=int(labels.max()) + 1,
        )

    def _stratified(self, among: Tensor, size: int) -> list[int]:
        """As many of every label as of all training samples are of it, if there are."""
        labels, picked = self.train.labels, []
        for label, count in _counts(labels).items():
            share = max(1, round(size * count / len(labels)))
            picked += self.train.positions[among & (labels == label)][:share].tolist()
        return picked

    def _of_probe(self, probe: Probe) -> list[Batch]:
        everything = joined([self.train, self.holdout])
        # What is looked at first lies in batches of its own, as in a worker.
        parts = probe.parts or (probe.positions,)
        wanted = [torch.tensor(sorted(part), dtype=torch.int64) for part in parts]
        rows = torch.cat([torch.isin(everything.positions, part).nonzero() for part in wanted])
        return list(in_parts(self.network, everything.rows(rows.flatten())))


def _counts(labels: Tensor) -> dict[int, int]:
    return dict(Counter(labels.tolist()))
