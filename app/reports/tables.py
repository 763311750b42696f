"""The small tables of a report: figures at a glance, figures beside the point, policy, run."""

from dataclasses import dataclass

from app.reports import findings, words
from app.reports.estimates import Estimate, read_estimate
from models.records import Phase
from models.records.base import Json
from models.specifications import Gate, Policy


@dataclass(frozen=True)
class Glance:
    """One figure of base and candidate, and what it means in half a sentence."""

    what: str
    meaning: str
    base: Estimate | None
    candidate: Estimate | None


def glances(verdict: Json) -> list[Glance]:
    """What comes before everything else."""
    base, candidate = _networks(verdict)
    accuracies = [
        Glance(
            what,
            meaning,
            read_estimate(base[group]["accuracy"]),
            read_estimate(candidate[group]["accuracy"]),
        )
        for group, what, meaning in (
            (
                "forgotten",
                "Accuracy on forgotten samples",
                "share of them classified right; it need not be 0, many unseen samples are as well",
            ),
            (
                "retained",
                "Accuracy on retained samples",
                "training samples that nobody asked to forget",
            ),
            (
                "holdout_of_retained_labels",
                "Accuracy on unseen samples",
                findings.of_retained_labels(
                    verdict, "samples never trained on, of labels that are still retained"
                ),
            ),
        )
    ]
    areas = (_loss_attack(network, "area", words.area) for network in (base, candidate))
    return [
        *accuracies,
        Glance(
            "Attack area",
            "how often a forgotten sample has a lower loss than an unseen one of its label; "
            "0.5 if nobody can tell them apart",
            *areas,
        ),
    ]


def others(report: Json) -> list[Glance]:
    """Figures that decide nothing."""
    base, candidate = _networks(report["verdict"])
    return [
        *(
            Glance(
                f"Loss on {said}",
                "mean cross-entropy: how wrong the network is about a sample",
                read_estimate(base[group]["loss"], words.area),
                read_estimate(candidate[group]["loss"], words.area),
            )
            for group, said in (
                ("forgotten", "forgotten samples"),
                ("retained", "retained samples"),
                ("holdout", "unseen samples of all labels"),
            )
        ),
        Glance(
            "Accuracy on unseen samples of all labels",
            "those of labels that are forgotten, in part or whole, included",
            read_estimate(base["holdout"]["accuracy"]),
            read_estimate(candidate["holdout"]["accuracy"]),
        ),
        Glance(
            "Found at 1 % false alarms",
            "forgotten samples that an attacker by losses finds who mistakes 1 % of unseen ones",
            *(
                _loss_attack(network, "true_positives_at_1_percent", words.percent)
                for network in (base, candidate)
            ),
        ),
        Glance(
            "Entropy attack",
            "forgotten samples that the attack of SSD's authors takes for training samples",
            *(read_estimate(network["attacks"]["entropy"]) for network in (base, candidate)),
        ),
        Glance(
            "Zero retrain forgetting",
            "how much predictions on forgotten samples resemble those of an untrained network; 1 "
            "if they are the same",
            *(
                read_estimate(report["zero_retrain_forgetting"][network], words.area)
                for network in ("base", "candidate")
            ),
        ),
    ]


def _networks(verdict: Json) -> tuple[Json, Json]:
    return verdict["figures"]["base"], verdict["figures"]["candidate"]


def _loss_attack(network: Json, figure: str, show: words.Show) -> Estimate | None:
    attack = network["attacks"]["loss"]
    return read_estimate(attack[figure], show) if attack else None


def policy(found: Json) -> list[tuple[str, str, str]]:
    """Name, value and meaning of everything that a policy says."""
    method = found["method"]
    return [
        ("method", method["method"], "How α and λ are found."),
        *((name, str(value), "") for name, value in method.items() if name != "method"),
        *((name, str(value), _meaning(Gate, name)) for name, value in found["gate"].items()),
        ("probe_size", str(found["probe_size"]), _meaning(Policy, "probe_size")),
    ]


def _meaning(of: type[Gate | Policy], name: str) -> str:
    return of.model_fields[name].description or ""


def facts(report: Json) -> list[tuple[str, str]]:
    """Which run this was, how long it took, and by what it can be checked."""
    run, network = report["run"], report["network"]
    version = words.MISSING if run["version"] is None else str(run["version"])
    seconds = (f"{phase} {run['timings'][phase]:.1f}" for phase in Phase if phase in run["timings"])
    return [
        ("ID", run["id"]),
        ("Registered model", run["model"]),
        ("Mode", run["mode"]),
        ("State", run["state"]),
        ("Items", f"{run['items']:,}"),
        ("Head before", f"version {run['parent_version']}"),
        ("Published version", version),
        ("Carries out", run["carries_out"] or words.MISSING),
        ("Worker", run["worker"]),
        ("Begun", words.moment(run["created_at"])),
        ("Ended", words.moment(run["finished_at"])),
        ("Seconds by phase", ", ".join(seconds) or words.MISSING),
        ("SHA-256 of the base's weights", network["base_sha256"]),
        ("SHA-256 of the published weights", network["published_sha256"] or words.MISSING),
        ("Training samples", f"{network['training_samples']:,}"),
        ("Fisher sums", _sums(network["sums"])),
        ("Manifest digest", network["manifest_digest"]),
        ("This report is by", report["program"]),
    ]


def _sums(provenance: Json) -> str:
    """By which estimator they were made, and on what."""
    parameters = provenance["estimator_parameters"].items()
    said = (f"version {provenance['estimator_version']}", *(f"{n} {v}" for n, v in parameters))
    return f"{provenance['estimator']} ({', '.join(said)}), made on {provenance['device']}"
