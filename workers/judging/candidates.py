"""Making candidates: the base dampened with a setting for every cohort, and each of them judged.

What is tried, and in which order, is the method's business (`unlearning/methods.py`); which of the
candidates is taken is decided here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.errors import ForgetsTooMuch, NothingRetained, ReviewOutdated
from models.policies import require_allowed
from models.records import Phase
from workers.bookkeeping import Bookkeeping
from workers.judging.examination import Examiner
from workers.judging.precedents import expected_before, precedents_of
from workers.judging.recognition import require_recognised
from workers.progress import Tell, Tracker
from workers.resources import Resources
from workers.runs import Approval, Run
from workers.subjects import Subject
from workers.unlearning.choosing import Choice, choose
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating.bounds import Bounds
from workers.unlearning.importances import Sums, add_sums
from workers.unlearning.last_layer import last_layer_of
from workers.unlearning.methods import METHODS
from workers.unlearning.mixing import Mixer
from workers.unlearning.probing.surrogate import make_surrogate
from workers.unlearning.searching.keeping import keep_forgotten
from workers.unlearning.searching.trials import Trial
from workers.unlearning.searching.workbench import Workbench
from workers.unlearning.tuning import Setting
from workers.weighing import Weighed

# Sums of cohorts that are kept in memory between candidates, at most.
MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Tuned(Choice):
    """The ladder of candidates, the one that was taken, and what they were held against."""

    gate: Gate
    # Cohorts that could not be judged again, and kept their setting.
    pinned: frozenset[Cohort]
    # Cohorts that were published short for what they show with others, of which no more is known.
    weakened: frozenset[Cohort]


def tune(
    run: Run,
    subject: Subject,
    weighed: Weighed,
    books: Bookkeeping,
    resources: Resources,
    tell: Tell,
) -> tuple[Tuned, Examiner]:
    """Try candidates by the policy's method, and take the best that passes the gate.

    If none does, the one that comes nearest without too much damage. Raises `NothingRetained` if
    nothing but forgotten samples would be left, `ForgetsTooMuch` if the policy forbids that many,
    `ReviewOutdated` if a person has approved other cohorts than these, `DatasetChanged` if the base
    does not recognise the images any more.
    """
    _require_allowed(run, books)
    examiner = Examiner(run, subject, weighed.trained, books.forgotten, resources)
    gate = _gate(run, subject, weighed, examiner, books.forgotten)
    precedents = precedents_of(subject, weighed, gate)
    tracker = Tracker(Phase.TUNE, run.policy.method.candidates, tell)
    sums_of = CohortSums(books, lambda: tracker.advance(0))
    mixer = Mixer(subject.base, subject.full, sum(run.trained.values()), sums_of, precedents.pinned)
    bench = Workbench(
        gate,
        mixer,
        examiner.look,
        last_layer_of(subject.network, gate.probe.num_classes),
        lambda: tracker.advance(1),
        pinned=precedents.pinned,
        floors=precedents.floors,
        excused=precedents.excused,
        kept=precedents.kept,
    )
    if run.approval is not None:
        bench.attempt(_approved(run.approval, examiner.cohorts))
    else:
        METHODS[run.policy.method.method](run.policy.method, bench)
        keep_forgotten(bench)
    choice = choose(bench)
    if run.approval is not None:
        _require_kept(choice.chosen.trial)
    return (
        Tuned(
            ladder=choice.ladder,
            rung=choice.rung,
            mixture=choice.mixture,
            gate=gate,
            pinned=frozenset(precedents.pinned),
            weakened=frozenset(precedents.weakened),
        ),
        examiner,
    )


def _gate(
    run: Run, subject: Subject, weighed: Weighed, examiner: Examiner, forgotten: dict[int, int]
) -> Gate:
    """What candidates are held against: the base, and what is expected without the samples."""
    base, probe = examiner.look(subject.base), examiner.probe
    require_recognised(base.at(probe.retained), run.recognised, labels=len(run.trained))
    surrogate = make_surrogate(base, examiner.batches(), probe, run.trained, forgotten)
    before = expected_before(subject, base, probe)
    asked = {sample.label for sample in weighed.trained}
    return Gate(
        base,
        probe,
        Bounds.of(run.policy.gate),
        surrogate,
        before,
        asked,
        forgotten_together=subject.forgotten_together,
    )


class CohortSums:
    """Fisher sums of cohorts: those of their labels, added up, and kept while there is room.

    `go_on` is called before those of a label are read, and may raise.
    """

    def __init__(self, books: Bookkeeping, go_on: Callable[[], None]) -> None:
        self._books = books
        self._go_on = go_on
        self._added_up: dict[Cohort, Sums] = {}

    def __call__(self, cohort: Cohort) -> Sums:
        """The sums of one cohort, to be read only."""
        if cohort in self._added_up:
            return self._added_up[cohort]
        first, *rest = cohort.labels
        sums = self._sums_of(first)
        if rest:
            # A sum of their own: those of a label stay what they are.
            sums = {name: tensor.clone() for name, tensor in sums.items()}
        for label in rest:
            add_sums(sums, self._sums_of(label))
        size = sum(tensor.nbytes for tensor in sums.values())
        if size * (len(self._added_up) + 1) <= MOST_BYTES:
            self._added_up[cohort] = sums
        return sums

    def _sums_of(self, label: int) -> Sums:
        self._go_on()
        return self._books.sums_of(label)


def _require_allowed(run: Run, books: Bookkeeping) -> None:
    """Raise `NothingRetained` or `ForgetsTooMuch` if the policy forbids that many.

    Of what was approved by another policy its items are fitted to this one: `ReviewOutdated`.
    """
    try:
        require_allowed(sum(books.forgotten.values()), sum(run.trained.values()), run.policy.gate)
    except (ForgetsTooMuch, NothingRetained) as error:
        if run.approval is None:
            raise
        raise ReviewOutdated(f"The policy has changed since the approval. {error}") from error


def _require_kept(trial: Trial) -> None:
    """Raise `ReviewOutdated` if an approved candidate gives back what a version has forgotten."""
    if trial.judgement.given_back:
        names = ", ".join(sorted(cohort.name for cohort in trial.judgement.given_back))
        raise ReviewOutdated(
            f"The candidate that was approved knows samples again that the published version has "
            f"forgotten: {names}. Look at the run that follows."
        )


def _approved(approval: Approval, cohorts: list[Cohort]) -> dict[Cohort, Setting]:
    if {cohort.name: (list(cohort.labels), cohort.count) for cohort in cohorts} != approval.cohorts:
        # A setting that forgets a label harms those of it that stay, if some of it stays after all.
        raise ReviewOutdated(
            "The samples are no longer those of the candidate that was approved: some were "
            "withdrawn or cannot be read, or others are forgotten by now. Look at the run that "
            "follows."
        )
    return {
        cohort: Setting(
            selection=approval.settings[cohort.name].selection,
            strength=approval.settings[cohort.name].strength,
        )
        for cohort in cohorts
    }
