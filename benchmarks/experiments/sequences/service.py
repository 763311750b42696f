"""The service: its queue, its search and its gate, one request after another or all at once.

A request is tried by itself first, and if that is held back, together with all that waits. What
goes on waiting is tried again whenever something was published, because the base of comparison is
another then.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from benchmarks.experiments.laboratory import Forgotten
from benchmarks.experiments.sequences.course import Course, Version
from models.documents import Decision


class Service:
    """The network that serves, and which samples it has forgotten and which wait, as masks."""

    def __init__(self, course: Course) -> None:
        self.network: nn.Module = course.network
        self._course = course
        self.published = course.forgotten(after=0)
        self.waiting = course.forgotten(after=0)
        self._forgotten_together = False

    def answer(self, number: int, request: Tensor) -> Version:
        """Serve one request."""
        found = self._run(request)
        if _is_held(found):
            was_waiting = bool(self.waiting.any())
            self.waiting = self.waiting | request
            found = self._run(self.waiting) if was_waiting else found
        elif self.waiting.any():
            self._run(self.waiting)
        return Version(number, self.network, _notes(found))

    def _run(self, asked: Tensor) -> Forgotten:
        found = self._course.subject.forget(
            self.published | asked, asked=asked, forgotten_together=self._forgotten_together
        )
        if not _is_held(found):
            self.network = self._course.with_weights(found.weights)
            self.published = self.published | asked
            self._forgotten_together = found.together
            self.waiting = self.waiting & ~asked
        return found


def auto(course: Course) -> Iterator[Version]:
    """Where the gate holds a version back, the last published one goes on serving."""
    service = Service(course)
    for number, request in course.numbered():
        yield service.answer(number, request)


def auto_at_once(course: Course) -> Iterator[Version]:
    """All that the requests name in a single one."""
    yield Service(course).answer(course.last, course.forgotten(after=course.last))


def _is_held(found: Forgotten) -> bool:
    return found.decision is Decision.NEEDS_REVIEW


def _notes(found: Forgotten) -> dict[str, object]:
    judgement = found.chosen.judgement
    return {
        "decision": found.decision.value,
        "candidates": len(found.trials),
        "reasons": [*judgement.damage, *judgement.shortfalls, *judgement.undecided],
    }
