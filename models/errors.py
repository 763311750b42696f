"""What can go wrong, and that somebody can act on.

An error is named for what happened. Its message is one or two sentences for the person who reads
it: what is wrong, and what to do. HTTP status codes are not known here; `app/problems.py` has them.
Messages may name parameters, files and counts, and never carry a secret. An error that only one
module knows of is defined in it.
"""

from typing import Any, ClassVar


class ExpungeError(Exception):
    """Base of all domain errors; `kind` is their stable name outside Python."""

    # The class name in kebab-case, e.g. `unknown-model`.
    kind: str = "expunge-error"
    # Whether the same work would fail in the same way again.
    lasting: ClassVar[bool] = False

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.kind = "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).lstrip("-")


# Configuration ---------------------------------------------------------------------------------


class NotConfigured(ExpungeError):
    """A setting that this process needs is missing."""


class SchemaOutOfDate(ExpungeError):
    """The database's schema is not the one this program was written for."""


class WritesRefused(ExpungeError):
    """PostgreSQL answers, and takes nothing: it is a standby, or read-only."""


# Who asks, and what for ------------------------------------------------------------------------


class NotAuthenticated(ExpungeError):
    """No API key was sent, or one nobody holds."""


class NotPermitted(ExpungeError):
    """The API key lacks the scope that the operation needs."""


class BodyTooLarge(ExpungeError):
    """The request's body is over the limit."""


class BodyTimeout(ExpungeError):
    """The request's body did not come, or not fast enough."""


class TooBusy(ExpungeError):
    """As many requests of this kind are being handled as the gateway takes at once."""


class ExpandsTooMuch(ExpungeError):
    """A compressed body is more than it looks like, or more than is taken."""


class MalformedEncoding(ExpungeError):
    """A body is not what its Content-Encoding says."""


class UnsupportedEncoding(ExpungeError):
    """A body is encoded in a way that is not taken here."""


class MalformedLine(ExpungeError):
    """A line of an NDJSON body holds no sample ID."""


class UnsupportedMediaType(ExpungeError):
    """The request's body is in a form that is not taken here."""


class TooManySamples(ExpungeError):
    """More sample IDs in one request than the limit allows."""


class InvalidCursor(ExpungeError):
    """A pagination cursor that this service did not issue."""


class IdempotencyKeyReused(ExpungeError):
    """The Idempotency-Key was used before, with another body."""


# Things that are not there, or no longer -------------------------------------------------------


class UnknownModel(ExpungeError):
    """No registered model of that name."""


class UnknownRequest(ExpungeError):
    """No deletion request of that ID."""


class UnknownRun(ExpungeError):
    """No run of that ID."""


class UnknownReport(ExpungeError):
    """The run was not judged, so there is nothing to report."""


class UnknownCheckpoint(ExpungeError):
    """The registered model has no checkpoint of that version."""


class UnknownSample(ExpungeError):
    """The registered model was not trained on a sample of that ID."""


class CheckpointWithdrawn(ExpungeError):
    """The version still carries a sample that has since been forgotten."""


class ModelBehind(ExpungeError):
    """The database was set back to before something that has been published."""


# States ----------------------------------------------------------------------------------------


class IllegalTransition(ExpungeError):
    """A record cannot go from its state to the one asked for."""


class ModelExists(ExpungeError):
    """A registered model of that name exists already."""


class ModelNotActive(ExpungeError):
    """The registered model is not enrolled (yet), so it cannot take deletion requests."""


class ModelEnrolling(ExpungeError):
    """The registered model is being enrolled, which has to end first."""


class ModelRetired(ExpungeError):
    """The registered model is retired: what was computed with is deleted, for good."""


class ModelNotEnrolling(ExpungeError):
    """The registered model is enrolled, or its enrolment has failed: nothing is to be stopped."""


class RequestNotPending(ExpungeError):
    """The deletion request has begun or ended, so it cannot be withdrawn."""


class RunNotHeld(ExpungeError):
    """The run does not wait for a review, or its items are another run's by now."""


class RunNotRunning(ExpungeError):
    """The run has ended, so it cannot be stopped."""


class UnknownRung(ExpungeError):
    """The run's ladder has no candidate of that number."""


class RungGivesBack(ExpungeError):
    """The candidate knows samples again that the published version has forgotten."""


class ReviewOutdated(ExpungeError):
    """What was approved is no longer what would be published."""


class RunEnded(ExpungeError):
    """The run has its final state already: an earlier transaction was committed after all."""


class RunCancelled(ExpungeError):
    """Somebody has asked that the run be stopped, or a request of its withdrawn."""


class RunTimedOut(ExpungeError):
    """The run took longer than a run may take."""


class WorkerStopping(ExpungeError):
    """The worker was asked to stop, and the run has had its time to end by itself."""


class LeaseLost(ExpungeError):
    """Another worker has taken over; whatever this one holds must not be published."""


class NothingToRecompute(ExpungeError):
    """The head is the base itself, which is not computed from anything."""


# Policies, and what may be forgotten -----------------------------------------------------------


class PreconditionFailed(ExpungeError):
    """What is to be changed or fetched is not what the client has seen."""


class InvalidPolicy(ExpungeError):
    """The policy, with the changes asked for, is none that this registered model can have."""


class NothingRetained(ExpungeError):
    """Forgetting everything leaves no retained data to protect."""

    lasting = True


class ForgetsTooMuch(ExpungeError):
    """More would be forgotten than the policy allows."""

    lasting = True


# Enrolment -------------------------------------------------------------------------------------


class EnrolmentRefused(ExpungeError):
    """Base of what is wrong with something that was to be enrolled."""


class UnknownArchitecture(EnrolmentRefused):
    """No architecture of that name, or it does not take these options."""


class SourceOutsideRoot(EnrolmentRefused):
    """A path lies outside the folder that sources may be enrolled from."""


class WeightsUnreadable(EnrolmentRefused):
    """The weights are not a whole, plain safetensors file."""


class WeightsMismatch(EnrolmentRefused):
    """The weights do not fit the architecture, tensor by tensor."""


class NetworkMismatch(EnrolmentRefused):
    """The network does not take the preprocessed images, or has another number of outputs."""


class DatasetUnreadable(EnrolmentRefused):
    """The dataset, or a part of it, cannot be read."""


class DatasetChanged(ExpungeError):
    """The dataset does not have the samples, labels and order any more that were enrolled."""


class DuplicateSamples(EnrolmentRefused):
    """Two samples of a dataset have the same sample ID."""


class InvalidSampleId(EnrolmentRefused):
    """A sample ID is empty, too long or holds control characters."""


class LabelOutOfRange(EnrolmentRefused):
    """A label that the network has no output for."""


class RanksFailed(ExpungeError):
    """A process of an enrolment has died."""


class ReaderDied(ExpungeError):
    """A process that reads images for an enrolment has ended."""


class NodeDiffers(ExpungeError):
    """A machine that takes part in an enrolment has other weights, samples or devices."""


class ShardsMissing(ExpungeError):
    """The processes of an enrolment have ended, and not all shards are in its log."""


class RankRefused(ExpungeError):
    """A process of an enrolment has found something wrong; `kind` is that error's."""

    def __init__(self, found: str, message: str) -> None:
        super().__init__(message)
        self.kind = found


# Artifacts -------------------------------------------------------------------------------------


class ArtifactMissing(ExpungeError):
    """A stored file that a record names is not there."""


class ArtifactDamaged(ExpungeError):
    """A stored file's bytes are not those that were written."""


# Backups ---------------------------------------------------------------------------------------


class BackupUnusable(ExpungeError):
    """A backup is not there, not complete, damaged, or of a schema that this program lacks."""


class BackupUnderWay(ExpungeError):
    """Somebody else is writing to the same backup."""


class DatabaseNotEmpty(ExpungeError):
    """A backup is restored into an empty database only."""


# Numerics --------------------------------------------------------------------------------------


class SampleUnreadable(ExpungeError):
    """The data of a sample to be forgotten cannot be read any more."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class NonFiniteGradient(ExpungeError):
    """A sample's gradient holds NaN or infinity."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class NotEvaluable(ExpungeError):
    """The network is in a state in which no per-sample gradient exists."""


class SumsMismatch(ExpungeError):
    """Fisher sums that were taken in different ways cannot be compared."""
