"""Prompt, retrieve or fine-tune? Advice from examples, each reason with the number behind it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from statistics import median, quantiles

from ftassets.domain.dataset.curation.copies import requests
from ftassets.domain.dataset.curation.text import answer_keys, normalised, request_key
from ftassets.domain.dataset.facts import KINDS, changing_facts, without_facts
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import Text, ToolCall, parse_call
from ftassets.domain.statistics import share_interval
from ftassets.errors import InvalidInput
from ftassets.wording import amount

# rules of thumb, not laws: below the first, examples fit into a prompt; from the second, training usually beats it
FEW, ENOUGH = 50, 500
CHANGING = 0.3  # share of answers with facts their request does not hold, from which retrieval comes first
CONTRADICTED = 0.1  # share of repeated requests with different answers, from which examples need work before they teach
PER_CLASS = 10  # rows a class needs to be learned
NEAR = 0.8  # Jaccard index of character 5-grams of near-identical requests
COMPARED = 20_000  # rows looked at for near-identical requests
IN_PROMPT = 20  # examples a prompt would carry
CHARS_PER_TOKEN = 4  # English text, usual tokenizers
COSTLY = 1_000_000  # prompt tokens a day from which examples in the prompt cost more than a training
FAST = 7.0  # days between changes below which a retrain with its canary is too slow


class Choice(StrEnum):
    """What to do with a task and these examples."""

    PROMPT = "prompt"
    COLLECT = "prompt first, collect examples"
    RETRIEVE = "retrieve"
    FINE_TUNE = "fine-tune"


@dataclass(frozen=True)
class Circumstances:
    """Facts that no file of examples shows; None where they were not given."""

    days_between_changes: float | None = None  # of what a good answer is
    requests_per_day: float | None = None
    maintained: bool | None = None  # somebody looks after evaluation, retrains and serving


@dataclass(frozen=True)
class Evidence:
    """One criterion: the number, its source in words, and the approach it speaks for."""

    name: str
    value: float
    text: str
    speaks_for: Choice | None = None


@dataclass(frozen=True)
class Advice:
    """The verdict, the reasons that decided, all findings, and what the examples cannot show."""

    verdict: Choice
    reasons: tuple[str, ...]
    findings: tuple[Evidence, ...]
    not_seen: tuple[str, ...]


def advise(rows: Sequence[Example], circumstances: Circumstances | None = None, label: str | None = None) -> Advice:
    """Advice from at least one row; `label` names the field of JSON answers that holds the class, else it is guessed.

    Raises InvalidInput without rows.
    """
    if not rows:
        raise InvalidInput("there is no example to judge from")
    said = circumstances or Circumstances()
    distinct = _distinct(rows)
    volume = _volume(len(distinct), len(rows))
    facts, repeats = _facts(distinct), _repeats(rows)
    around = _circumstances(said, median(len(row.prompt) + len(row.completion) for row in rows))
    findings = [volume, *_structure(distinct), *_classes(distinct, label), *repeats, _near(distinct, label), facts, _length(rows), *around]
    deciding = [f for f in (facts, *repeats, *around) if f.speaks_for not in (None, Choice.FINE_TUNE)]
    reasons = [volume.text]
    if facts.speaks_for is Choice.RETRIEVE:
        verdict = Choice.RETRIEVE
        reasons.insert(0, f"{facts.text} What a prompt or a tuned model would only remember, retrieval finds; tune for the form if needed.")
    elif volume.speaks_for is not Choice.FINE_TUNE:
        verdict = volume.speaks_for or Choice.PROMPT
        reasons += [f.text for f in deciding]
    else:
        first = next(iter(deciding), None)
        verdict = first.speaks_for or Choice.COLLECT if first else Choice.FINE_TUNE
        reasons += [f.text for f in deciding]
        if not first and facts.value > 0:
            reasons.append(f"{facts.text} Leave these to retrieval even so.")
    reasons += [f.text for f in around if f.speaks_for is Choice.FINE_TUNE]
    return Advice(verdict, tuple(reasons), tuple(findings), _not_seen(said))


def _distinct(rows: Sequence[Example]) -> list[Example]:
    """The first of every request and answer that are the same once normalised."""
    seen: set[tuple[str, int]] = set()
    kept = []
    for row, key in zip(rows, answer_keys(rows, Text()).tolist(), strict=True):
        if (pair := (request_key(row), key)) not in seen:
            seen.add(pair)
            kept.append(row)
    return kept


def _volume(distinct: int, rows: int) -> Evidence:
    copies = f" ({rows - distinct:,} of {amount(rows, 'row is', 'rows are')} copies)" if rows > distinct else ""
    if distinct < FEW:
        choice, meaning = Choice.PROMPT, f"below {FEW} they fit into a prompt"
    elif distinct < ENOUGH:
        choice, meaning = Choice.COLLECT, f"from {FEW} to {ENOUGH - 1} a good prompt usually does as well: start with one and collect"
    else:
        choice, meaning = Choice.FINE_TUNE, f"from {ENOUGH} on training usually pays (a rule of thumb)"
    return Evidence("distinct_examples", distinct, f"{distinct:,} distinct examples{copies}: {meaning}.", choice)


def _structure(rows: Sequence[Example]) -> list[Evidence]:
    """Whether answers are JSON objects, and of one shape: a form that a schema in the prompt can ask for, or training can teach."""
    calls = [call for row in rows if (call := parse_call(row.completion)) is not None]
    share = len(calls) / len(rows)
    findings = [Evidence("structured", share, f"{share:.0%} of the answers are JSON objects ({len(calls):,} of {len(rows):,}).")]
    if calls:
        shapes = Counter(", ".join(sorted(call)) for call in calls)
        fields, count = shapes.most_common(1)[0]
        text = (
            f"The commonest set of fields, {fields or 'none'}, is that of {count / len(calls):.0%} of them; there are {len(shapes):,} sets."
        )
        findings.append(Evidence("answer_shapes", len(shapes), text))
    return findings


def _classes(rows: Sequence[Example], label: str | None) -> list[Evidence]:
    """Classes of the answers and their balance; none where answers are free text that hardly repeats."""
    field = label or _label_field(rows)
    names = _names(rows, field)
    counts = Counter(names).most_common()
    if not field and len(counts) > len(rows) / 5:
        return []
    where = f"values of the field {field}" if field else "different answers"
    rare = [name for name, count in counts if count < PER_CLASS]
    (largest, most), (smallest, least) = counts[0], counts[-1]
    return [
        Evidence(
            "classes",
            len(counts),
            f"{amount(len(counts), 'class', 'classes')} ({where}) with {median(n for _, n in counts):g} rows each in the median.",
        ),
        Evidence(
            "largest_class",
            most / len(rows),
            f"The largest class, {_short(largest)}, has {most / len(rows):.0%} of the rows; the smallest, {_short(smallest)}, has {least}.",
        ),
        Evidence(
            "rare_classes",
            len(rare),
            f"{len(rare)} of {amount(len(counts), 'class has', 'classes have')} fewer than {PER_CLASS} rows"
            + (f" ({', '.join(map(_short, rare[:5]))}): training will not learn these." if rare else "."),
        ),
    ]


def _names(rows: Sequence[Example], field: str | None) -> list[str]:
    """Class of each answer: the value of its field, else the whole answer."""
    return [ToolCall(field).label(row.completion) if field else normalised(row.completion) for row in rows]


def _label_field(rows: Sequence[Example]) -> str | None:
    """The field with a text in nearly every JSON answer whose values repeat the most."""
    values: dict[str, set[str]] = defaultdict(set)
    present: Counter[str] = Counter()
    for row in rows:
        for name, value in (parse_call(row.completion) or {}).items():
            if isinstance(value, str):
                values[name].add(value)
                present[name] += 1
    usable = [name for name in values if present[name] >= 0.9 * len(rows) and 2 <= len(values[name]) <= max(2, len(rows) / 5)]
    # of several the one with the most classes says most about the answer
    return max(usable, key=lambda name: (len(values[name]), name), default=None)


def _repeats(rows: Sequence[Example]) -> list[Evidence]:
    """Requests that occur more than once: whether their answers agree, and if not, whether only facts differ."""
    by_request: dict[str, dict[int, str]] = defaultdict(dict)
    times = Counter(request_key(row) for row in rows)
    for row, key in zip(rows, answer_keys(rows, Text()).tolist(), strict=True):
        by_request[request_key(row)][key] = row.completion
    repeated = [request for request, count in times.items() if count > 1]
    if not repeated:
        return [Evidence("contradictions", 0.0, "No request occurs twice, so nothing shows whether answers to the same request agree.")]
    split = [list(by_request[request].values()) for request in repeated if len(by_request[request]) > 1]
    facts_only = sum(len({without_facts(answer) for answer in answers}) == 1 for answers in split)
    low, _ = share_interval(len(split), len(repeated))
    text = f"{len(split):,} of {amount(len(repeated), 'request')} that occur more than once have different answers"
    if low < CONTRADICTED:
        return [Evidence("contradictions", len(split) / len(repeated), f"{text}.")]
    if 2 * facts_only > len(split):
        return [
            Evidence(
                "contradictions",
                len(split) / len(repeated),
                f"{text}, {facts_only:,} of these only in a number, date, price or name: the answer changes with the facts.",
                Choice.RETRIEVE,
            )
        ]
    return [
        Evidence(
            "contradictions",
            len(split) / len(repeated),
            f"{text}: no model can agree with both, so settle on one answer first.",
            Choice.COLLECT,
        )
    ]


def _near(rows: Sequence[Example], label: str | None) -> Evidence:
    """Whether near-identical requests (the same ones aside) have the same answer or class."""
    looked_at = {request_key(row): row for row in islice(rows, COMPARED)}
    members = list(looked_at.values())
    field = label or _label_field(rows)
    names = _names(members, field)
    pairs = agree = 0
    for left, right, _ in requests(members).copies(NEAR):
        pairs += len(left)
        agree += sum(names[i] == names[j] for i, j in zip(left.tolist(), right.tolist(), strict=True))
    what = f"the same {field}" if field else "the same answer"
    among = f"among the first {COMPARED:,} rows" if len(rows) > COMPARED else "among the rows"
    if not pairs:
        return Evidence("near_agreement", 1.0, f"No two different requests {among} are near-identical (Jaccard index {NEAR} of 5-grams).")
    share = agree / pairs
    return Evidence("near_agreement", share, f"{share:.0%} of {amount(pairs, 'pair')} of near-identical requests {among} have {what}.")


def _facts(rows: Sequence[Example]) -> Evidence:
    found = changing_facts(rows)
    with_facts = sum(bool(facts) for facts in found)
    share, (low, _) = with_facts / len(rows), share_interval(with_facts, len(rows))
    kinds = ", ".join(f"{kind} {count / len(rows):.0%}" for kind in KINDS if (count := sum(kind in facts for facts in found)))
    example = next((f", for example {sorted(next(iter(facts.values())))[0]!r}" for facts in found if facts), "")
    text = (
        f"{share:.0%} of the answers state a price, date, number or name that their request does not hold"
        + (f" ({kinds}{example}; {with_facts:,} of {len(rows):,}): facts that are likely to change." if with_facts else ".")
    )  # fmt: skip
    return Evidence("changing_facts", share, text, Choice.RETRIEVE if low >= CHANGING else None)


def _length(rows: Sequence[Example]) -> Evidence:
    lengths = [len(row.prompt) + len(row.completion) for row in rows]
    longest = quantiles(lengths, n=20)[-1] if len(lengths) > 1 else lengths[0]
    return Evidence(
        "length",
        median(lengths),
        f"Request and answer have {median(lengths):,.0f} characters in the median, {longest:,.0f} at the 95th percentile.",
    )


def _circumstances(said: Circumstances, chars: float) -> list[Evidence]:
    findings = []
    if (days := said.days_between_changes) is not None:
        fast = days < FAST
        text = f"What a good answer is changes every {days:g} days: " + (
            "a prompt follows within minutes, a retrain with its gates and canary takes days."
            if fast
            else "slow enough for retrains with gates and canary."
        )
        findings.append(Evidence("days_between_changes", days, text, Choice.PROMPT if fast else None))
    if said.maintained is not None:
        text = (
            "Somebody maintains evaluation, retrains and serving."
            if said.maintained
            else "No person maintains evaluation, retrains and serving: a tuned model that is not measured gets worse unseen."
        )
        findings.append(Evidence("maintained", float(said.maintained), text, None if said.maintained else Choice.COLLECT))
    if (requests := said.requests_per_day) is not None:
        per_request = IN_PROMPT * chars / CHARS_PER_TOKEN
        tokens = per_request * requests
        text = (
            f"{IN_PROMPT} examples in the prompt are about {per_request:,.0f} tokens ({chars:,.0f} characters each in the median, "
            f"{CHARS_PER_TOKEN} a token): {tokens:,.0f} a day at {requests:,.0f} requests, which a tuned model does not read."
        )
        findings.append(Evidence("prompt_tokens_per_day", tokens, text, Choice.FINE_TUNE if tokens >= COSTLY else None))
    return findings


def _not_seen(said: Circumstances) -> tuple[str, ...]:
    """What decides too and is not in the examples."""
    open_questions = [
        "whether a prompted model is good enough already: measure one on these rows before any training",
        "whether the rows are like the requests of production",
        "whether a fact is one that changes: facts are found by form alone, names by their capitals (so every German noun counts as one)",
    ]
    if said.days_between_changes is None:
        open_questions.append(
            "iteration speed: how often what a good answer is changes (a prompt follows within minutes, a retrain in days)"
        )
    if said.requests_per_day is None:
        open_questions.append("cost at volume: how many requests a day would carry a long prompt")
    if said.maintained is None:
        open_questions.append("maintenance: whether somebody maintains evaluation, retrains and serving")
    return tuple(open_questions)


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:37]}..."
