"""The small tables of a report: figures at a glance, figures beside the point, policy, run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.reports import findings, words
from app.reports.estimates import Estimate, area_of, in_words
from models import documents
from models.documents import Report, Verdict
from models.records import Phase
from models.specifications import Gate, Policy


@dataclass(frozen=True)
class Glance:
    """One figure of base and candidate, and what it means in half a sentence."""

    what: str
    meaning: str
    base: Estimate | None
    candidate: Estimate | None


def glances(verdict: Verdict) -> list[Glance]:
    """What comes before everything else."""
    glance = _Glances(verdict)
    return [
        glance(
            "Accuracy on forgotten samples",
            "share of them classified right; it need not be 0, many unseen samples are as well",
            lambda figures: figures.forgotten.accuracy,
        ),
        glance(
            "Accuracy on retained samples",
            "training samples that nobody asked to forget",
            lambda figures: figures.retained.accuracy,
        ),
        glance(
            "Accuracy on unseen samples",
            findings.of_retained_labels(
                verdict, "samples never trained on, of labels that are still retained"
            ),
            lambda figures: figures.holdout_of_retained_labels.accuracy,
        ),
        glance(
            "Attack area",
            "how often a forgotten sample has a lower loss than an unseen one of its label; "
            "0.5 if nobody can tell them apart",
            lambda figures: area_of(figures.attacks.loss),
            words.area,
        ),
    ]


def others(report: Report) -> list[Glance]:
    """Figures that decide nothing."""
    glance = _Glances(report.verdict)
    losses: list[tuple[str, _Pick]] = [
        ("forgotten samples", lambda figures: figures.forgotten.loss),
        ("retained samples", lambda figures: figures.retained.loss),
        ("unseen samples of all labels", lambda figures: figures.holdout.loss),
    ]
    wrong = "mean cross-entropy: how wrong the network is about a sample"
    resemblance = report.zero_retrain_forgetting
    return [
        *(glance(f"Loss on {on}", wrong, pick, words.area) for on, pick in losses),
        glance(
            "Accuracy on unseen samples of all labels",
            "those of labels that are forgotten included, but for those that were asked for",
            lambda figures: figures.holdout.accuracy,
        ),
        glance(
            "Found at 1 % false alarms",
            "forgotten samples that an attacker by losses finds who mistakes 1 % of unseen ones",
            _true_positives,
        ),
        glance(
            "Entropy attack",
            "forgotten samples that the attack of SSD's authors takes for training samples",
            lambda figures: figures.attacks.entropy,
        ),
        Glance(
            "Zero retrain forgetting",
            "how much predictions on forgotten samples resemble those of an untrained network; 1 "
            "if they are the same",
            in_words(resemblance.base, words.area),
            in_words(resemblance.candidate, words.area),
        ),
    ]


def _true_positives(figures: documents.Figures) -> documents.Estimate | None:
    attack = figures.attacks.loss
    return None if attack is None else attack.true_positives_at_1_percent


_Pick = Callable[[documents.Figures], documents.Estimate | None]


@dataclass(frozen=True)
class _Glances:
    """Picks a figure of base and candidate."""

    verdict: Verdict

    def __call__(
        self, what: str, meaning: str, pick: _Pick, show: words.Show = words.percent
    ) -> Glance:
        figures = self.verdict.figures
        base, candidate = pick(figures.base), pick(figures.candidate)
        return Glance(what, meaning, in_words(base, show), in_words(candidate, show))


def policy(policy: Policy) -> list[tuple[str, str, str]]:
    """Name, value and meaning of everything that a policy says."""
    found = policy.model_dump(mode="json", by_alias=True)
    method = found["method"]
    return [
        ("method", method["method"], "How α and λ are found."),
        *((name, str(value), "") for name, value in method.items() if name != "method"),
        *((name, str(value), _meaning(Gate, name)) for name, value in found["gate"].items()),
        ("probe_size", str(found["probe_size"]), _meaning(Policy, "probe_size")),
    ]


def _meaning(of: type[Gate | Policy], name: str) -> str:
    return of.model_fields[name].description or ""


def facts(report: Report) -> list[tuple[str, str]]:
    """Which run this was, how long it took, and by what it can be checked."""
    run, network = report.run, report.network
    version = words.MISSING if run.version is None else str(run.version)
    seconds = (f"{phase} {run.timings[phase]:.1f}" for phase in Phase if phase in run.timings)
    return [
        ("ID", str(run.id)),
        ("Registered model", run.model),
        ("Mode", run.mode),
        ("State", run.state),
        ("Items", f"{run.items:,}"),
        ("Deletion requests", _requests(report)),
        ("Head before", f"version {run.parent_version}"),
        ("Published version", version),
        ("Carries out", str(run.carries_out or words.MISSING)),
        ("Worker", run.worker),
        ("Begun", words.moment(run.created_at)),
        ("Ended", words.moment(run.finished_at)),
        ("Seconds by phase", ", ".join(seconds) or words.MISSING),
        ("SHA-256 of the base's weights", network.base_sha256),
        ("SHA-256 of the published weights", network.published_sha256 or words.MISSING),
        ("Training samples", f"{network.training_samples:,}"),
        ("Fisher sums", _sums(network.sums)),
        ("Manifest digest", network.manifest_digest),
        ("This report is by", report.program),
    ]


def _requests(report: Report) -> str:
    """By the client's reference where there is one, else by ID."""
    return ", ".join(each.reference or str(each.id) for each in report.requests) or words.MISSING


def _sums(provenance: dict[str, Any]) -> str:
    """By which estimator they were made, and on what."""
    parameters = provenance["estimator_parameters"].items()
    said = (f"version {provenance['estimator_version']}", *(f"{n} {v}" for n, v in parameters))
    return f"{provenance['estimator']} ({', '.join(said)}), made on {provenance['device']}"
