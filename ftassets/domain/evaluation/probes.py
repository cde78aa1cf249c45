"""Whether an engine answers as the version that was evaluated: a few prompts of its eval report, asked before it has traffic."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ftassets.domain.chat import Asked
from ftassets.domain.mean_bounds import mean_upper_bound

COUNT = 8
AT_LEAST = 0.98  # mean share of tokens that must agree, where the loop has no parity gate
LEVEL = 0.01  # of refusing an engine whose answers agree as often as they must


class Probe(BaseModel):
    """One request with the greedy answers of the version's merged copy and of the untuned base."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: Asked
    merged: str
    base: str


def choose(asked: Mapping[str, Asked], merged: Mapping[str, str], base: Mapping[str, str]) -> list[Probe]:
    """Probes of the rows, spread evenly, those first whose answers differ: the others cannot tell the version from its base."""
    known = [name for name in asked if name in merged and name in base]
    telling = [name for name in known if merged[name].strip() != base[name].strip()]
    rows = telling or known
    count = min(COUNT, len(rows))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    return [Probe(asked=asked[name], merged=merged[name].strip(), base=base[name].strip()) for name in chosen]


def not_applied(probes: Sequence[Probe], served: Sequence[str], shares: Sequence[float], at_least: float) -> str | None:
    """Why the engine is not the version that was evaluated; None if it answers like it.

    `shares`: of each prompt's tokens, those on which engine and merged copy agree, position by position. As the parity gate FAILs, the
    engine is refused when the upper confidence bound of their mean is below `at_least`.
    """
    telling = [(probe, text) for probe, text in zip(probes, served, strict=True) if probe.merged != probe.base]
    untuned = sum(text == probe.base for probe, text in telling)
    if telling and untuned > len(telling) / 2:
        return (
            f"the engine answers {untuned} of {len(telling)} probe prompts as the untuned base does: the adapter was not applied. "
            "Check that the engine loads adapters and supports all modules of this one"
        )
    if probes and mean_upper_bound(shares, 1 - LEVEL) < at_least:
        mean = sum(shares) / len(shares)
        return (
            f"the engine's answers to {len(probes)} probe prompts share {mean:.3f} of their tokens with the merged copy's, "
            f"and {at_least:g} are needed: the engine drops a part of the adapter, or has another base or tokenizer"
        )
    return None
