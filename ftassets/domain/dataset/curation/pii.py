"""Personal data in texts: found by pattern and checksum, then replaced by its kind or dropped with the row.

What has no fixed form (names, addresses, numbers spelled out) is not found: a scrubbed set holds less personal data, not none.
"""

import ipaddress
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ftassets.domain.chat import Asked, Conversation, Message, texts, with_texts
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig


class Span(NamedTuple):
    """Characters start to end (exclusive) of a text, and what they are, for example EMAIL."""

    kind: str
    start: int
    end: int


Finder = Callable[[str], list[Span]]

# No pattern has two ways to match the same characters, and none repeats without bound where it can still fail: the time is linear
# in the text, whatever the text. Patterns begin with what is rare, digits, and look behind from there: three times as fast.
_HINT = re.compile(r"[0-9@]")
# without one of these nothing can be found, not even behind the escapes of JSON; numbers of fewer digits are common and harmless
_SHAPE = re.compile(r"[@\\]|[0-9](?:[ .()-]{0,2}[0-9]){3}|[A-Za-z]{2}[0-9]{2}|[0-9A-Fa-f:]:[0-9A-Fa-f:]")
_LONG_NUMBER = re.compile(r"[0-9](?:[ .()-]{0,2}[0-9]){6}")
_FIRST = r"[0-9](?<![^\W_].)(?<![0-9][ .-].)"  # digit that begins a number
_DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}(?:xn--[\w-]{1,59}|[^\W\d_]{2,24})")
_LOCAL_REVERSED = re.compile(r"[\w.%+&'-]{0,63}\w")
_CARD_RUN = re.compile(_FIRST + r"(?:[ .-]?[0-9]){11,}")
_DIGIT = re.compile("[0-9]")
_DIGITS = re.compile("[0-9]+")
# issuer numbers and lengths of ISO/IEC 7812: Visa, Mastercard, American Express, Diners Club, JCB (two), Maestro with Discover and UnionPay
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"
    r"|35[0-9]{14,17}|(?:2131|1800)[0-9]{11}|(?:50|5[6-9]|6[0-9])[0-9]{10,17}"
)
_PHONE_RUN = re.compile(_FIRST + r"(?:[ .()-]{0,2}[0-9]){6,}")
_MOST_GROUPS, _LONGEST = 6, 32  # groups and characters of a number in print; with digits one by one only a run that is nothing else counts
_IBAN_CHECK = re.compile(r"[0-9]{2}(?<=[A-Za-z]{2}..)(?<![^\W_].{4})")
# characters of an IBAN per country, from the IBAN registry (ISO 13616)
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FK FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST",
        "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA",
        "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBANS = {n: re.compile(rf"[A-Za-z0-9](?:[ -]?[A-Za-z0-9]){{{n - 1}}}(?![^\W_])") for n in set(_IBAN_LENGTHS.values())}
_SSN = re.compile(_FIRST + r"[0-9]{2}(?<!000)(?<!666)(?<!9..)([ -])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?!-?[0-9])")
_IPV4 = re.compile(r"[0-9](?<![^\W_].)(?<![0-9]\..)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![^\W_]|\.[0-9])")
_IPV6_RUN = re.compile(r"(?<![\w:.])[0-9A-Fa-f:.]{6,45}(?![\w:])")
_LONG_GROUP = re.compile(r"[0-9A-Fa-f]{3}")
_PHONE = re.compile(
    r"""(?<![^\W_])(?<![0-9][.-])
    (?!(?:0[1-9]|[12][0-9]|3[01])[./-](?:0[1-9]|1[0-2])[./-](?:19|20)[0-9]{2})      # a date
    (?: (?:\+|00)[1-9](?:[ .()-]{0,2}[0-9]){7,14}                                   # international, E.164: at most 15 digits
      | (?:1[ .-])?(?:\([0-9]{3}\)[ ]?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}          # North American, grouped
      | 1?[2-9][0-9]{2}[2-9][0-9]{6}                                                # the same without separators
      | \([0-9]{2,4}\)[ ]?[0-9](?:[ -]?[0-9]){4,8}                                  # area code in brackets
      | 0[1-9](?:[ .()-]{0,2}[0-9]){7,10}                                           # national with trunk prefix
    )(?:[ ]?(?:x|ext\.?)[ ]?[0-9]{1,6})?(?![0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
# groups of digits that are a phone number only where the words around them say so
_GROUPS = re.compile(_FIRST + r"[0-9]{1,3}(?:[ -][0-9]{2,4}){1,4}(?![ .-]?[0-9])")
_DATE = re.compile(r"(?:19|20)[0-9]{2}[ -][0-9]{2}[ -][0-9]{2}|(?:[0-9]{2}[ -][0-9]{2}|(?:19|20)[0-9]{2})[ -](?:19|20)[0-9]{2}")
_ABOUT_PHONES = re.compile(
    r"phone|t[eé]l(?:[eé]f|\b)|mobil|m[oó]vil|\bcell|handy|\bfax|\bcall|\bdial|\bring\b|\btext|\bsms|whatsapp|contact|reach|\bdesk|\boffice"
    r"|anruf|appel|llam",
    re.IGNORECASE,
)
_CONTEXT = 30  # characters on either side
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")([ \t\r\n]*:)?|-?[0-9][0-9.eE+-]*')  # of valid JSON: strings, whether they are keys, numbers


def find(text: str) -> list[Span]:
    """Spans of EMAIL, CARD, IBAN, SSN, IP and PHONE in order of place, none overlapping another (the longest wins, then the earliest).

    Cards pass the Luhn check (ISO/IEC 7812), IBANs mod 97 (ISO 7064). Digits are ASCII; time is linear in the text.
    """
    if not _HINT.search(text):
        return []
    finders = [_emails, _ibans, _ips]
    if _LONG_NUMBER.search(text):
        finders += [_cards, _ssns, _phones]
    return _resolve([span for finder in finders for span in finder(text)])


def redact(text: str, spans: Iterable[Span]) -> str:
    """The text with each span replaced by its kind, for example `<EMAIL>`; of overlapping spans only the longest counts."""
    parts, last = [], 0
    for span in _resolve(spans):
        parts += [text[last : span.start], f"<{span.kind}>"]
        last = span.end
    return "".join([*parts, text[last:]])


def scrub(pool: Pool, loop: "LoopConfig", names: Finder | None = None) -> StepOutcome:
    """Redact or drop rows with personal data, as `loop.dataset.pii` says; counts are finds per kind.

    A phone number or name found in one text of a row, its conversation or answer, is replaced in all. An answer, a tool's result or
    arguments of a call that are JSON stay JSON; `names` (for example of `backends.name_finder.presidio`) reads prose only; what it
    finds there is replaced in the values of JSON too.
    Tools are redacted by themselves, their numbers are left. An id of a call gets another one, and a row with personal data in a name
    of a tool or call is dropped. The label of a classification is left alone.
    """
    dropped: dict[int, str] = {}
    changed: dict[int, Example] = {}
    counts: Counter[str] = Counter()
    closed = loop.task.form.closed
    for i in pool.index:
        row = pool.rows[i]
        asked = texts(row.messages)
        called = _names(row)
        if names is None and not any(map(_may_hold, [row.completion, *asked, row.tools or "", *_ids(row.messages), *called])):
            continue
        if named := {span.kind for name in called for span in find(name)}:
            dropped[i] = f"personal data in the name of a tool or call: {', '.join(sorted(named))}"
            continue
        messages, answers, found = without_personal_data(row.messages, [] if closed else [row.completion], names)
        tools, in_tools = tools_without_personal_data(row.tools)
        found += in_tools
        if not found:
            continue
        counts.update(found)
        if loop.dataset.pii == "drop":
            dropped[i] = f"personal data: {', '.join(sorted(found))}"
        else:
            changed[i] = row.model_copy(
                update={"messages": messages, "tools": tools, "completion": row.completion if closed else answers[0]}
            )
    return StepOutcome(dropped=dropped, changed=changed, counts=dict(counts))


def without_personal_data(
    messages: Conversation, answers: Sequence[str], names: Finder | None = None
) -> tuple[Conversation, list[str], Counter[str]]:
    """A conversation and answers to it with personal data replaced, and how much there was of each kind; see `scrub`."""
    asked = texts(messages)
    structured = [*(each for message in messages for each in _forms(message)), *map(_is_json, answers)]
    cleaned, found = _scrubbed([*asked, *answers], structured, names)
    ids = _ids(messages)
    personal = [name for name in ids if (spans := find(name)) and not found.update(span.kind for span in spans)]
    free = (name for number in itertools.count(1) if (name := f"call_{number}") not in ids)
    renamed = dict(zip(personal, free, strict=False))
    return _with_ids(with_texts(messages, cleaned[: len(asked)]), renamed), cleaned[len(asked) :], found


def tools_without_personal_data(tools: str | None) -> tuple[str | None, Counter[str]]:
    """Tools with personal data replaced in their strings, and how much there was of each kind; numbers, such as limits, are left."""
    found: Counter[str] = Counter()

    def clean(match: re.Match[str]) -> str:
        if not match[1]:
            return match[0]
        text = written = json.loads(match[1])
        while spans := find(text):
            found.update(span.kind for span in spans)
            text = redact(text, spans)
        return match[0] if text == written else json.dumps(text, ensure_ascii=match[0].isascii()) + (match[2] or "")

    return (_TOKEN.sub(clean, tools) if tools else tools), found


def holds_personal_data(asked: Asked, answers: Sequence[str]) -> bool:
    """Whether `find` finds something in a text of the request, its tools, names and ids included, or in one of the answers."""
    written = [*texts(asked.messages), *answers]
    structured = [*(each for message in asked.messages for each in _forms(message)), *map(_is_json, answers)]
    said = [part for text, is_json in zip(written, structured, strict=True) for part in (_texts(text) if is_json else [text])]
    return any(map(find, [*said, *_ids(asked.messages), *_names(asked)])) or bool(tools_without_personal_data(asked.tools)[1])


def _ids(messages: Conversation) -> list[str]:
    """The ids of a conversation's calls, each once."""
    calls = [call.id for message in messages for call in message.tool_calls or ()]
    return list(dict.fromkeys(name for name in [*calls, *(message.tool_call_id for message in messages)] if name))


def _with_ids(messages: Conversation, renamed: Mapping[str, str]) -> Conversation:
    if not renamed:
        return messages

    def new(name: str | None) -> str | None:
        return renamed.get(name, name) if name else name

    return tuple(
        message.model_copy(
            update={
                "tool_calls": message.tool_calls and tuple(call.model_copy(update={"id": new(call.id)}) for call in message.tool_calls),
                "tool_call_id": new(message.tool_call_id),
            }
        )
        for message in messages
    )


def _names(asked: Asked) -> list[str]:
    """Names of the tools and of the calls."""
    tools = [tool.get("function", tool) for tool in (json.loads(asked.tools) if asked.tools else [])]
    names = [tool["name"] for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
    return [*names, *(call.name for message in asked.messages for call in message.tool_calls or ())]


def _forms(message: Message) -> list[bool]:
    """For each text of a message whether it is JSON that has to stay JSON; what users write is always prose."""
    content = [message.role in ("assistant", "tool") and _is_json(message.content)] if message.content else []
    return [*content, *(True for _ in message.tool_calls or ())]


def _may_hold(text: str) -> bool:
    return bool(_HINT.search(text) and _SHAPE.search(text))


def _scrubbed(written: Sequence[str], structured: Sequence[bool], names: Finder | None) -> tuple[list[str], Counter[str]]:
    """The texts of one row without personal data, and how much there was of each kind; `structured` ones are JSON."""
    found: Counter[str] = Counter()
    # what the words around it gave away in one place is replaced where they are missing, too
    phones: set[str] = set()
    persons: dict[str, str] = {}

    def look(text: str, with_names: bool) -> None:
        named = names(text) if names and with_names else []
        for span in _resolve([*find(text), *named]):
            found[span.kind] += 1
            if span.kind == "PHONE":
                phones.add(_digits(text[span.start : span.end]))
            elif span in named:
                persons[text[span.start : span.end].lower()] = span.kind

    for text, is_json in zip(written, structured, strict=True):
        for part in _texts(text) if is_json else [text]:
            look(part, with_names=not is_json)
    if not found:
        return list(written), found
    person = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, sorted(persons, key=len, reverse=True)))})(?![^\W_])", re.IGNORECASE)

    def known(text: str) -> Iterator[Span]:
        for run in _PHONE_RUN.finditer(text) if phones else ():
            yield from (Span("PHONE", start, end) for start, end in _windows(run) if _digits(text[start:end]) in phones)
        for match in person.finditer(text) if persons else ():
            yield Span(persons.get(match[0].lower(), "PERSON"), *match.span())

    def clean(text: str, is_key: bool = False) -> str:
        spans = [] if is_key else list(known(text))  # a key is the schema's word, even where it equals somebody's name
        while spans := [*spans, *find(text)]:  # again, since what a redaction leaves may have become recognisable
            text, spans = redact(text, spans), []
        return text

    def clean_token(match: re.Match[str]) -> str:
        text = json.loads(match[1]) if match[1] else match[0]
        scrubbed = clean(text, is_key=match[2] is not None)
        return match[0] if scrubbed == text else json.dumps(scrubbed, ensure_ascii=match[0].isascii()) + (match[2] or "")

    cleaned = [_TOKEN.sub(clean_token, text) if is_json else clean(text) for text, is_json in zip(written, structured, strict=True)]
    return cleaned, found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _texts(document: str) -> list[str]:
    """Strings (keys too) and numbers of a JSON document."""
    return [json.loads(match[1]) if match[1] else match[0] for match in _TOKEN.finditer(document)]


def _resolve(spans: Iterable[Span]) -> list[Span]:
    spans = list(spans)
    if len(spans) < 2:
        return spans
    taken = bytearray(max(span.end for span in spans))
    kept = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        if taken.find(1, span.start, span.end) < 0:
            taken[span.start : span.end] = b"\1" * (span.end - span.start)
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def _emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        if (domain := _DOMAIN.match(text, at)) and (local := _LOCAL_REVERSED.match(text[max(0, at - 64) : at][::-1])):
            yield Span("EMAIL", at - local.end(), domain.end())
        at = text.find("@", at + 1)


def _windows(run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Starts and ends of neighbouring groups of digits within a run, and of the whole run."""
    groups = [match.span() for match in _DIGITS.finditer(run.string, *run.span())]
    for first, (start, _) in enumerate(groups):
        for _, end in groups[first : first + _MOST_GROUPS]:
            if end - start > _LONGEST:
                break
            yield start, end
    if len(groups) > _MOST_GROUPS:
        yield run.span()


def _cards(text: str) -> Iterator[Span]:
    for run in _CARD_RUN.finditer(text):
        yield from (Span("CARD", start, end) for start, end in _windows(run) if end - start >= 12 and _is_card(text[start:end]))


def _digits(text: str) -> str:
    return "".join(_DIGIT.findall(text))


def _is_card(text: str) -> bool:
    digits = _digits(text)
    if not _ISSUERS.fullmatch(digits):
        return False
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0


def _ibans(text: str) -> Iterator[Span]:
    for check in _IBAN_CHECK.finditer(text):
        start = check.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length and (match := _IBANS[length].match(text, start)):
            code = re.sub("[ -]", "", match[0])
            if int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1:
                yield Span("IBAN", *match.span())


def _ssns(text: str) -> Iterator[Span]:
    return (Span("SSN", *match.span()) for match in _SSN.finditer(text))


def _ips(text: str) -> Iterator[Span]:
    if text.count(".") >= 3:
        yield from (Span("IP", *match.span()) for match in _IPV4.finditer(text) if _is_ip(match[0]))
    if text.count(":") >= 2:
        for match in _IPV6_RUN.finditer(text):
            run = match[0].rstrip(".")
            run = run if run.endswith("::") else run.rstrip(":")
            # Python's [::1] and Ruby's Ab::Cd have the form too: an address worth hiding has a digit and a group of three
            if run.count(":") >= 2 and _DIGIT.search(run) and _LONG_GROUP.search(run) and _is_ip(run):
                yield Span("IP", match.start(), match.start() + len(run))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        yield Span("PHONE", *match.span())
    for match in _GROUPS.finditer(text):
        if not 7 <= len(_digits(match[0])) <= 13 or _DATE.match(match[0]):
            continue
        around = text[max(0, match.start() - _CONTEXT) : match.start()] + " " + text[match.end() : match.end() + _CONTEXT]
        if _ABOUT_PHONES.search(around):
            yield Span("PHONE", *match.span())
