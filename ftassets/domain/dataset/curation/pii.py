"""The step that replaces personal data and secrets in rows, or drops the rows that have some.

What finds them is imported inside of functions: it compiles many patterns, and every command that reads a loop file imports this module.
"""

import functools
from collections import Counter
from typing import TYPE_CHECKING

from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked, identity, texts
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets.domain.personal_data.spans import Finder

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


def scrub(pool: Pool, loop: "LoopConfig", names: Finder | None = None) -> StepOutcome:
    """Redact or drop rows with personal data, as `loop.dataset.pii` says; counts are finds per kind.

    What a text gives away is replaced in the whole row, see `without_personal_data`; `names` (for example of
    `backends.name_finder.presidio`) finds people. Tools are redacted by themselves, their numbers are left. A row's id that has
    personal data becomes a digest of the row, its group, slice and version a number; a row with some in the name of a tool or call is
    dropped. The label of a classification is left alone.
    """
    from ftassets.domain.personal_data.finding import find, may_hold
    from ftassets.domain.personal_data.texts import call_ids, tool_names, tools_without_personal_data, without_personal_data

    dropped: dict[int, str] = {}
    changed: dict[int, Example] = {}
    counts: Counter[str] = Counter()
    closed = loop.task.form.closed
    numbered: dict[tuple[str, str], str] = {}
    for i in pool.index:
        row = pool.rows[i]
        labels = {name: kinds for name, value in _labels(row).items() if (kinds := _kinds_of(value))}
        found = Counter[str]()
        for kinds in labels.values():
            found.update(kinds)
        called = tool_names(row) if row.tools or any(message.tool_calls for message in row.messages) else []
        if named := {span.kind for name in called for span in find(name)}:
            dropped[i] = f"personal data in the name of a tool or call: {', '.join(sorted(named))}"
            continue
        messages, tools, completion = row.messages, row.tools, row.completion
        written = [completion, *texts(messages), tools or "", *(call_ids(messages) if len(messages) > 1 else ())]
        if names is not None or any(map(may_hold, written)):
            messages, answers, in_texts = without_personal_data(messages, [] if closed else [completion], names)
            tools, in_tools = tools_without_personal_data(tools)
            found += in_texts + in_tools
            completion = completion if closed else answers[0]
        if not found:
            continue
        counts.update(found)
        if loop.dataset.pii == "drop":
            dropped[i] = f"personal data: {', '.join(sorted(found))}"
            continue
        update: dict[str, object] = {"messages": messages, "tools": tools, "completion": completion}
        for name, value in _labels(row).items():
            if name in labels:
                update[name] = numbered.setdefault((name, value), f"{name}-{len(numbered) + 1}")
        if "id" in labels:
            update["id"] = digest_of([identity(Asked(messages=messages, tools=tools)), completion])[:16]
        changed[i] = row.model_copy(update=update)
    return StepOutcome(dropped=dropped, changed=changed, counts=dict(counts))


def with_personal_data(row: Example, closed: bool) -> bool:
    """Whether `find` finds something in the row as it is stored: its texts, its tools, its id, group, slice and version."""
    from ftassets.domain.personal_data.texts import holds_personal_data

    named = any(map(_kinds_of, _labels(row).values()))
    return named or holds_personal_data(row, [] if closed else [row.completion])


def _labels(row: Example) -> dict[str, str]:
    """What somebody called the row, and the model that answered."""
    given = {"id": row.id, "group": row.group, "slice": row.slice, "version": row.version}
    return {name: value for name, value in given.items() if value}


@functools.lru_cache(4096)
def _kinds_of(name: str) -> tuple[str, ...]:
    from ftassets.domain.personal_data.finding import find

    return tuple(span.kind for span in find(name, "id"))
