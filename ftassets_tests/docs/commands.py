"""What stands for the placeholders of the pages, what is prepared before a command, and what cannot run in a test."""

import importlib.util
import itertools
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import typer
import yaml
from packaging.requirements import Requirement

from ftassets.cli.main import app
from ftassets.testing.external_endpoint import VARIABLE
from ftassets.testing.tiny_loop import LOOP
from ftassets_tests import ROOT
from ftassets_tests.docs.shell import Answer, Call
from ftassets_tests.docs.world import NEWCOMER, World

Value = Callable[[World], str]

# names of the pages' own examples -> those of the world
NAMES = {"support_triage": LOOP, "voice_commands": LOOP, "library_mail": LOOP, "my_loop": LOOP}

# what a word in capitals stands for; a command's own meaning comes before the general one
PLACEHOLDERS: dict[str, dict[str, Value]] = {
    "": {
        "LOOP": lambda w: LOOP,
        "NAME": lambda w: "anna",
        "VERSION": lambda w: w.good[:12],
        "REPORT": lambda w: w.report[:12],
        "COMMIT": lambda w: w.dataset,
        "FILE": lambda w: w.fresh("file"),
        "FILE.csv": lambda w: w.fresh("file.csv"),
        "FOLDER": lambda w: w.fresh("folder"),
        "OUT": lambda w: w.fresh("out"),
        "KEY": lambda w: "0123456789abcdef0123456789abcdef",
    },
    "ftassets adopt": {
        "LOOP": lambda w: NEWCOMER,
        "URL": lambda w: w.endpoint.url,
        "MODEL": lambda w: "acme/large",
        "VAR": lambda w: VARIABLE,
    },
    "ftassets advise": {"FILE": lambda w: str(w.loop.dataset.seed)},
    "ftassets compare": {"A": lambda w: w.good[:12], "B": lambda w: w.bad[:12]},
    "ftassets curate": {
        "FILE": lambda w: str(w.loop.dataset.seed),
        "LOOP.yaml": lambda w: str(w.file),
    },
    "ftassets backtest": {"POLICY.yaml": lambda w: str(w.file)},
    "ftassets backup": {"DISK": lambda w: w.fresh("disk"), "FILE": lambda w: _passphrase(w)},
    "ftassets restore": {"FILE": lambda w: _passphrase(w)},
    "ftassets check": {"NAME": lambda w: LOOP},
    "ftassets doctor": {"NAME": lambda w: LOOP},
    "ftassets impact": {"ID": lambda w: w.request()},
    "ftassets init": {"NAME": lambda w: w.fresh("loop").rpartition("/")[2].replace("-", "_")},
    "ftassets forget": {"HASH": lambda w: w.user(), "ID": lambda w: w.request()},
    "ftassets import-traffic": {"FILE": lambda w: _chat_log(w)},
    "ftassets keys revoke": {"KEY": lambda w: w.spare_key()[:12]},
    "ftassets label import": {"FILE": lambda w: w.labelled("jsonl")},
    "ftassets override": {"VERSION": lambda w: w.bad[:12]},
    "ftassets review import": {"FILE.csv": lambda w: w.reviewed(), "NAME": lambda w: "carla"},
    "ftassets simulate": {"FILE": lambda w: str(w.file)},
    "ftassets user-hash": {"NAME": lambda w: "somebody"},
    "ftassets why": {"ANSWER": lambda w: w.request()},
    "ftassets verify": {
        "FILE": lambda w: str(w.release),
        "DIR": lambda w: str(w.home.versions / w.release.name.removesuffix(".dsse.json")),
    },
}

# placeholders that also stand in requests to the servers
IN_REQUESTS = {"LOOP", "VERSION", "COMMIT"}

# what has to be so before a command
BEFORE: dict[str, Callable[[World], None]] = {
    "ftassets rollback": World.canary,
}

# commands that may end with another exit code than 0, and why
EXIT_CODES: dict[str, tuple[set[int], str]] = {
    "ftassets check": ({0, 1}, "1 says that a loop file or its rows cannot be used yet, as those that init has written"),
    "ftassets curate": ({0, 1}, "1 says that the rows which are left are too few, as those of an example"),
    "ftassets doctor": ({0, 1}, "1 says that something is missing on this machine, which is what the command is for"),
}

# commands that are parsed and not run, and why
NOT_RUN: dict[str, str] = {
    "ftassets up": "runs until Ctrl-C: processes/test_up.py starts it",
    "ftassets demo": "takes a quarter of an hour",
    "ftassets export --ollama": "needs a model: cli/commands/test_export_ollama.py exports one",
    "ftassets export --pack": "needs a release: cli/commands/test_export_pack.py exports one",
    "ftassets gate-service": "runs until Ctrl-C: cli/commands/test_gate_service.py starts it",
    "ftassets adopt --adapter": "merges an adapter into a model: cli/commands/test_adopt.py does it",
    "ftassets clients": "ends requests without a key, which other pages have: cli/test_clients.py runs it",
    "ftassets review pairs": "needs a loop with an LLM judge: cli/commands/test_review.py runs it",
    "ftassets reproduce": "trains a model: cli/commands/test_reproduce.py does it",
    "ftassets restore": "wants a home that is not there: processes/test_backup.py restores one",
    "ftassets verify-backup": "wants a backup: processes/test_backup.py checks some",
    "ftassets replay": "ends with 1 for the releases of this world, which were signed by hand: cli/commands/test_replay.py replays a loop",
    "ftassets drill": "ends with 1 for a loop without a gate on latency, such as this world's: drill/ has its tests",
    "ftassets simulate": "takes minutes: cli/commands/test_simulate.py runs the example",
    "make": "installs, tests or serves: its targets are looked up in the Makefile",
    "docker": "needs a Docker daemon: the files it names are read",
    "kubectl": "needs a cluster: the files it names are read",
    "pip": "needs an index: requirements are parsed, extras looked up in pyproject.toml",
    "python": "starts a process: module or file are looked up",
    "python3": "starts a process: module or file are looked up",
    "dagster": "needs another process of Dagster's: its subcommand is looked up",
    "dg": "needs the project's environment: its subcommand is looked up",
    "pytest": "the files it names are looked up",
    "git": "changes a repository",
    "chromium": "opens a browser",
}


# names of commands that need one of several options
NAMED = {"ftassets forget", "ftassets adopt"}


def entry(table: Mapping[str, object], words: list[str]) -> str | None:
    """The longest key of a table, made of words, that a command contains in its order, its first word first."""
    fitting = [key for key in table if (parts := key.split()) and parts[0] == words[0] and _in_order(parts, words)]
    return max(fitting, key=len, default=None)


def _in_order(parts: list[str], words: list[str]) -> bool:
    rest = iter(words)
    return all(part in rest for part in parts)


# ---------------------------------------------------------------------- from the page to what the shell gets


def variants(text: str, inline: bool) -> list[str]:
    """A command once for every way to read it: `[optional]` without and with, `a|b` with each; blocks are taken as they are."""
    if not inline:
        return [text]
    found = [""]
    for part in re.split(r"(\[[^\[\]]*\]|(?<![^\s\[])[\w-]+(?:\|[\w-]+)+)", text):
        if part.startswith("["):
            options = ["", *variants(part[1:-1], inline)]
        elif "|" in part and re.fullmatch(r"[\w-]+(\|[\w-]+)+", part):
            options = part.split("|")
        else:
            options = [part]
        found = [before + option for before, option in itertools.product(found, options)]
    return [" ".join(each.split()) for each in dict.fromkeys(found)]


def filled(text: str, world: World) -> str:
    """A script with names, placeholders and addresses of the world in place of the page's."""
    for name, ours in NAMES.items():
        text = re.sub(rf"\b{name}\b", ours, text)
    for port, url in ((8100, world.url), (8080, world.gate_url)):
        text = re.sub(rf"(?:127\.0\.0\.1|localhost):{port}\b", url.removeprefix("http://"), text)
    lines = []
    asks = "curl " in text
    for line in text.splitlines():
        words = line.replace("=", " ").split()
        command = next((" ".join(["ftassets", *words[n + 1 :]]) for n, word in enumerate(words) if word.split("/")[-1] == "ftassets"), "")
        key = entry(PLACEHOLDERS, command.split()) if command else None
        values = PLACEHOLDERS[""] | (PLACEHOLDERS[key] if key else {})
        if command and (before := entry(BEFORE, command.split())):
            BEFORE[before](world)
        for placeholder, given in sorted(values.items(), key=lambda item: -len(item[0])):
            pattern = rf"(?<![\w$.-]){re.escape(placeholder)}(?![\w.])"
            if (command or (asks and placeholder in IN_REQUESTS)) and re.search(pattern, line):
                line = re.sub(pattern, given(world), line)
        line = re.sub(r"(--\S+) \.\.\.", r'\1 "as the page has it"', line)
        lines.append(re.sub(r"\b([A-Z_]+)=\.\.\.", r"\1=0123456789abcdef0123", line))
    return "\n".join(lines)


# ---------------------------------------------------------------------- the command line as parsed


def is_mention(text: str) -> bool:
    """Whether inline code only names a command that could not be called so: a group, or one that needs arguments."""
    words = shlex.split(text)[1:] if text.startswith("ftassets ") else []
    command, rest = _resolve(words)
    if not words or rest:
        return False
    return hasattr(command, "commands") or text in NAMED or any(parameter.required for parameter in command.params)


def parse(words: list[str]) -> None:
    """Have typer read the words of a command without running it. Raises typer's usage errors."""
    command, rest = _resolve(words)
    command.make_context(command.name, rest)


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


# ---------------------------------------------------------------------- tools that are only looked up


def look_up(call: Call) -> Answer:
    """Whether what is not run could be: the files, targets, modules and requirements it names exist."""
    problems = list(_problems(call.argv[0], call.argv[1:], Path(call.cwd)))
    return Answer(1 if problems else 0, "", "\n".join(problems))


def _problems(tool: str, words: list[str], cwd: Path) -> Iterator[str]:
    if tool == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
        yield from (f"the Makefile has no target {word}" for word in words if "=" not in word and word not in targets)
    elif tool in ("docker", "kubectl"):
        for option, value in itertools.pairwise(words):
            if option in ("-f", "--file", "--filename"):
                list(yaml.safe_load_all((cwd / value).read_text()))
    elif tool == "pip" or words[:2] == ["-m", "pip"]:
        yield from _pip(words[words.index("install") + 1 :], cwd)
    elif tool in ("python", "python3") and words[:1] == ["-m"]:
        if importlib.util.find_spec(words[1]) is None:
            yield f"there is no module {words[1]}"
        if words[1] == "pytest":
            yield from _files(words[2:])
    elif tool in ("python", "python3", "pytest"):
        yield from _files(words)
    elif tool == "dg":
        from dagster_dg_cli.cli import create_dg_cli

        yield from _subcommand(create_dg_cli(), words)
    elif tool == "dagster":
        from dagster._cli import create_dagster_cli

        yield from _subcommand(create_dagster_cli(), words)


def _pip(words: list[str], cwd: Path) -> Iterator[str]:
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = word in ("--index-url", "--constraint", "-c", "-r", "--extra-index-url")
            continue
        requirement = Requirement(f"ftassets{word[1:]}" if word.startswith(".") else word)  # `.[demo]` is this checkout
        if requirement.name == "ftassets":
            import tomllib

            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            yield from (f"there is no extra {extra}" for extra in requirement.extras - extras.keys())


def _files(words: list[str]) -> Iterator[str]:
    yield from (f"there is no file {word}" for word in words if word.endswith(".py") and not (ROOT / word.split("::")[0]).exists())


def _subcommand(command: click.Command, words: list[str]) -> Iterator[str]:
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] == "ftassets.FineTuneLoop":  # a command that dg makes of each registered component
            return
        below = command.get_command(click.Context(command), words[0])  # dg reads its commands when they are asked for
        if below is None:
            yield f"there is no command {words[0]}"
            return
        command, words = below, words[1:]


def _passphrase(w: World) -> str:
    path = Path(w.fresh("passphrase"))
    path.write_text("correct horse")
    return str(path)


def _chat_log(world: World) -> str:
    path = world.cwd / world.fresh("chat.jsonl")
    path.write_text('{"messages": [{"role": "user", "content": "dim the lamp"}, {"role": "assistant", "content": "{}"}]}\n')
    return path.name
