"""What a teacher model is asked to write for rare classes, and which of its rows are usable."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of, read_json
from ftassets.domain.chat import question
from ftassets.domain.dataset.control_tokens import as_data
from ftassets.domain.dataset.curation.text import normalised, request_key
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.evaluation.answer_form import NO_LABEL, AnswerForm, parse_call
from ftassets.errors import InvalidInput, reason_of
from ftassets.wording import amount

Kind = Literal["typical", "hard_negative", "edge_case"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LONG = 500  # characters from which on a request is an edge case
SHOWN = 8  # rows of the class the teacher sees
NEIGHBOURS = 2
_ERROR = re.compile(r"\b(error|fail|exception|crash|broken\b|timed? ?out|not working\b|does(n't| not) work\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What one class lacks: how many rows of which kind, with rows to go by."""

    label: str
    counts: Mapping[Kind, int]
    shown: tuple[Example, ...]
    neighbours: Mapping[str, tuple[Example, ...]]  # classes that are said in similar words
    fields: frozenset[str]  # of all known answers that are JSON objects

    @property
    def wanted(self) -> int:
        return sum(self.counts.values())


def is_edge_case(prompt: str) -> bool:
    """Whether a request is longer than 500 characters or mentions an error."""
    return len(prompt) > LONG or _ERROR.search(prompt) is not None


def rare_classes(rows: Sequence[Example], form: AnswerForm, rare_below: int) -> dict[str, int]:
    """Classes with fewer than `rare_below` rows and how many they have, the rarest first; synthetic rows do not count."""
    counts = Counter(form.label(row.completion) for row in rows if row.source != "synthetic")
    return {
        name: count
        for name, count in sorted(counts.items(), key=lambda item: (item[1], item[0]))
        if count < rare_below and name != NO_LABEL
    }


def requests(rows: Sequence[Example], loop: LoopConfig, seed: int = 0) -> list[Request]:
    """One request per rare class: of its rows a fifth hard negatives and a fifth edge cases. Raises ValueError without a teacher.

    A teacher writes requests of one message: those are shown to it, and a class without such a row is not asked for. The rows shown
    leave the house: give it curated rows, in which personal data are redacted.
    """
    teacher = loop.dataset.teacher
    if teacher is None:
        raise InvalidInput(f"the loop {loop.name} names no teacher: set dataset.teacher")
    form = loop.task.form
    by_class: dict[str, list[Example]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.source != "seed", row.id)):  # what people wrote first
        if len(row.messages) == 1 and row.tools is None:
            by_class[form.label(row.completion)].append(row)
    by_class.pop(NO_LABEL, None)
    fields = frozenset(name for row in rows for name in parse_call(row.completion) or {})
    rng = np.random.default_rng(seed)
    found = []
    for label in rare_classes(rows, form, teacher.rare_below):
        if not (own := by_class.get(label)):
            continue
        near = _neighbours(label, by_class)
        fifth = teacher.rows_per_class // 5
        counts: dict[Kind, int] = {"hard_negative": fifth if near else 0, "edge_case": fifth}
        counts["typical"] = teacher.rows_per_class - sum(counts.values())
        shown = [own[i] for i in sorted(rng.permutation(len(own))[:SHOWN])]
        found.append(Request(label, counts, tuple(shown), {name: tuple(by_class[name][:2]) for name in near}, fields))
    return found


def prompt_for(request: Request, loop: LoopConfig) -> str:
    """The text the teacher gets: what to write, in which form, and rows to go by."""
    form = loop.task.form
    label, others = _quoted(request.label), " or ".join(map(_quoted, request.neighbours))
    kinds = {
        "typical": f"requests of the class {label}, worded in ways the examples are not",
        "hard_negative": f"requests that look like {label} but belong to {others}; the completion is the neighbour's",
        "edge_case": f"unusual requests of the class {label}: longer than {LONG} characters, or about an error or something that failed",
    }
    wanted = "\n".join(f'- {count} with "kind": "{kind}": {kinds[kind]}' for kind, count in request.counts.items() if count)
    blocks = [_block(f"Examples of {label}", request.shown, form)]
    blocks += [_block(f"Examples of the neighbour {_quoted(name)}", rows, form) for name, rows in request.neighbours.items()]
    return "\n\n".join(
        [
            f"You write training data for a model whose task is: {loop.task.system_prompt}",
            f"A request is what a user writes; the completion is {form.with_class}.",
            f"Write {request.wanted} new requests with their completions:\n{wanted}",
            ("Use only the fields the examples use. " if request.fields else "")
            + "Invent no people, addresses or numbers that could be real.",
            "Answer with JSON lines and nothing else, one object a line:\n"
            '{"kind": "typical", "prompt": "...", "completion": ' + ("{...}" if request.fields else label) + "}",
            *blocks,
        ]
    )


def parse_reply(reply: str, request: Request, loop: LoopConfig, known: Collection[str]) -> tuple[list[Example], list[Quarantined]]:
    """Usable rows of a teacher's reply, and everything else in it with its reason. `known` has the `request_key` of each known request.

    All rows of a reply are one group: they never straddle splits. Row ids follow from the content.
    """
    batch = digest_of(reply.encode("utf-8", "replace").decode())[:12]
    rows: list[Example] = []
    bad: list[Quarantined] = []
    seen = set(known)
    for number, item in enumerate(_items(reply), start=1):
        where = f"teacher:{request.label}:{number}"
        content = (item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)).encode("utf-8", "replace").decode()[:500]
        try:
            row = _example(item, request, loop, batch)
            if (text := request_key(row)) in seen:
                raise ValueError("the request exists already")
            if len(rows) == request.wanted:
                raise ValueError(f"more than the {amount(request.wanted, 'row')} that were asked for")
        except (ValueError, RecursionError) as error:
            bad.append(Quarantined(where, reason_of(error), content))
            continue
        seen.add(text)
        rows.append(row)
    return rows, bad


def _items(reply: str) -> Iterator[Any]:
    """Parsed members of a reply: JSON lines or one JSON list, with or without a code fence; what does not parse stays text."""
    lines = [line.strip() for line in reply.split("\n")]
    lines = [line for line in lines if line and not line.startswith("```")]
    whole = _loaded("\n".join(lines))
    if isinstance(whole, list):
        yield from whole
        return
    for line in lines:
        yield _loaded(line)


def _loaded(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text


def _example(item: Any, request: Request, loop: LoopConfig, batch: str) -> Example:
    if not isinstance(item, dict):
        raise ValueError("not a JSON object")
    kind, prompt, completion = item.get("kind"), item.get("prompt"), item.get("completion")
    if kind not in KINDS:
        raise ValueError(f"its kind is not one of {', '.join(KINDS)}")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("it has no prompt")
    form = loop.task.form
    text = form.from_json(completion)
    if unknown := (parse_call(text) or {}).keys() - request.fields:
        raise ValueError(f"the completion has fields no known answer has: {', '.join(sorted(unknown))}")
    label = form.label(text)
    if kind == "hard_negative" and label not in request.neighbours:
        raise ValueError(f"a hard negative of the class {label}, which is not a neighbour")
    if kind != "hard_negative" and label != request.label:
        raise ValueError(f"its class is {label}, asked for was {request.label}")
    if kind == "edge_case" and not is_edge_case(prompt):
        raise ValueError(f"no edge case: not longer than {LONG} characters, and no error mentioned")
    (prompt + text).encode()  # half a surrogate pair is no text: raises UnicodeEncodeError, a ValueError
    return Example(
        id=f"synthetic-{digest_of([prompt, text])[:16]}",
        messages=question(prompt.strip()),
        completion=text,
        group=f"synthetic:{request.label}:{batch}",
        source="synthetic",
    )


def _neighbours(label: str, by_class: Mapping[str, Sequence[Example]]) -> list[str]:
    """The classes whose requests share most words with this one's (Jaccard index of their vocabularies)."""
    words = {name: {word for row in rows for word in normalised(row.prompt).split()} for name, rows in by_class.items()}
    own = words[label]
    others = [(len(own & other) / len(own | other), name) for name, other in words.items() if name != label]
    return [name for _, name in sorted(others, key=lambda item: (-item[0], item[1]))[:NEIGHBOURS]]


def _block(title: str, rows: Sequence[Example], form: AnswerForm) -> str:
    lines = [as_data({"prompt": row.prompt, "completion": form.as_json(row.completion)}) for row in rows]
    return "\n".join([f"{title}:", *lines])


def _quoted(label: str) -> str:
    return json.dumps(label, ensure_ascii=False)
