"""Whether an engine that applies adapters itself applied this one: a few prompts of its eval report, asked before it has traffic."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from ftassets.domain.chat import Asked
from ftassets.domain.mean_bounds import mean_upper_bound

COUNT = 8
TOKENS = 16  # of an answer that are compared: after one flipped token the rest of a long answer is another text
AT_LEAST = 0.8  # mean share of those tokens that must agree, where the loop has no parity gate
LEVEL = 0.01  # of refusing an engine whose answers agree as often as they must

Tokens = Sequence[object]


class Probe(BaseModel):
    """One request with the greedy answers of the version's merged copy and of the untuned base."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asked: Asked
    merged: str
    base: str


def choose(asked: Mapping[str, Asked], merged: Mapping[str, str], base: Mapping[str, str]) -> list[Probe]:
    """Probes of the rows, spread evenly, those first whose answers differ: the others cannot tell the version from its base.

    Rows with tools are left out: servers write calls in forms of their own, or refuse tools that they have no parser for.
    """
    known = [name for name in asked if name in merged and name in base and not asked[name].tools]
    telling = [name for name in known if merged[name].strip() != base[name].strip()]
    rows = telling or known
    count = min(COUNT, len(rows))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    return [Probe(asked=asked[name], merged=merged[name].strip(), base=base[name].strip()) for name in chosen]


def not_applied(served: Sequence[Tokens], merged: Sequence[Tokens], base: Sequence[Tokens], at_least: float) -> str | None:
    """Why the engine is not the version that was evaluated; None if it answers like it.

    The three are the first `TOKENS` tokens of the engine's answer, the merged copy's and the base's, a prompt each. Tokens are compared
    position by position; as the parity gate FAILs, the engine is refused when the upper confidence bound of the mean share that agrees is
    below `at_least`.
    """
    telling = [(ours, theirs) for ours, other, theirs in zip(served, merged, base, strict=True) if list(other) != list(theirs)]
    untuned = sum(list(ours) == list(theirs) for ours, theirs in telling)
    if telling and untuned > len(telling) / 2:
        return (
            f"the engine answers {untuned} of {len(telling)} probe prompts as the untuned base does: the adapter was not applied. "
            "Check that the engine loads adapters and supports all modules of this one"
        )
    shares = [_share(ours, other) for ours, other in zip(served, merged, strict=True)]
    if shares and mean_upper_bound(shares, 1 - LEVEL) < at_least:
        mean = sum(shares) / len(shares)
        return (
            f"the first {TOKENS} tokens of the engine's answers to {len(shares)} probe prompts agree with the merged copy's in {mean:.3f} "
            f"of places, and {at_least:g} are needed: the engine drops a part of the adapter, or has another base or tokenizer. Where its "
            "numbers are known to differ, a gate {metric: parity, at_least: ...} says how many must agree"
        )
    return None


def _share(one: Tokens, other: Tokens) -> float:
    """Positions with the same token, of all positions: as the parity of an eval report counts them."""
    longest = max(len(one), len(other))
    return sum(a == b for a, b in zip(one, other, strict=False)) / longest if longest else 1.0
