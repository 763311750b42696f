"""Making candidates: the base dampened with a setting for every cohort, and each of them judged.

What is tried, and in which order, is the method's business (`unlearning/methods.py`); which of the
candidates is taken is decided here.
"""

from dataclasses import dataclass

from models.errors import ReviewOutdated
from models.policies import require_allowed
from models.records import Phase
from workers.bookkeeping import Bookkeeping
from workers.judging.examination import Examiner
from workers.judging.precedents import expected_before, precedents_of
from workers.progress import Report, Tracker
from workers.resources import Resources
from workers.runs import Approval, Run
from workers.subjects import Subject
from workers.unlearning.bounds import Bounds
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.importances import Sums, add_sums
from workers.unlearning.last_layer import last_layer_of
from workers.unlearning.methods import METHODS
from workers.unlearning.mixing import Mixer, Mixture
from workers.unlearning.search import best_passing, nearest
from workers.unlearning.surrogate import make_surrogate
from workers.unlearning.tuning import Setting
from workers.unlearning.workbench import Tried, Workbench
from workers.weighing import Weighed

# Sums of cohorts that are kept in memory between candidates, at most.
MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Tuned:
    """The ladder of candidates, the one that was taken, and its weights."""

    gate: Gate
    ladder: list[Tried]
    rung: int
    mixture: Mixture
    # Cohorts that could not be judged again, and kept their setting.
    pinned: frozenset[Cohort]
    # Cohorts that were published short for what they show with others, of which no more is known.
    weakened: frozenset[Cohort]

    @property
    def chosen(self) -> Tried:
        """The candidate that was taken."""
        return self.ladder[self.rung]


def tune(
    run: Run,
    subject: Subject,
    weighed: Weighed,
    books: Bookkeeping,
    resources: Resources,
    report: Report,
) -> tuple[Tuned, Examiner]:
    """Try candidates by the policy's method, and take the best that passes the gate.

    If none does, the one that comes nearest without too much damage. Raises `NothingRetained` if
    nothing but forgotten samples would be left, `ForgetsTooMuch` if the policy forbids that many,
    `ReviewOutdated` if a person has approved other cohorts than these.
    """
    require_allowed(sum(books.forgotten.values()), sum(run.trained.values()), run.policy.gate)
    examiner = Examiner(run, subject, weighed.trained, books.forgotten, resources)
    gate = _gate(run, subject, weighed, examiner, books.forgotten)
    precedents = precedents_of(subject, weighed, gate)
    mixer = Mixer(subject.base, subject.full, sum(run.trained.values()), CohortSums(books))
    tracker = Tracker(Phase.TUNE, getattr(run.policy.method, "max_candidates", 1), report)
    bench = Workbench(
        gate,
        mixer,
        examiner.look,
        last_layer_of(subject.network, gate.probe.num_classes),
        lambda: tracker.advance(1),
        pinned=precedents.pinned,
        floors=precedents.floors,
        excused=precedents.excused,
    )
    if run.approval is not None:
        bench.attempt(_approved(run.approval, examiner.cohorts))
    else:
        METHODS[run.policy.method.method](run.policy.method, bench)
    trials = [tried.trial for tried in bench.ladder]
    chosen = best_passing(trials) or nearest(trials)
    return (
        Tuned(
            gate=gate,
            ladder=bench.ladder,
            rung=trials.index(chosen),
            mixture=mixer.mix(chosen.settings),
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
    """Fisher sums of cohorts: those of their labels, added up, and kept while there is room."""

    def __init__(self, books: Bookkeeping) -> None:
        self._books = books
        self._added_up: dict[Cohort, Sums] = {}

    def __call__(self, cohort: Cohort) -> Sums:
        """The sums of one cohort, to be read only."""
        if cohort in self._added_up:
            return self._added_up[cohort]
        first, *rest = cohort.labels
        sums = self._books.sums_of(first)
        if rest:
            # A sum of their own: those of a label stay what they are.
            sums = {name: tensor.clone() for name, tensor in sums.items()}
        for label in rest:
            add_sums(sums, self._books.sums_of(label))
        size = sum(tensor.nbytes for tensor in sums.values())
        if size * (len(self._added_up) + 1) <= MOST_BYTES:
            self._added_up[cohort] = sums
        return sums


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
            selection=approval.settings[cohort.name]["alpha"],
            strength=approval.settings[cohort.name]["lambda"],
        )
        for cohort in cohorts
    }
