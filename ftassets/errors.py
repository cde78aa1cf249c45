"""All errors of this package. The message of each says what happened, why, and what to do next.

The tree: each class is listed below its first parent, with its other parents after its name. Raise the most specific class and catch the
most general one that you can handle; `ftassets.exits` defines the exit code of each.

- FtassetsError: Root of all errors of this package. The command line shows its message and ends with exit code 1.
  - AdoptionRefused: The model cannot be adopted; the message says why and what to do.
  - ArtifactConflict: Something else is stored under a name already: what was written once is not replaced.
  - ArtifactMissing: Nothing is stored under a name.
  - BackupDamaged: A backup is incomplete, was changed, or cannot be opened with this passphrase; the message names what.
  - BadRequest: The request cannot be evaluated: the message says what is wrong with it.
  - BaseModelMissing: The base model is not on this machine; the message says how to get it.
  - CannotServe: The gateway cannot run on this machine; the message says what to change.
  - CannotSign: The signing key is missing or must not be used; the message says what to do.
  - ClientGone: The client closed its connection before it had the answer.
  - ControlUnusable (also OSError): The database is not one for control, or refuses; the message says what to do.
  - DatasetError: Base of all errors of a dataset store.
    - AlreadyExists: A branch or tag of that name exists.
    - Busy: Another writer holds the store; try again.
    - MergeConflict: Both sides changed the same path; `paths` names them.
    - NothingToCommit: The branch has no staged change, or the source has no new commit.
    - ObjectNotFound: The ref has no object at that path.
    - RefNotFound: No branch, tag or commit of that name.
    - Unreachable (also ServerUnreachable): No answer from the store; whether a commit or merge happened is unknown.
  - DemoFailed: A step of the demo failed; the message names the log to read.
  - DumpFailed: Tables could not be copied from a database, or brought back into it; the message has the words of the program that does it.
  - EmbedderError: The embedder cannot be loaded or reached, or its vectors cannot be compared; the message says what to do.
    - ModelChanged: Another model answers behind the name of the embedder.
  - EvalReportMissing: The loop has not made that many evaluation reports yet.
  - EvaluationFailed: The evaluation process ended without all outputs of its job.
    - EvaluationKilled: The evaluation process was killed from outside; one retry makes sense.
  - GatewayStops: The gateway is stopped, and the time that requests have to end is over.
  - HostError: A model server could not be started or did not become ready; the message says why.
  - InvalidInput (also ValueError): An argument, a file or a setting cannot be used; the message says what to change.
    - ConfigurationError: An environment variable or a loop file is missing or wrong; the message names it.
      - KeyMissing: The API key of an endpoint is not in the environment; the message names the variable.
      - NoLoops: There is no loop file where this command looked; the message says where that was and what to do.
      - PackageMissing: A package that the settings ask for is not installed; the message has the command that installs it.
        - EmbedderMissing (also EmbedderError): The embedding model or its library is not installed; the message says how to get it.
    - DamagedArray: A JSON array is cut off or damaged; `line` says where, `content` has the beginning of what is not JSON.
    - LoopExists: A file of the new loop exists; nothing is written over it.
    - NewerFormat: A document was written by a newer release; the message says to upgrade.
    - NoTemplate: A chat template cannot write a conversation; the message names what it does not take.
    - NotUtf8: A file is damaged, or its text is in an encoding that cannot be read; the message says what to do.
    - ReviewRefused: A review was rejected as a whole; the message names the invalid rows with their errors.
    - RowsUnreadable: A file of examples cannot be read; the message says why, and `line` where, if that is known.
    - Unknown: The stored evidence does not say what the policy would have decided; the message says what was never measured.
    - UnknownLoop: No loop has this name; the message lists the existing names.
  - Locked (also TimeoutError): Another process holds a lock, and did not let go of it in time.
  - LogUnusable: The log cannot be used: a schema of another release, a damaged file or an invalid row; the message says what to do.
  - MetricFailed: A metric could not be loaded or did not return numbers; the message names it and says what to do.
  - NameTaken: Two gateways have one name; the message says what to set.
  - NotAllowed: The person's role does not permit this approval or override; the message says what to change in the loop file.
  - NotApproved: The version has no valid approval for this report; the message says how to give one.
  - NotComparable: These versions and rows cannot be compared in a report; the message says what to do.
  - NotCopied: A day of traffic cannot be copied, so nothing of it is deleted; the message says what to do.
  - NotCounted: Tokens cannot be counted on this machine; the message says why.
  - NotJudged: The judge gave no score for this answer; the message says why.
    - JudgeUnreachable (also ServerUnreachable): The judge does not answer; the message says why and what to do, and never contains the key.
  - NotPossible: The endpoint's state does not allow this transition; the message says what to do first.
  - NotRecorded: The row of a request could not be stored, so the request must fail.
  - NotRepeatable: A version cannot be trained again; the message says what of it is gone.
  - NotReproduced: A report cannot be recomputed, or the recomputed one differs.
  - NotWritten: A change could not be written down; the message says what is in force.
  - OutOfTime: The request exceeded its time limit; its process was ended.
  - Overtaken: Somebody else added to a log meanwhile: read what is new, and decide again.
  - Problem: Error response to a client: HTTP status, a sentence, and a code for programs. `detail` is for the traffic log only.
  - QueueFull: The queue has reached its maximum length.
  - RehearsalFailed: A step of a rehearsal failed; the message names it and says what to do.
  - ServerUnreachable: A server does not answer or rejects our key; the message has its address and what to check.
    - ControlUnreachable (also ConnectionError): The server cannot be used now; whether a change was made is unknown.
    - LogUnreachable (also ConnectionError): The log cannot be used now: no server, a locked file, a full disk; the message says what to do.
    - RegistryUnreachable: The registry's server does not answer; the message has its address and what to check.
    - StoreUnreachable: The vector store's server does not answer or rejects the key.
  - ServingError: The gateway rejected the request or could not be reached; the message says why and what to do.
    - Refused: A version must not take traffic: missing attestation, wrong digest, changed files or unknown signer.
  - SignatureInvalid: The envelope was changed, or signed with an untrusted or revoked key.
  - StateDamaged: A file of the home was truncated or changed after it was written; the message names it and says what to do.
    - BudgetDamaged: The decisions that count against an error budget are lost or cannot be read.
    - ReportDamaged: A report is not there, cannot be read, or is not what was written.
    - ReviewDamaged: A stored review cannot be read, or belongs to another report.
    - VersionDamaged: A version's folder is missing, incomplete, changed, or holds a file format we refuse.
  - StatementMissing: A version has no signed statement of a kind.
  - StillReadable: Rows are deleted, but their bytes could not be wiped yet; the message says what to do.
  - StoreBusy: Another process holds the vector store of this loop open for too long.
  - TeacherError: The teacher does not answer; the message says why and what to do, and never contains the key.
    - TeacherRefused: The teacher answered with a refusal.
  - Terminated: A process ended because it was asked to; the message says from where it can go on.
  - TrainingFailed: Training ended without a complete result; the message says what to change.
    - TrainingKilled: The training process was killed from outside; one retry makes sense.
      - TrainingTerminated: The training process was asked to end, as a node that is taken away asks, and left a checkpoint.
  - TrainingStopped: The training was stopped because it diverged or could not succeed; the message says what to change.
  - Unavailable: No version can answer now; the message says what to do. `route` is set when a version was chosen.
  - UnknownAnswer: Feedback names an answer that is missing in the log.
  - UnknownVersion: The registry has no version with this digest.
  - UpFailed: The processes cannot run; the message says what to change.
"""

from json import JSONDecodeError

from pydantic import ValidationError


class FtassetsError(Exception):
    """Root of all errors of this package. The command line shows its message and ends with exit code 1."""


class InvalidInput(FtassetsError, ValueError):
    """An argument, a file or a setting cannot be used; the message says what to change."""


class ConfigurationError(InvalidInput):
    """An environment variable or a loop file is missing or wrong; the message names it."""


class PackageMissing(ConfigurationError):
    """A package that the settings ask for is not installed; the message has the command that installs it."""


class ServerUnreachable(FtassetsError):
    """A server does not answer or rejects our key; the message has its address and what to check."""


class StateDamaged(FtassetsError):
    """A file of the home was truncated or changed after it was written; the message names it and says what to do."""


def reason_of(error: Exception) -> str:
    """What is wrong with a row, in one line; of a model's fields the first that is."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8 text: save the file as UTF-8"
    if isinstance(error, JSONDecodeError):
        return f"not JSON from character {error.pos + 1} on ({error.msg}): a row is an object in braces"
    if not isinstance(error, ValidationError):
        return "a number of more than 4,300 digits" if "integer string conversion" in str(error) else str(error)
    first = error.errors()[0]
    return ": ".join([*(f"the field {name!r}" for name in first["loc"][:1]), first["msg"].removeprefix("Value error, ")])


def no_answer(error: BaseException) -> str:
    """Why a server could not be asked, in the system's words: what libraries wrap them into is long and names classes."""
    said, seen = "", list[BaseException]()
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        said = (isinstance(each, OSError) and each.strerror) or said
        inner = [getattr(each, "reason", None), *each.args[:1], each.__cause__, each.__context__]
        each = next((found for found in inner if isinstance(found, BaseException)), None)
    return said or in_one_line(error)


def in_one_line(error: BaseException) -> str:
    """The words of an error in one line; of a pydantic error each invalid field with its reason.

    The values of the fields are left out: they may be secrets or users' texts.
    """
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    found = []
    for each in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in each["loc"])
        reason = each["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {reason}" if place else reason)
    return "; ".join(found)
