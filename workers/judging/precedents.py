"""Precedents: what the head's verdict binds later runs to.

Every version is computed from the base, and every cohort is judged anew. But what a setting was
found by may be gone, as images are deleted; and what a person or a policy has accepted once holds
up nothing that comes later.
"""

from dataclasses import dataclass

from models import documents
from models.documents import Closeness, Rule
from workers.subjects import Subject
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.probing.expectation import Expectation
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Concession, Known
from workers.unlearning.searching.workbench import Kept
from workers.unlearning.tuning import Setting
from workers.weighing import Weighed


@dataclass(frozen=True)
class Precedents:
    """What the head's verdict still says of cohorts.

    Those `pinned` have their setting, those in `floors` are dampened as much at least. How a cohort
    stood when the head was published, though it was short, is `excused`. What stays `weakened` was
    published short for what it shows with others. What the head has forgotten is `kept`.
    """

    pinned: dict[Cohort, Setting]
    floors: dict[Cohort, Setting]
    excused: dict[Cohort, Concession]
    weakened: set[Cohort]
    kept: dict[Cohort, Kept]


def precedents_of(subject: Subject, weighed: Weighed, gate: Gate) -> Precedents:
    """Of cohorts that the head dampens already.

    If some of its samples cannot be looked at again, as they may be deleted by now, a cohort that
    cannot be judged, and of which this run forgets nothing, keeps its setting; others are dampened
    as much at least. So is one of which this run forgets nothing, and which was published short. If
    that was for what it shows with others, it stays weakened until they are judged together again.
    """
    found = Precedents({}, {}, {}, set(), {})
    together = gate.pool.at_base
    judged_together = together.cohorts if together and together.to_forget else frozenset()
    touched = {sample.label for sample in weighed.trained}
    for cohort, positions in gate.probe.forgotten.items():
        before = subject.on_record.get(cohort.name)
        if before is None:
            continue
        setting = Setting(selection=before.selection, strength=before.strength)
        settled = _is_part_of(cohort, before) and not touched & set(cohort.labels)
        complete = len(gate.base.at(positions)) == len(positions)
        undecidable = gate.at_base[cohort].closeness is Closeness.UNDECIDABLE
        if settled and undecidable and not complete:
            found.pinned[cohort] = setting
            found.excused[cohort] = Concession.of(gate.at_base[cohort])
        elif settled and not _has_forgotten(before):
            found.floors[cohort] = setting
            found.excused[cohort] = _conceded(before.candidate)
            if before.candidate.accepted and cohort not in judged_together:
                found.weakened.add(cohort)
        elif not complete:
            found.floors[cohort] = setting
        # Of what the base does not know there is nothing to give back.
        knew = gate.closeness_at_base(cohort) is not Closeness.ALIKE
        if knew and _has_forgotten(before):
            same = settled or before.rule is Rule.CHANCE
            found.kept[cohort] = Kept(setting, Known.of(before.candidate) if same else None)
    return found


def _has_forgotten(before: documents.CohortVerdict) -> bool:
    return before.candidate.accepted and not before.gives_away


def expected_before(subject: Subject, base: Observed, probe: Probe) -> dict[Cohort, Expectation]:
    """What was expected of cohorts whose forgotten samples can no longer all be looked at."""
    return {
        cohort: Expectation.from_document(before.expectation)
        for cohort, positions in probe.forgotten.items()
        if len(base.at(positions)) < len(positions)
        and not probe.gone.issuperset(cohort.labels)
        and (before := subject.on_record.get(cohort.name)) is not None
        and before.expectation is not None
    }


def _conceded(standing: documents.Standing) -> Concession:
    return Concession(standing.rule, standing.closeness, standing.distance)


def _is_part_of(cohort: Cohort, before: documents.CohortVerdict) -> bool:
    """Whether it holds nothing that was not in the cohort on record."""
    return set(cohort.labels) <= set(before.labels) and cohort.count <= before.samples
