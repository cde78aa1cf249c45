"""Utterances of the voice_commands loop, drawn from Home Assistant's English sentence templates.

The templates (package home-assistant-intents, Apache-2.0) are grammars; a random walk over one gives a sentence, and the
rule parser they were written for (hassil) labels it. The parser would score 100 % on this task: the demo shows the loop,
not the task.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from hassil.expression import Alternative, Expression, Group, ListReference, Permutation, RuleReference, Sentence, TextChunk
from hassil.intents import IntentData, Intents, TextSlotList
from hassil.recognize import recognize_best

from ftassets.wording import amount

ESTABLISHED = ("TurnOn", "TurnOff", "LightSet", "FanSetSpeed", "ClimateGetTemperature", "ClimateSetTemperature")
DRIFTED = (
    "StartTimer", "CancelTimer", "PauseTimer", "TimerStatus", "MediaNext", "MediaPrevious", "SetVolume",
    "VacuumCleanArea", "ListAddItem", "ListCompleteItem",
)  # fmt: skip

WITHHELD_SHARE = 0.2
SEED_ROWS = 520
GOLDEN_ESTABLISHED = 200
GOLDEN_DRIFTED = 100
DATA = Path(__file__).parent.parent / "loops" / "voice_commands"

_SLOT_ORDER = (
    "domain", "name", "area", "item", "hours", "minutes", "seconds", "start_hours", "start_minutes", "start_seconds",
    "brightness", "color", "temperature", "percentage", "volume_level",
)  # fmt: skip
_HERE = "here"  # the area of a speaker who names none; left out of the answer
_MISSES = 300  # draws in a row without a new sentence after which an intent counts as exhausted

_AREAS = (
    "kitchen", "living room", "bedroom", "bathroom", "hallway", "office", "garage", "dining room", "nursery", "basement", "attic",
    "laundry room",
)  # fmt: skip
_NAMES = {
    "light": ("desk lamp", "floor lamp", "chandelier", "lantern", "spotlight", "sconce"),
    "switch": ("coffee maker", "christmas tree", "water pump", "space heater", "humidifier"),
    "fan": ("ceiling fan", "tower fan"),
    "climate": ("thermostat", "radiator", "air conditioner", "boiler"),
    "media_player": ("tv", "soundbar", "record player", "radio"),
    "vacuum": ("robot", "dusty", "roomba"),
    "todo": ("groceries", "chores", "packing", "hardware store", "party"),
}
# rules whose every branch parses, cut down to what people say most
_PLAIN = {
    "the": ("the", "the", "the", "my"),
    "in": ("in", "in", "at"),
    "turn": ("turn", "turn", "switch"),
    "here": ("here", "in here", "in this room"),
}
# a home with one floor, without blinds and colour temperatures: a small model has enough to learn
_LEFT_OUT = {"floor", "cover_classes", "color_temperature", "color_temperature_names"}
_TIMER_NAMES = ("pizza", "tea", "laundry", "egg", "pasta", "workout", "homework", "nap")
_ITEMS = (
    "milk", "eggs", "bread", "coffee beans", "dish soap", "batteries", "apples", "olive oil", "light bulbs", "paper towels",
    "cheese", "sunscreen", "a birthday card", "screws", "candles", "socks", "rice", "tomatoes", "toothpaste", "dog food",
)  # fmt: skip
_NUMBERS: dict[str, Sequence[int | float]] = {
    "brightness": range(5, 101, 5),
    "fan_speed": range(10, 101, 10),
    "volume": range(5, 101, 5),
    "temperature": [15 + half / 2 for half in range(27)],
    "timer_hours": range(1, 13),
    "timer_minutes": range(1, 61),
    "timer_seconds": range(5, 61, 5),
}


@dataclass(frozen=True)
class Utterance:
    """A spoken command, its tool call as compact JSON, and the intent and template it was drawn from."""

    text: str
    answer: str
    intent: str
    template: str


@dataclass(frozen=True)
class _Template:
    """One sentence grammar; `domains` are those of the devices its `{name}` may stand for."""

    id: str
    sentence: Sentence
    domains: tuple[str, ...]


@cache
def _intents() -> Intents:
    data = json.loads((files("home_assistant_intents") / "data" / "en.json").read_text(encoding="utf-8"))
    lists = data["lists"]
    lists["area"] = {"values": [{"in": area, "out": area} for area in _AREAS]}
    lists["floor"] = {"values": []}
    lists["name"] = {
        "values": [{"in": name, "out": name, "context": {"domain": domain}} for domain, names in _NAMES.items() for name in names]
    }
    # closed lists in place of wildcards, which would take any words at all
    for wildcard, words in (("timer_name", _TIMER_NAMES), ("todo_list_item", _ITEMS), ("shopping_list_item", _ITEMS)):
        lists[wildcard] = {"values": [{"in": word, "out": word} for word in words]}
    # wildcards left over belong to intents that are not drawn and would only take sentences from the others
    wild = [f"{{{name}" for name, entry in lists.items() if entry.get("wildcard")]
    for intent in data["intents"].values():
        for block in intent["data"]:
            block["sentences"] = [text for text in block["sentences"] if not any(reference in text for reference in wild)]
    return Intents.from_dict(data)


@cache
def templates(intent: str, withheld: bool) -> tuple[_Template, ...]:
    """Sentence templates of an intent (without "Hass"), either the withheld fifth or the rest. Raises ValueError for an unknown intent."""
    if f"Hass{intent}" not in _intents().intents:
        raise ValueError(f"unknown intent {intent!r}: the established are {', '.join(ESTABLISHED)}; the drifted {', '.join(DRIFTED)}")
    blocks = [_block(intent, block) for block in _intents().intents[f"Hass{intent}"].data]
    chosen = _withheld(blocks)
    return tuple(template for block in blocks for template in block if (template.id in chosen) == withheld)


def _block(intent: str, block: IntentData) -> list[_Template]:
    """The usable templates of a block: sentences for the same slots."""
    wanted = block.requires_context.get("domain") or ()
    domains = tuple(domain for domain in ([wanted] if isinstance(wanted, str) else wanted) if domain in _NAMES)
    found = []
    for sentence in block.sentences:
        lists = set(sentence.list_names(_intents().expansion_rules))
        if lists & _LEFT_OUT or ("name" in lists and not domains):
            continue
        key = hashlib.sha256(f"{intent}:{sorted(domains)}:{sentence.text}".encode()).hexdigest()[:10]
        found.append(_Template(f"{intent}-{key}", sentence, domains))
    return found


def _withheld(blocks: Sequence[Sequence[_Template]]) -> set[str]:
    """Ids of a fifth of an intent's templates, in order of their hash; every block keeps one: the wording is new, not the slots."""
    block_of = {template.id: number for number, block in enumerate(blocks) for template in block}
    kept = Counter(block_of.values())
    chosen: set[str] = set()
    for template_id in sorted(block_of):
        if len(chosen) < max(1, round(WITHHELD_SHARE * len(block_of))) and kept[block_of[template_id]] > 1:
            kept[block_of[template_id]] -= 1
            chosen.add(template_id)
    return chosen


def _walk(expression: Expression, domains: tuple[str, ...], rng: random.Random) -> str:
    """One random sentence of a grammar. Raises ValueError on a part we have no rule or values for."""
    if isinstance(expression, TextChunk):
        return expression.original_text
    if isinstance(expression, RuleReference):
        if expression.rule_name in _PLAIN:
            return rng.choice(_PLAIN[expression.rule_name])
        return _walk(_intents().expansion_rules[expression.rule_name].expression, domains, rng)
    if isinstance(expression, ListReference):
        return _value(expression.list_name, domains, rng)
    if isinstance(expression, Alternative):
        return _walk(rng.choice(expression.items), domains, rng)
    if isinstance(expression, Permutation):
        return " ".join(_walk(item, domains, rng) for item in rng.sample(expression.items, len(expression.items)))
    if isinstance(expression, Group):
        return "".join(_walk(item, domains, rng) for item in expression.items)
    raise ValueError(f"no rule for {expression!r}")


def _value(name: str, domains: tuple[str, ...], rng: random.Random) -> str:
    if name == "name":
        return rng.choice([value for domain in domains for value in _NAMES[domain]])
    if name in _NUMBERS:
        return f"{rng.choice(_NUMBERS[name]):g}"
    values = _intents().slot_lists.get(name)
    if not isinstance(values, TextSlotList):
        raise ValueError(f"no values for list {name}")
    return _walk(rng.choice(values.values).text_in, domains, rng)


def parse(text: str) -> tuple[str, str] | None:
    """Intent and answer the rule parser gives a sentence, or None when it knows none."""
    found = recognize_best(text, _intents(), intent_context={"area": {"value": _HERE, "slot": True}}, language="en")
    if found is None:
        return None
    intent = found.intent.name.removeprefix("Hass")
    slots = {name: entity.value for name, entity in found.entities.items() if not (name == "area" and entity.value == _HERE)}
    answer: dict[str, Any] = {"intent": intent}
    for name in sorted(slots, key=lambda slot: (_SLOT_ORDER.index(slot) if slot in _SLOT_ORDER else len(_SLOT_ORDER), slot)):
        value = slots[name]
        answer[name] = int(value) if isinstance(value, float) and value.is_integer() else value.strip() if isinstance(value, str) else value
    return intent, json.dumps(answer, ensure_ascii=False)


def stream(intent: str, seed: int, withheld: bool) -> Iterator[Utterance]:
    """Distinct utterances of one intent, the same for the same seed; ends when no new sentence is found."""
    rng = random.Random(f"{seed}:{intent}:{withheld}")
    pool = templates(intent, withheld)
    seen: set[str] = set()
    misses = 0
    while misses < _MISSES:
        misses += 1
        template = rng.choice(pool)
        text = " ".join(_walk(template.sentence.expression, template.domains, rng).split())
        if text in seen:
            continue
        seen.add(text)
        parsed = parse(text)
        if parsed is not None and parsed[0] == intent:
            misses = 0
            yield Utterance(text, parsed[1], intent, template.id)


def draw(intents: Sequence[str], count: int, seed: int, withheld: bool) -> list[Utterance]:
    """`count` distinct utterances, balanced over the intents and in turn. Raises ValueError when the templates do not give as many."""
    streams = [stream(intent, seed, withheld) for intent in intents]
    drawn: dict[str, Utterance] = {}
    while len(drawn) < count:
        if not streams:
            raise ValueError(f"the templates of {', '.join(intents)} give {len(drawn)} distinct sentences, {count} were asked for")
        for utterances in list(streams):
            utterance = next(utterances, None)
            if utterance is None:
                streams.remove(utterances)
            elif len(drawn) < count:
                drawn.setdefault(utterance.text, utterance)
    return list(drawn.values())


def _line(number: int, prefix: str, utterance: Utterance, slice_name: str) -> str:
    row = {
        "id": f"{prefix}-{number:04d}",
        "group": utterance.template,
        "slice": slice_name,
        "messages": [{"role": "user", "content": utterance.text}, {"role": "assistant", "content": utterance.answer}],
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def seed_lines(count: int = SEED_ROWS) -> list[str]:
    """Lines of seed.jsonl: what the team wrote before production started, established intents only."""
    return [_line(n, "seed", utterance, "established") for n, utterance in enumerate(draw(ESTABLISHED, count, 1, withheld=False))]


def golden_lines(taken: set[str], established: int = GOLDEN_ESTABLISHED, drifted: int = GOLDEN_DRIFTED) -> list[str]:
    """Lines of golden.jsonl: sentences of withheld templates, none of them among `taken` (those of the seed)."""
    lines = []
    for slice_name, intents, count in (("established", ESTABLISHED, established), ("drifted", DRIFTED, drifted)):
        fresh = [u for u in draw(intents, count + 20, 2, withheld=True) if u.text not in taken][:count]
        lines += [_line(n, f"golden-{slice_name}", utterance, slice_name) for n, utterance in enumerate(fresh)]
    return lines


def main() -> None:
    """Write seed.jsonl and golden.jsonl next to the loop's definition."""
    DATA.mkdir(parents=True, exist_ok=True)
    seed = seed_lines()
    taken = {json.loads(line)["messages"][0]["content"] for line in seed}
    for name, lines in (("seed.jsonl", seed), ("golden.jsonl", golden_lines(taken))):
        (DATA / name).write_text("".join(lines), encoding="utf-8")
        print(f"{name}: {amount(len(lines), 'row')}")


if __name__ == "__main__":
    main()
