"""Many settings of α and λ on one task, from the same base: only the dampening differs."""

import math
from collections.abc import Sequence

from benchmarks.experiments.figures import Accuracies, accuracies
from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.tasks import Task
from workers.unlearning.tuning import Setting


def sweep(subject: Subject, task: Task, settings: Sequence[Setting]) -> list[Accuracies]:
    """Accuracies under each setting, given to every cohort alike."""
    mixer, cohorts = subject.mixer(task.forgotten), subject.cohorts(task.forgotten)
    known: dict[Setting, Accuracies] = {}
    for setting in map(effective, settings):
        if setting not in known:
            weights = mixer.mix(dict.fromkeys(cohorts, setting)).weights
            subject.network.load_state_dict(weights)
            known[setting] = accuracies(subject.network, task)
    return [known[effective(setting)] for setting in settings]


def effective(setting: Setting) -> Setting:
    """The setting of the highest α with the same factors.

    α below λ selects weights that the factor, min(λ · I_r / I_f, 1), then leaves alone.
    """
    return Setting(max(setting.selection, setting.strength), setting.strength)


def spaced(start: float, stop: float, count: int) -> list[float]:
    """`count` numbers at equal ratios, from `start` to `stop`."""
    if count == 1:
        return [start]
    step = math.log(stop / start) / (count - 1)
    return [start * math.exp(step * place) for place in range(count)]
