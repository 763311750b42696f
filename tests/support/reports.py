"""Reports built in code, as JSON that a test can change: as small as they can be."""

from typing import Any

from models.documents import Report, Verdict

Json = dict[str, Any]

GATE = {
    "max_retained_fall": 0.02,
    "max_class_fall": 0.1,
    "max_holdout_fall": 0.01,
    "max_membership": 0.02,
    "min_probe": 30,
    "max_forgotten_share": 0.5,
    "on_shortfall": "review",
}
BINS = 40


def estimate(value: float, count: int = 50) -> Json:
    """A figure with some interval around it."""
    return {
        "value": value,
        "count": count,
        "low": max(0.0, value - 0.1),
        "high": min(1.0, value + 0.1),
    }


def standing(area: float, recognised: float | None = None) -> Json:
    """How one network treats one cohort."""
    near = abs(area - 0.5) < 0.05 if recognised is None else not recognised
    return {
        "rule": "like_unseen" if recognised is None else "chance",
        "closeness": "alike" if near else "familiar",
        "distance": 0.0 if near else area - 0.5 if recognised is None else recognised,
        "accuracy": estimate(0.7),
        "attack": {
            "area": estimate(area),
            "true_positives_at_1_percent": None,
            "unseen": 60,
            "unmatched": 0,
        },
        "recognised": None if recognised is None else estimate(recognised),
        "recognised_on": None if recognised is None else "unseen",
        "expected": None,
        "bound": 0.02,
        "accepted": near,
    }


def rung(names: list[str], alpha: float, area: float, retained: float) -> Json:
    """A candidate with the same α and the same attack area for all cohorts."""
    damage = ["Accuracy on the retained probe would be too low."] if retained < 0.9 else []
    short = ["Label 0: the forgotten samples look more familiar."] if area >= 0.55 else []
    return {
        "settings": {name: {"alpha": alpha, "lambda": 1.0} for name in names},
        "at_a_glance": False,
        "passes": not (damage or short),
        "damage": damage,
        "shortfalls": short,
        "undecided": [],
        "given_back": [],
        "distance": area - 0.5,
        "change_norm": 100 / alpha,
        "retained": fall(0.99, retained, 200),
        "holdout_of_retained_labels": fall(0.95, 0.94, 80),
        "worst_label": {"label": 2, **fall(1.0, 0.9, 20)},
        "cohorts": {name: standing(area) for name in names},
        "pool": None,
        "last_layer_restored": {},
    }


def fall(base: float, candidate: float, count: int) -> Json:
    """Accuracy of base and candidate on the same samples."""
    points = base - candidate
    interval = {"value": points, "low": points - 0.01, "high": points + 0.01, "count": count}
    return {"base": base, "candidate": candidate, "count": count, "fall": interval}


def figures(forgotten: float) -> Json:
    """What one network makes of the probe."""
    group = {"accuracy": estimate(0.95), "loss": estimate(0.2)}
    return {
        "forgotten": {"accuracy": estimate(forgotten), "loss": estimate(0.4)},
        "retained": group,
        "holdout": group,
        "holdout_of_retained_labels": group,
        "by_label": {
            label: {
                "forgotten": {"accuracy": None, "loss": None},
                "retained": {"accuracy": estimate(0.9), "loss": estimate(0.2)},
                "holdout": {"accuracy": estimate(0.8), "loss": estimate(0.3)},
                "loss_attack": None,
            }
            for label in ("10", "2", "0")
        },
        "attacks": {"loss": standing(0.6)["attack"], "entropy": estimate(0.3)},
    }


def make_report(*, cohorts: int = 1, outcome: str = "published", **run: Any) -> Json:
    """A run of four candidates, of which the third was taken."""
    names = [f"label {label}" for label in range(cohorts - 1)]
    names.append("scattered" if names else "label 0")
    ladder = [
        rung(names, 80.0, 0.9, 0.99),
        rung(names, 40.0, 0.7, 0.98),
        rung(names, 20.0, 0.5, 0.97),
        rung(names, 10.0, 0.4, 0.8),
    ]
    histogram = [0.0] * BINS
    histogram[10] = 1.0
    groups = dict.fromkeys(("forgotten", "retained", "unseen"), histogram)
    return {
        "run": {
            "id": "448b4bcc-d884-4329-8a60-5afd58bb05bf",
            "model": "faces",
            "mode": "delete",
            "state": "needs_review" if outcome == "undecidable" else outcome,
            "items": 95,
            "parent_version": 2,
            "version": 3,
            "worker": "host:1",
            "created_at": "2026-11-25T18:22:29.561959+00:00",
            "finished_at": "2026-11-25T18:23:00+00:00",
            "timings": {"load": 0.02, "tune": 19.5},
            "review": None,
            "carries_out": None,
            **run,
        },
        "network": {
            "base_sha256": "b" * 64,
            "published_sha256": "c" * 64,
            "training_samples": 54_321,
            "manifest_digest": "d" * 64,
            "sums": {
                "weights": "b" * 64,
                "manifest": "d" * 64,
                "device": "cpu",
                "estimator": "predictive",
                "estimator_version": 2,
                "estimator_parameters": {"seed": 7},
            },
        },
        "program": "expunge 9.8.7",
        "requests": [
            {"id": "5b0e6f9c-1111-4000-8000-000000000000", "reference": None, "items": 90},
            {"id": "5b0e6f9c-2222-4000-8000-000000000000", "reference": "DSR-17", "items": 5},
        ],
        "verdict": {
            "outcome": outcome,
            "asked": {"training": 95, "holdout": 0, "unreadable": 0},
            "parted": 0,
            "reasons": [],
            "remarks": [],
            "policy": {"method": {"method": "auto"}, "gate": GATE, "probe_size": 1000},
            "policy_version": 4,
            "damage_budget": {"allowed": 0.01, "spent": 0.004, "retraining_advised": False},
            "holdout_excused": {},
            "pool": None,
            "rung": 2,
            "ladder": ladder,
            "cohorts": [
                {
                    "name": name,
                    "labels": [0],
                    "samples": 50,
                    "alpha": 20.0,
                    "lambda": 1.0,
                    "dampened": 12,
                    "rule": "like_unseen",
                    "expectation": None,
                    "gives_away": False,
                    "base": standing(0.9),
                    "candidate": standing(0.5),
                    "last_layer_restored": None,
                }
                for name in names
            ],
            "figures": {"base": figures(0.99), "candidate": figures(0.7)},
            "weights": {
                "total": 1000,
                "dampened": 12,
                "share": 0.012,
                "change_norm": 5.0,
                "layers": {
                    "head.bias": _layer(10, 0, 0.0),
                    "layer10.weight": _layer(490, 2, 1.0),
                    "layer2.weight": _layer(500, 10, 4.0),
                },
            },
        },
        "zero_retrain_forgetting": {"base": estimate(0.3), "candidate": None},
        "loss_histograms": {
            "log10_edges": [-8 + 0.25 * edge for edge in range(BINS + 1)],
            "base": dict(groups),
            "candidate": dict(groups),
        },
    }


def _layer(total: int, dampened: int, norm: float) -> Json:
    return {
        "total": total,
        "dampened": dampened,
        "share": dampened / total,
        "changed": dampened,
        "change_norm": norm,
    }


def read(report: Json) -> Report:
    """The report, as the service has it."""
    return Report.model_validate(report)


def verdict_of(report: Json) -> Verdict:
    """The report's verdict."""
    return read(report).verdict


def without_figures(report: Json) -> Json:
    """The same with every figure that may be missing, missing."""
    verdict = report["verdict"]
    verdict["damage_budget"]["spent"] = None
    for network in verdict["figures"].values():
        for group in ("forgotten", "retained", "holdout", "holdout_of_retained_labels"):
            network[group] = {"accuracy": None, "loss": None}
        nothing = {"accuracy": None, "loss": None}
        groups = dict.fromkeys(("forgotten", "retained", "holdout"), nothing)
        network["by_label"] = {"0": {**groups, "loss_attack": None}}
        network["attacks"] = {"loss": None, "entropy": None}
    unknown = {
        "rule": "like_unseen",
        "closeness": "undecidable",
        "distance": None,
        "accuracy": None,
        "attack": None,
        "recognised": None,
        "recognised_on": None,
        "expected": None,
        "bound": None,
        "accepted": False,
    }
    for cohort in verdict["cohorts"]:
        cohort.update(base=unknown, candidate=unknown)
    for each in verdict["ladder"]:
        each.update(retained=None, holdout_of_retained_labels=None, worst_label=None)
        each["cohorts"] = dict.fromkeys(each["cohorts"], unknown)
    histograms = report["loss_histograms"]
    for network in ("base", "candidate"):
        histograms[network] = dict.fromkeys(histograms[network], [0.0] * BINS)
    report["zero_retrain_forgetting"] = {"base": None, "candidate": None}
    report["run"].update(version=None, finished_at=None, timings={})
    return report
