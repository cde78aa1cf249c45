"""What holds for everything that is made of users' preferences, pairs and rated answers alike: whose rows, and what may be in them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.control_tokens import ControlTokens, escape_of
from ftassets.domain.dataset.curation.contamination import drop_contaminated
from ftassets.domain.dataset.curation.context import in_context
from ftassets.domain.dataset.curation.step import Pool
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.personal_data.spans import Finder
from ftassets.domain.traffic.exchange import Exchange
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


class Preference(Asked):
    """A request with what a user preferred about its answers. `ANSWERS` are the fields with answers, each with its name in words."""

    ANSWERS: ClassVar[Mapping[str, str]]
    if TYPE_CHECKING:  # each kind has it in its own place among its columns
        request_id: str


P = TypeVar("P", bound=Preference)


def leaks(taught: Sequence[tuple[Asked, Sequence[str]]], golden: Iterable[Example], loop: "LoopConfig") -> Mapping[int, str]:
    """Positions of requests, each with as many answers, that give a golden row away, by the rule of curation, each with the reason."""
    known = [in_context(row, loop) for row in golden]
    found: dict[int, str] = {}
    for side in range(len(taught[0][1]) if taught else 0):
        rows = [  # not validated: an answer without the task's form is told later
            Example.model_construct(id=str(place), messages=asked.messages, tools=asked.tools, completion=answers[side])
            for place, (asked, answers) in enumerate(taught)
        ]
        found = dict(drop_contaminated(Pool(rows, list(range(len(rows))), golden=known), loop).dropped) | found
    return found


def over_cap(users: Collection[str], per_user: Counter[str], cap: int, what: str) -> str | None:
    """Why a row of these users is one too many; None if it is not."""
    return f"more than {amount(cap, what)} of one user" if any(per_user[user] >= cap for user in users) else None


def quarantined(exchange: Exchange, reason: str) -> Quarantined:
    """Feedback on an exchange that makes no row."""
    return Quarantined(f"preferences:{exchange.id}", reason, exchange.prompt)


def scrubbed(rows: Iterable[P], loop: "LoopConfig", names: Finder | None = None) -> tuple[list[P], list[Quarantined]]:
    """The rows without personal data, and those that were dropped, by the rules of the curation step `pii` and the loop's settings."""
    if "pii" in loop.dataset.skip:
        return list(rows), []
    from ftassets.domain.personal_data.finding import find  # compiles many patterns
    from ftassets.domain.personal_data.texts import tool_names, tools_without_personal_data, without_personal_data

    form = loop.task.form
    kept: list[P] = []
    dropped: list[Quarantined] = []
    for row in rows:
        fields = [name for name in row.ANSWERS if not form.closed or form.fault(getattr(row, name)) is not None]
        messages, cleaned, found = without_personal_data(row.messages, [getattr(row, name) for name in fields], names)
        tools, in_tools = tools_without_personal_data(row.tools)
        named = {span.kind for name in tool_names(row) for span in find(name)}
        found += in_tools
        if named or (found and loop.dataset.pii == "drop"):
            where = "in the name of a tool or call: " if named else ""
            reason = f"personal data{' ' if where else ': '}{where}{', '.join(sorted(named or found))}"
            dropped.append(Quarantined(f"preferences:{row.request_id}", reason, ""))
            continue
        kept.append(row.model_copy(update={"messages": messages, "tools": tools, **dict(zip(fields, cleaned, strict=True))}))
    return kept, dropped


def without_control_tokens(rows: Iterable[P], tokens: ControlTokens | None) -> tuple[list[P], list[Quarantined]]:
    """The rows whose answers hold no control token, and those that were dropped, by the rule of the curation step `control_tokens`.

    A rejected answer with one would teach the model not to write that token, such as the end of its turn. Without known `tokens`
    all are kept.
    """
    if tokens is None:
        return list(rows), []
    escape = escape_of(tokens)
    kept: list[P] = []
    dropped: list[Quarantined] = []
    for row in rows:
        answers = ((word, getattr(row, name)) for name, word in row.ANSWERS.items())
        found = next(((word, token) for word, answer in answers for token in escape.found_in_answer(answer)), None)
        if found is None:
            kept.append(row)
        else:
            reason = f"the {found[0]} answer holds the control token {found[1]!r}"
            dropped.append(Quarantined(f"preferences:{row.request_id}", reason, row.prompt))
    return kept, dropped
