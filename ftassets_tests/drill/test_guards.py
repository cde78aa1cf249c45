"""Each guard of the drill holds for a loop with usual rules, and one that is switched off is seen not to hold."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ftassets.cli.main import app
from ftassets.config.loop import LoopConfig
from ftassets.drill.copied_loop import CopiedLoop, copied
from ftassets.drill.guards import GUARDS, chosen, drill
from ftassets.errors import InvalidInput
from ftassets.testing.tiny_loop import LOOP, tiny_config

GATES = [{"metric": "exact_match", "better_than": "production"}, {"metric": "latency_p95", "no_worse_than": "production", "margin": "20%"}]


def loop_with(folder: Path, **changes: Any) -> LoopConfig:
    folder.mkdir(exist_ok=True)
    return tiny_config(folder, folder / "base", **{"gates": GATES, **changes})


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CopiedLoop]:
    with copied(loop_with(tmp_path_factory.mktemp("loop"))) as found:
        yield found


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_holds(name: str, copy: CopiedLoop) -> None:
    held, seen = GUARDS[name](copy)
    assert held, seen
    assert seen


OFF: Mapping[str, dict[str, Any]] = {
    "golden_row_in_the_seed": {"dataset": {"min_rows": 10, "skip": ["near", "semantic", "contamination"]}},
    "poisoned_feedback": {"dataset": {"min_rows": 10, "max_topic_rows_per_user": 1, "skip": ["near", "semantic", "conflicts"]}},
    "adapter_that_does_nothing": {"gates": [{"metric": "exact_match", "no_worse_than": "production", "margin": 0.5}]},
    "slower_model": {"gates": GATES[:1]},
    "worse_canary": {"rollout": {"steps": [50, 100], "guardrails": [{"metric": "errors"}]}},
}


@pytest.mark.parametrize("name", OFF)
def test_a_guard_that_is_switched_off_does_not_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.drill.bad_canaries.MOST", 500)
    changes = OFF[name]
    if "dataset" in changes:
        changes = {"dataset": {"seed": str(tmp_path / "seed.jsonl"), **changes["dataset"]}}
    [found] = drill(loop_with(tmp_path, **changes), [name])
    assert not found.held, found.seen
    assert not found.seen.startswith("the drill failed"), found.seen


def test_a_fault_that_ends_in_an_error_did_not_hold(tmp_path: Path) -> None:
    (tmp_path / "seed.jsonl").touch()
    loop = loop_with(tmp_path)
    loop.golden_set.unlink()
    [found] = drill(loop, ["golden_row_in_the_seed"])
    assert not found.held
    assert found.seen.startswith("the drill failed: ")


def test_a_guard_that_is_not_known_is_named() -> None:
    assert chosen(["drift", "full_disk"]) == ["full_disk", "drift"]
    assert chosen([]) == list(GUARDS)
    with pytest.raises(InvalidInput, match="there is no guard nothing: it is one of golden_row_in_the_seed, "):
        chosen(["nothing"])


# the command


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "loops" / LOOP
    folder.mkdir(parents=True)
    attributes = loop_with(folder).model_dump(mode="json", exclude_unset=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
    monkeypatch.setenv("FTASSETS_LOOPS", str(tmp_path / "loops"))
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["drill", LOOP, *arguments])
    assert "Traceback" not in result.output
    return result


def test_one_guard_as_a_table_and_as_json(tmp_path: Path, loops: None) -> None:
    text = run("--only", "golden_row_in_the_seed")
    assert (text.exit_code, "held" in text.stdout) == (0, True), text.output
    found = json.loads(run("--only", "golden_row_in_the_seed", "--json").stdout)
    assert (found["held"], [each["guard"] for each in found["guards"]]) == (True, ["golden_row_in_the_seed"])
    assert not (tmp_path / "home").exists(), "the loop's own home is not touched"


def test_a_guard_that_did_not_hold(monkeypatch: pytest.MonkeyPatch, loops: None) -> None:
    monkeypatch.setitem(GUARDS, "drift", lambda copy: (False, "no alarm"))
    result = run("--only", "drift")
    assert (result.exit_code, "NOT HELD" in result.stdout) == (1, True)
    assert run("--only", "nothing").exit_code == 1
