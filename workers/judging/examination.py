"""Examining candidates: which samples they are judged on, and what a network makes of these.

Every candidate sees the same samples, once. They are chosen by the set of forgotten samples and by
ranks that were drawn at enrolment, not by which run asks: earlier forgotten samples are looked at
again by every later run.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import chain

from models.records import Split
from workers.datasets.source import Position
from workers.judging.probes import quotas, select_forgotten, select_probe, size_of_one
from workers.resources import Resources
from workers.runs import ForgetSample, Run
from workers.subjects import Subject, readable_batches
from workers.unlearning.batches import Batch, among
from workers.unlearning.cohorts import Cohort, form_cohorts, gone_labels
from workers.unlearning.dampening import Weights
from workers.unlearning.importances import BATCH
from workers.unlearning.probing.observation import Observed, observe
from workers.unlearning.probing.probe import Probe


class Examiner:
    """The probe of one run. `cohorts` are those of everything forgotten, this run included."""

    def __init__(
        self,
        run: Run,
        subject: Subject,
        now: tuple[ForgetSample, ...],
        forgotten: dict[int, int],
        resources: Resources,
    ) -> None:
        """`now` are this run's training samples; `forgotten` counts all of them by label."""
        self.cohorts = form_cohorts(forgotten, run.trained)
        self._subject = subject
        # The first batches of the probe, as many as there is room for.
        self._kept: list[Batch] = []
        self._room = resources.settings.probe_bytes >> run.starved
        retained, holdout, of_labels, of_cohorts = _select(
            run, self.cohorts, now, forgotten, resources
        )
        forgotten_samples = list(chain.from_iterable(of_cohorts.values()))
        self._forgotten = set(_positions(forgotten_samples))
        self.probe = Probe(
            forgotten={cohort: _positions(samples) for cohort, samples in of_cohorts.items()},
            unseen=_positions(of_labels),
            retained=_positions(retained),
            holdout=_positions(holdout),
            gone=gone_labels(forgotten, run.trained),
            num_classes=run.enrolment.architecture.num_classes,
        )
        labels = dict([*retained, *holdout, *of_labels, *forgotten_samples])
        # What is looked at first lies in batches of its own.
        parts = self.probe.parts or (self.probe.positions,)
        self._samples = [
            (position, labels[position]) for part in parts for position in sorted(part)
        ]

    def look(self, weights: Weights, at: Collection[int] | None = None) -> Observed:
        """What the network with these weights makes of the probe, or of some of it, by position.

        Samples that cannot be read are counted by their absence: those of earlier requests may be
        deleted by now.
        """
        return Observed.together([observe(self._subject.put(weights), self._batches(at))])

    def _batches(self, at: Collection[int] | None) -> Iterator[Batch]:
        if at is None:
            yield from self.batches()
        else:
            yield from among(self._kept, at)
            yield from self._read([sample for sample in self._not_kept() if sample[0] in at])

    def of_forgotten(self) -> Iterator[Batch]:
        """The forgotten samples of the probe."""
        return self._batches(self._forgotten)

    def batches(self) -> Iterator[Batch]:
        """The probe itself; images stay in memory while there is room."""
        yield from list(self._kept)
        for batch in self._read(self._not_kept()):
            self._room -= batch.inputs.nbytes
            if self._room >= 0:
                self._kept.append(batch)
            yield batch

    def _not_kept(self) -> list[Position]:
        # Of every so many samples there is one batch, whichever of them can be read.
        return self._samples[BATCH * len(self._kept) :]

    def _read(self, samples: list[Position]) -> Iterator[Batch]:
        return readable_batches(self._subject.dataset, samples, self._subject.device, unreadable={})


def _select(
    run: Run,
    cohorts: list[Cohort],
    now: tuple[ForgetSample, ...],
    forgotten: dict[int, int],
    resources: Resources,
) -> tuple[list[Position], list[Position], list[Position], dict[Cohort, list[Position]]]:
    """Retained and holdout samples, unseen ones of the labels forgotten, and forgotten ones."""
    size = run.policy.probe_size
    of_one = size_of_one(len(cohorts), size, run.policy.gate.min_probe)
    asked: dict[int, list[ForgetSample]] = defaultdict(list)
    for sample in now:
        asked[sample.label].append(sample)
    shares = {
        cohort: quotas({label: forgotten[label] for label in cohort.labels}, of_one)
        for cohort in cohorts
    }
    by_label = {label: n for share in shares.values() for label, n in share.items()}
    with resources.database.reading() as session:

        def probe(split: Split, limits: dict[int, int]) -> list[Position]:
            return select_probe(session, run.model_id, split, limits=limits, without=run.samples)

        retained = probe(Split.TRAIN, quotas(run.trained, min(size, sum(run.trained.values()))))
        holdout = probe(Split.HOLDOUT, quotas(run.holdout, min(size, sum(run.holdout.values()))))
        of_labels = probe(Split.HOLDOUT, by_label)
        of_cohorts = {
            cohort: select_forgotten(
                session,
                run.model_id,
                limits=share,
                now=[sample for label in share for sample in asked[label]],
            )
            for cohort, share in shares.items()
        }
    return retained, holdout, of_labels, of_cohorts


def _positions(samples: list[Position]) -> list[int]:
    return [position for position, _ in samples]
