"""All errors of this package. The message of each says what happened, why, and what to do next.

The tree: a class stands below its first parent, with its other parents behind its name. Raise the nearest one, catch the widest one you can
handle; `ftassets.exits` says how a program ends on each.

- FtassetsError: Root of all errors of this package. The command line shows its message and ends with exit code 1.
  - AdoptionRefused: The model cannot be adopted; the message says why and what to do.
  - ArtifactConflict: Something else is stored under a name already: what was written once is not replaced.
  - ArtifactMissing: Nothing is stored under a name.
  - BadRequest: The request cannot be evaluated: the message says what is wrong with it.
  - BaseModelMissing: The base model is not on this machine; the message says how to get it.
  - CannotServe: The gateway cannot run here; the message says what to change.
  - CannotSign: There is no key to sign with, or it must not be used; the message says what to do.
  - DatasetError: Base of everything a dataset store refuses.
    - AlreadyExists: A branch or tag of that name exists.
    - Busy: Another writer holds the store; try again.
    - MergeConflict: Both sides changed the same path; `paths` names them.
    - NothingToCommit: The branch has no staged change, or the source brings nothing new.
    - ObjectNotFound: The ref has no object at that path.
    - RefNotFound: No branch, tag or commit of that name.
    - Unreachable (also ServerUnreachable): No answer from the store; whether a commit or merge happened is unknown.
  - DemoFailed: The story did not go on; the message says where to look.
  - EvalReportMissing: The loop has not made that many evaluation reports yet.
  - EvaluationFailed: The evaluation process ended without all that the job asks for.
    - EvaluationKilled: The process was killed from outside: worth one more try.
  - HostError: A model server could not be started or does not come up; the message says why.
  - InvalidInput (also ValueError): An argument, a file or a setting cannot be used; the message says what to change.
    - ConfigurationError: An environment variable or a loop file is missing or wrong; the message names it.
      - KeyMissing: The environment does not hold the key of an endpoint; the message names the variable.
      - PackageMissing: A package that the settings ask for is not installed; the message has the command that installs it.
        - EmbedderMissing: The embedding model is not installed; the message says how to get it.
    - NewerFormat: A document was written by a newer release; the message says to upgrade.
    - ReviewRefused: Nothing of a review was taken; the message names the rows and what is wrong with each.
    - UnknownLoop: No loop has this name; the message lists the names there are.
  - Locked (also TimeoutError): Another process holds a lock, and did not let go of it in time.
  - LogUnusable: The log cannot be used: a schema of another release, a damaged file, a row it refuses; the message says what to do.
  - MetricFailed: A metric cannot be had, or did not give numbers; the message names it and says what to do.
  - NotAllowed: A person may not say this; the message says what the loop file would need.
  - NotApproved: Nobody who may has said yes to this version on this report; the message says how.
  - NotComparable: No report can be made of these versions and rows; the message says what to do.
  - NotJudged: This answer got no score; the message says why.
    - JudgeUnreachable (also ServerUnreachable): The judge cannot be asked now; the message says why and what to do, never with the key.
  - NotPossible: The transition does not exist from this state; the message says what does.
  - NotRecorded: The row could not be stored: its client must not take the request for answered.
  - NotReproduced: A report cannot be computed again, or comes out differently.
  - OutOfTime: The request's time is over; its process was ended.
  - Problem: What a client is told: HTTP status, a sentence, and a code for programs.
  - QueueFull: As many requests are waiting as may.
  - ServerUnreachable: A server gives no answer, or does not take our key; the message says where it is expected and what to check.
    - LogUnreachable (also ConnectionError): The log's server does not answer; the message says where it is looked for and what to do.
    - RegistryUnreachable: The registry's server gives no answer; the message says where it is expected and what to check.
    - StoreUnreachable: The server gave no answer, or does not take the key.
  - ServingError: The serving side refused or could not be reached; the message says why and what to do.
    - Refused: A version may not take traffic: no attestation, another digest, changed files, a foreign signature.
  - SignatureInvalid: The envelope was not signed by a key we trust, that key was revoked, or its bytes were changed.
  - StateDamaged: A file of the home was cut short or changed after it was written; the message names it and says how to go on.
    - ReportDamaged: A report is not there, cannot be read, or is not what was written.
    - ReviewDamaged: A stored review cannot be read, or belongs to another report.
    - VersionDamaged: A version's folder is missing, incomplete, changed, or holds a file format we refuse.
  - StatementMissing: A version has no signed statement of a kind.
  - StillReadable: Rows are deleted, but their bytes could not be wiped yet; the message says what to do.
  - StoreBusy: Another process has had the vectors of this loop open for too long.
  - TeacherError: The teacher could not be asked; the message says why and what to do, never with the key.
    - TeacherRefused: The teacher answered, and would not do it.
  - TrainingFailed: Training ended without a complete result; the message says what to change.
    - TrainingKilled: The process was killed from outside: worth one more try.
  - TrainingStopped: The training was ended because it could not end well; the message says what to change.
  - Unavailable: Nobody can answer now; the message says what to do. `route` is set when a version was to answer.
  - UnknownAnswer: Feedback names an answer that the log does not have.
  - UnknownVersion: The registry has no version with this digest.
  - UpFailed: The processes cannot run; the message says what to change.
"""

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
    """A server gives no answer, or does not take our key; the message says where it is expected and what to check."""


class StateDamaged(FtassetsError):
    """A file of the home was cut short or changed after it was written; the message names it and says how to go on."""


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
