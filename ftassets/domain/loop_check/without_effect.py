"""Settings that a loop file gives and that nothing reads, because they need another setting."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ftassets.domain.gates.presets import single_gates
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.domain.training.method import METHODS, unread

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_OF_STEP = {  # settings of a curation step, which no other step reads
    "pii": ("pii", "pii_names"),
    "language": ("languages",),
    "quality": ("quality_score",),
    "length": ("min_chars", "max_chars"),
    "topic_cap": ("max_topic_rows_per_user",),
    "balance": ("max_class_share",),
}


def without_effect(loop: "LoopConfig") -> Iterator[LoopFinding]:
    """A warning for each setting of the loop file that has no effect, with what it needs."""
    if not loop.traffic.limited:
        for name in _given(loop.traffic, "every", "export"):
            why = "without traffic.keep and traffic.max_gb nothing is ever deleted"
            yield _finding(("traffic", name), why, "set how long requests stay, for example `keep: 90d`")
    for step in loop.dataset.skip:
        for name in _given(loop.dataset, *_OF_STEP.get(step, ())):
            yield _finding(("dataset", name), f"dataset.skip leaves the step {step} out", f"take {step} out of dataset.skip")
    if loop.task.type != "tool_call":
        for name in _given(loop.task, "label"):
            yield _finding(("task", name), f"it names a field of a tool call, and the type is {loop.task.type}", "set task.type")
    for name in _given(loop.train, *sorted(unread(loop.train.method))):
        readers = [method for method, of in METHODS.items() if name in of.settings]
        yield _finding(("train", name), f"method {loop.train.method} does not read it", f"set method to {' or '.join(readers)}")
    if loop.train.command and loop.train.ray:
        yield _finding(("train", "ray"), "train.command trains, and it runs on this machine", "take command out")
    if loop.train.command:
        for name in _given(loop.train, "max_time", "max_left_out", "loss_limit"):
            yield _finding(("train", name), "train.command trains, and finds it in settings.json only", "have the command obey it")
    if loop.train.command and loop.sweep:
        yield _finding(("sweep",), "a sweep tries recipes of the trainer of ftassets, and train.command trains", "take command out")
    gated = {gate.metric for gate in single_gates(loop.gates)}
    for metric, field, given in (("llm_judge", ("llm_judge",), loop.llm_judge), ("cost", ("task", "costs"), loop.task.costs)):
        if given is not None and metric not in gated:
            yield _finding(field, f"no gate has the metric {metric}", "add such a gate")
    drift = loop.retrain_on.drift
    if drift.rule == "centroid_cosine":
        for name in _given(drift, "max_false_alarms", "reports_per_day"):
            yield _finding(
                ("retrain_on", "drift", name), "the rule centroid_cosine ignores the budget of false alarms", "set rule: novelty"
            )
    yield from _people(loop)


def _people(loop: "LoopConfig") -> Iterator[LoopFinding]:
    """Roles that no person has, and people with a role that may do nothing."""
    release = loop.release
    known = set(release.people.values())
    for name in ("approve", "override"):
        for role in getattr(release, name):
            if role not in known:
                why = f"no person of release.people has the role {role}"
                yield _finding(("release", name), why, "add a line such as `ann@example.com: " + role + "` to release.people")
    for person, role in release.people.items():
        if role not in (*release.approve, *release.override):
            why = f"the role {role} of {person} is neither in release.approve nor in release.override"
            yield _finding(("release", "people"), why, "add the role to one of them")


def _given(settings: Any, *names: str) -> list[str]:
    """Those of the fields that the file itself gives, with another value than the default."""
    fields = type(settings).model_fields
    return [name for name in names if name in settings.model_fields_set and getattr(settings, name) != fields[name].default]


def _finding(field: tuple[str, ...], why: str, advice: str) -> LoopFinding:
    text = f"{'.'.join(field)} has no effect: {why}"
    return LoopFinding("warning", "no_effect", LOOP, text, f"{advice}, or leave the setting out", field=field)
