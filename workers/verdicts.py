"""The verdict of a run: what was measured before and after, what was changed, and what follows."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.records.base import Json
from workers.unlearning.cohorts import Cohort
from workers.unlearning.tuning import Setting
from workers.unlearning.verification import Figures

# Accuracy on the forgotten samples that falls by less than this shows no forgetting.
NOTICEABLE = 0.005


@dataclass(frozen=True)
class Measured:
    """One network's figures on the samples to be forgotten, retained ones, and unseen ones."""

    forgotten: Figures
    retained: Figures
    holdout: Figures

    def as_json(self, gone: set[int]) -> Json:
        """`gone` are the labels of which no training sample is retained."""
        return {
            "forgotten": _figures(self.forgotten),
            "retained": _figures(self.retained),
            "holdout": _figures(self.holdout),
            "holdout_of_retained_labels": {"accuracy": self.holdout.accuracy_without(gone)},
            "holdout_accuracy_by_label": {
                str(label): self.holdout.correct_by_label[label] / count
                for label, count in sorted(self.holdout.count_by_label.items())
            },
        }


@dataclass(frozen=True)
class CohortSetting:
    """What was chosen for a cohort, and how many weights it dampened by itself."""

    cohort: Cohort
    setting: Setting
    dampened: int

    def as_json(self) -> Json:
        """As reports show it."""
        return {
            "name": self.cohort.name,
            "labels": list(self.cohort.labels),
            "samples": self.cohort.count,
            "alpha": self.setting.selection,
            "lambda": self.setting.strength,
            "dampened": self.dampened,
        }


def layers(dampened: Mapping[str, int], sizes: Mapping[str, int]) -> Json:
    """Weights dampened in all, and of every parameter."""
    total, changed = sum(sizes.values()), sum(dampened.values())
    return {
        "total": total,
        "dampened": changed,
        "share": changed / total,
        "layers": {
            name: {"total": size, "dampened": dampened[name], "share": dampened[name] / size}
            for name, size in sizes.items()
        },
    }


def remarks(before: Measured, after: Measured, trained: int) -> list[str]:
    """What a reader of the figures must know and might overlook."""
    said = []
    was, now = before.forgotten.accuracy, after.forgotten.accuracy
    if was is not None and now is not None and was - now < NOTICEABLE:
        said.append(
            f"Accuracy on the {trained} forgotten samples did not fall. The network may have "
            "generalised to them without memorising them, or dampening did not reach what it "
            "memorised: these figures cannot tell which."
        )
    return said


def _figures(figures: Figures) -> Json:
    return {"count": figures.count, "accuracy": figures.accuracy, "loss": figures.loss}
