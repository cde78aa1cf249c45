"""Labels of versions in the registry: which ones an endpoint has set, and which of them somebody moved since."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ftassets.domain.rollout.endpoint import EndpointState

OURS = ("production", "staging", "candidate")
SYNCED = 600.0  # seconds after a change of weights within which its labels are set


@dataclass(frozen=True)
class Label:
    """An alias, or a stage of the time before aliases, on version `number` of a loop; `digest` is None if ftassets did not register it."""

    name: str
    number: str
    digest: str | None
    stage: bool = False


def wanted_aliases(state: EndpointState, known: Collection[str]) -> dict[str, str | None]:
    """The version that an alias belongs on, None for no version; `known` are the digests of registered versions.

    production; staging for the version with canary traffic, else for a staged one.
    """
    staged = [digest for digest in state.staged if digest in known and digest != state.production]
    return {"production": state.production, "staging": state.candidate or (staged[-1] if staged else None)}


def moved(labels: Sequence[Label], state: EndpointState, known: Collection[str], now: float) -> list[str]:
    """The labels that are not where the endpoint set them, a sentence each; none within `SYNCED` of a change. `now` in epoch seconds.

    Aliases of other names belong to people. While nothing has canary traffic, `staging` may be on any version that ftassets registered: a
    version that is staged, or whose time is over, moves no label.
    """
    return [] if now - state.since < SYNCED else list(_moved(labels, state, known))


def _moved(labels: Sequence[Label], state: EndpointState, known: Collection[str]) -> Iterator[str]:
    aliases = {label.name: label for label in labels if not label.stage and label.name in OURS}
    exact = {"production": state.production, **({"staging": state.candidate} if state.candidate else {})}
    for alias, digest in exact.items():
        label = aliases.pop(alias, None)
        if label is None and digest in known:
            yield f"alias {alias} was taken from version {str(digest)[:12]}"
        elif label is not None and (label.digest is None or label.digest != digest):
            yield f"alias {alias} is on {_version(label)}, and belongs on {'no version' if digest is None else digest[:12]}"
    for label in aliases.values():
        if label.digest is None:
            yield f"alias {label.name} is on {_version(label)}"
    for label in labels:
        if label.stage:
            yield f"{_version(label)} is in stage {label.name}, and ftassets sets no stages"


def _version(label: Label) -> str:
    return f"version {label.number} ({'not registered by ftassets' if label.digest is None else label.digest[:12]})"
