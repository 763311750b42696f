"""Failpoints: named steps at which a test can make this process die, fail, stall or find no room.

Inert unless `EXPUNGE_FAILPOINTS` names a folder, which nobody sets outside of a test: reaching a
step then costs one look at a constant. In the folder, a file with a step's name says what happens
there, once: whoever reaches the step first takes the file away and does what it says.

    kill        SIGKILL to this process, and its end
    raise       `FailpointReached`
    stall S     stop all threads for S seconds, then go on as if nothing had been
    full        OSError: no space left on device

Every step reached, whether anything happens or not, leaves a line in the folder's file `reached`.
"""

import errno
import os
import signal
import subprocess
from enum import StrEnum
from pathlib import Path

from models.errors import ExpungeError

FOLDER = os.environ.get("EXPUNGE_FAILPOINTS")


class FailpointReached(ExpungeError):
    """A test has asked for a failure at this step."""


class Failpoint(StrEnum):
    """The steps of accepting a request, of a run and of a file, in order."""

    ACCEPT_BEFORE_COMMIT = "accept.before_commit"
    ACCEPT_AFTER_COMMIT = "accept.after_commit"
    CLAIM_BEFORE_COMMIT = "claim.before_commit"
    CLAIM_AFTER_COMMIT = "claim.after_commit"
    LOAD = "load"
    WEIGH = "weigh"
    TUNE = "tune"
    VERIFY = "verify"
    WRITE = "write"
    WRITE_BEFORE_RENAME = "write.before_rename"
    WRITE_AFTER_RENAME = "write.after_rename"
    PUBLISH_BEFORE_COMMIT = "publish.before_commit"
    PUBLISH_AFTER_COMMIT = "publish.after_commit"
    STEWARD = "steward"


def failpoint(step: Failpoint) -> None:
    """The process has come to `step`."""
    if FOLDER is not None:
        _reach(Path(FOLDER), step)


def _reach(folder: Path, step: Failpoint) -> None:
    with (folder / "reached").open("a") as reached:
        reached.write(f"{step.value}\n")
    mine = folder / f"{step.value}.{os.getpid()}"
    try:
        # Of all that come here at once, one gets the file.
        (folder / step.value).rename(mine)
    except FileNotFoundError:
        return
    action, _, argument = mine.read_text().partition(" ")
    _act(action, argument, step)


def _act(action: str, argument: str, step: Failpoint) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "raise":
        raise FailpointReached(f"A test has asked for a failure at {step.value!r}.")
    elif action == "stall":
        # Nobody but another process can wake up one that has stopped.
        subprocess.Popen(["/bin/sh", "-c", f"sleep {float(argument)}; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    else:
        raise ValueError(f"{action!r} is not something that a failpoint does.")
