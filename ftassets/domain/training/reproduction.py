"""Training a version again from its manifest: with which settings, and whether the same came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ftassets.config.loop import Align, LoopConfig, Train
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.evidence import tested
from ftassets.domain.gates.independent_units import counted, pooled
from ftassets.domain.release.version import ADAPTER, MERGED, TRAINED, VersionManifest
from ftassets.domain.training.recipe import DECIDES_NOTHING
from ftassets.errors import FtassetsError, in_one_line
from ftassets.wording import amount

_ONE_SIDED = 0.975  # confidence of each bound of a 95 % interval
_NOT_OF_TRAIN = ("system_prompt", "start_from", "align")  # parts of a recipe that are no fields of `train`
_ROWS = ("preferences_commit", "preferences_hash")  # parts of its `align` that are no settings
_STEPS = (
    "learning_rate",
    "epochs",
    "batch_size",
    "gradient_accumulation_steps",
)  # settings of `align` that its recipe has in those of `train`


class NotRepeatable(FtassetsError):
    """A version cannot be trained again; the message says what of it is gone."""


class Outcome(StrEnum):
    """What a repeated training shows."""

    REPRODUCED = "REPRODUCED"
    DIFFERENT = "NOT REPRODUCED"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


@dataclass(frozen=True)
class Compared:
    """An outcome in a sentence; the interval (95 %) of the mean gain of exact match, if answers were compared."""

    outcome: Outcome
    sentence: str
    interval: tuple[float, float] | None = None


def as_trained(loop: LoopConfig, manifest: VersionManifest) -> LoopConfig:
    """The loop with base, prompt and training settings of a version, and with `align` only if it was trained on preferences.

    Raises NotRepeatable.
    """
    name = manifest.digest[:12]
    if manifest.kind not in TRAINED or manifest.dataset_commit is None:
        raise NotRepeatable(
            f"version {name} was not trained here (it is {'adopted' if manifest.kind in TRAINED else manifest.kind}): its manifest names "
            "no dataset, so it cannot be trained again"
        )
    kept = {field: getattr(loop.train, field) for field in DECIDES_NOTHING - {"preset", "max_time"}}
    settings = {field: value for field, value in manifest.recipe.items() if field not in _NOT_OF_TRAIN}
    try:
        train = Train.model_validate({**kept, **settings})
        align = Align.model_validate(_align(manifest)) if "align" in manifest.recipe else None
    except ValueError as error:
        raise NotRepeatable(
            f"the recipe of version {name} has settings that this release does not take ({in_one_line(error)}): use the release that "
            f"trained it, code commit {(manifest.code_commit or 'unknown')[:12]}"
        ) from error
    task = loop.task.model_copy(
        update={
            "system_prompt": manifest.recipe.get("system_prompt", loop.task.system_prompt),
            **{field: value for field, value in manifest.generation.items() if field in type(loop.task).model_fields},
        }
    )
    return loop.model_copy(update={"base_model": manifest.base_model, "task": task, "train": train, "align": align})


def _align(manifest: VersionManifest) -> dict[str, Any]:
    """Settings of a training on preferences. What the result had to prove is not among them: it changes nothing of the training."""
    own = {field: value for field, value in manifest.recipe["align"].items() if field not in _ROWS}
    return {**own, **{field: manifest.recipe[field] for field in _STEPS if field in manifest.recipe}}


def weights_of(manifest: VersionManifest) -> dict[str, str]:
    """What the training made of a version: its adapter's weights, or all weights if it has no adapter. File to SHA-256."""
    folder = ADAPTER if manifest.kind == ADAPTER else MERGED
    return {name: digest for name, digest in manifest.files.items() if name.startswith(f"{folder}/") and name.endswith(".safetensors")}


def differing_files(one: VersionManifest, other: VersionManifest) -> list[str]:
    """Files that are not the same in both versions, or only in one."""
    return sorted(name for name in one.files.keys() | other.files.keys() if one.files.get(name) != other.files.get(name))


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """How two environments differ, a sentence each; nothing where the earlier one was not recorded."""
    names = sorted({*before, *now}) if before else []
    return [f"{name}: {before.get(name, 'none')}, now {now.get(name, 'none')}" for name in names if before.get(name) != now.get(name)]


def same_bytes(manifest: VersionManifest, again: VersionManifest) -> Compared | None:
    """The outcome if the training made the same weights, None if it did not."""
    if weights_of(manifest) != weights_of(again):
        return None
    others = differing_files(manifest, again)
    text = f"the {'adapter has' if manifest.kind == ADAPTER else 'weights have'} the same bytes"
    text += f"; other files differ: {', '.join(others)}" if others else f", and so has every other file of version {manifest.digest[:12]}"
    return Compared(Outcome.REPRODUCED, text)


def first_stage(manifest: VersionManifest, again: VersionManifest) -> str:
    """What came of the fine-tuning before a training on preferences, in a sentence; its answers are not compared."""
    name = manifest.digest[:12]
    if weights_of(manifest) == weights_of(again):
        return f"the fine-tuning before it, version {name}, was trained again first: its adapter has the same bytes"
    return (
        f"the fine-tuning before it, version {name}, was trained again first and has other weights, from which the training on preferences "
        "started: what is compared is the result of both"
    )


def same_scores(before: Sequence[Score], again: Sequence[Score], margin: float) -> Compared:
    """Whether the 95 % interval of the paired difference of exact match is within `margin` of 0; Gaffke's bounds.

    Both are scores of the same rows. Raises ValueError if they are not.
    """
    if [score.id for score in before] != [score.id for score in again]:
        raise ValueError("the two versions were not scored on the same rows")
    if not before:
        return Compared(Outcome.NOT_ENOUGH_DATA, "the weights differ, and there is no row on which answers could be compared")
    gains = pooled("", before, [float(b.exact) - float(a.exact) for a, b in zip(before, again, strict=True)])
    found = tested(gains, (-1.0, 1.0), 0.0, _ONE_SIDED)
    shares = [sum(score.exact for score in scores) / len(scores) for scores in (before, again)]
    differ = sum(a.exact != b.exact for a, b in zip(before, again, strict=True))
    interval = (found.lower, found.upper)
    text = (
        f"the weights differ; exact match {shares[0]:.3f} before, {shares[1]:.3f} now on {counted(before, len(gains))}, "
        f"{amount(differ, 'answer')} right in one only; difference {found.value:+.3f}, 95 % interval {found.lower:+.3f} to "
        f"{found.upper:+.3f}"
    )
    if -margin <= found.lower and found.upper <= margin:
        return Compared(Outcome.REPRODUCED, f"{text}, within the margin of {margin:g}", interval)
    if found.lower > 0 or found.upper < 0:
        return Compared(Outcome.DIFFERENT, f"{text}, which excludes 0", interval)
    return Compared(Outcome.NOT_ENOUGH_DATA, f"{text}, which is wider than the margin of {margin:g}: more golden rows would tell", interval)
