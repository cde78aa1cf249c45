"""How far the calls of an answer are those expected: the right tools, the right arguments, answer by answer and call by call."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ftassets.domain.canonical import comparable_json, composed, same_json

Calls = Sequence[Mapping[str, Any]]


class CallScores(NamedTuple):
    """Scores 0 to 1 of one answer: `name` and `arguments` of the whole answer (0 or 1), the others shares of its calls.

    Names and arguments are compared apart: a call of the wrong tool may have the right arguments. A share counts against the larger
    number of calls, so that one too few and one too many weigh the same; of no call where none is expected it is 1.
    """

    name: float
    arguments: float
    name_calls: float
    arguments_calls: float
    right_calls: float


def score_calls(said: Calls | None, wanted: Calls, field: str, ordered: bool) -> CallScores:
    """Scores of the calls `said` (None: the answer has not the form) where these are wanted; `field` names the tool.

    Without `ordered` calls are compared as a multiset: parallel calls have no order.
    """
    if said is None:
        return CallScores(0.0, 0.0, 0.0, 0.0, 0.0)

    def share(of: Callable[[Mapping[str, Any]], str]) -> float:
        one, other = ([of(call) for call in calls] for calls in (said, wanted))
        if not one and not other:
            return 1.0
        same = sum(a == b for a, b in zip(one, other, strict=False)) if ordered else (Counter(one) & Counter(other)).total()
        return same / max(len(one), len(other))

    name = share(lambda call: comparable_json(call.get(field)) if field in call else "")
    arguments = share(lambda call: comparable_json({key: value for key, value in call.items() if key != field}))
    return CallScores(float(name == 1), float(arguments == 1), name, arguments, share(comparable_json))


def fields_agreeing(said: Calls, wanted: Calls, ordered: bool) -> float:
    """Share of fields that agree, mean over the larger number of calls.

    Each call is compared with the one in its place, or, without an order, with the one that makes the sum largest.
    """
    if not said and not wanted:
        return 1.0
    if ordered or len(said) == len(wanted) == 1:
        found = sum(_agreeing(one, other) for one, other in zip(said, wanted, strict=False))
    else:
        import numpy as np
        from scipy.optimize import linear_sum_assignment

        shares = np.array([[_agreeing(one, other) for other in wanted] for one in said]).reshape(len(said), len(wanted))
        found = float(shares[linear_sum_assignment(shares, maximize=True)].sum())
    return found / max(len(said), len(wanted))


def _agreeing(call: Mapping[str, Any], wanted: Mapping[str, Any]) -> float:
    """Share of the fields of either call that both have with the same value; 1 where neither has any."""
    one, other = composed(dict(call)), composed(dict(wanted))
    names = one.keys() | other.keys()
    agree = sum(name in one and name in other and same_json(one[name], other[name]) for name in names)
    return agree / len(names) if names else 1.0
