"""The paths of somebody who has only the wheel: the example's project, and a loop of one's own, outside the checkout."""

import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftassets.testing.external_endpoint import VARIABLE, ExternalEndpoint, external_endpoint
from ftassets.testing.tiny_model import make_tiny_model
from ftassets_tests import ROOT
from ftassets_tests.e2e.stranger import Machine, Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXAMPLE = ROOT / "examples" / "own_project"
# random weights answer nothing right, and a second more is much for so small a model: it is the path that is tested
GATES = [
    {"metric": "exact_match", "no_worse_than": "production", "margin": 0.9},
    {"metric": "latency_p95", "no_worse_than": "production", "margin": 100, "pairs": 80},
]
TRAIN = {
    "epochs": 2,
    "batch_size": 16,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-3,
    "lora_r": 4,
    "max_length": 256,
    "loss_limit": 10,
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    return Machine.make(folder, make_tiny_model(folder / "base"))


def change(loop_file: Path, **changes: Any) -> None:
    """What a person edits in a loop file, field by field."""
    document = yaml.safe_load(loop_file.read_text())
    document["attributes"] |= changes
    loop_file.write_text(yaml.safe_dump(document, sort_keys=False))


def test_the_source_distribution_has_the_example_and_the_wheel_has_the_package_only(machine: Machine) -> None:
    with tarfile.open(machine.archive) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = [
        path.relative_to(ROOT).as_posix() for path in EXAMPLE.rglob("*.*") if path.suffix in (".py", ".jsonl", ".yaml", ".md", ".toml")
    ]
    assert len(wanted) > 6
    assert set(wanted) <= inside
    with zipfile.ZipFile(machine.wheel) as wheel:
        top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"ftassets"}


def test_the_examples_project_goes_round_its_loop(machine: Machine, tmp_path: Path) -> None:
    shell = Shell.open(machine, tmp_path / "own project")
    shutil.copytree(EXAMPLE, shell.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    machine.sees(shell.folder / "src")
    script = "import ftassets, own_project; print(ftassets.__file__); print(own_project.__file__)"
    command = [str(machine.python), "-P", "-c", script]
    ours, theirs = subprocess.run(command, env=shell.environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert Path(ours).is_relative_to(machine.venv)
    assert Path(theirs).is_relative_to(shell.folder)

    loop = "library_mail"
    assert f"{loop}: 0 errors" in shell.run("ftassets", "check", loop)
    assert "exact_match_at_least" in shell.run("ftassets", "plan", loop)
    assert "All definitions loaded successfully." in shell.run("dg", "check", "defs")
    assert f"{loop}/endpoint" in shell.run("dg", "list", "defs")

    change(shell.folder / "src" / "own_project" / "defs" / loop / "defs.yaml", gates=GATES, train=TRAIN)
    with shell.up() as dagster:
        steps = dagster.run(f"{loop}__retrain")
        assert len(steps) > 5, steps
        dagster.run(f"{loop}__move_traffic", {"ops": {f"{loop}__endpoint": {"config": {"action": "start"}}}})
        answer = shell.ask(loop, "Can I renew the book on bees?", correction="loans")
        version = answer.headers["x-ftassets-version"]
        dagster.run(f"{loop}__watch")
        assert f"{version[:12]} 100 %" in shell.run("ftassets", "status")


REQUESTS = {
    "track_order": ("Where is my parcel {}?", "Has order {} been sent yet?", "When does {} arrive?"),
    "cancel_order": ("Please stop order {}.", "I do not need {} any more.", "Take {} off my list before it leaves."),
    "refund": ("Order {} came broken, I want my money back.", "Pay me back for {}.", "{} never came. What about my money?"),
}


def rows(first: int, count: int) -> list[dict[str, Any]]:
    """Rows as a person writes them: requests about orders, and the tool call for each."""
    made = []
    for number in range(first, first + count):
        tool, texts = list(REQUESTS.items())[number % 3]
        messages = [
            {"role": "user", "content": texts[number // 3 % 3].format(4000 + 7 * number)},
            {"role": "assistant", "content": json.dumps({"tool": tool, "order": str(4000 + 7 * number)})},
        ]
        made.append({"messages": messages})
    return made


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def endpoint() -> Iterator[ExternalEndpoint]:
    with external_endpoint() as there:
        there.answer = lambda prompt: json.dumps({"tool": "track_order", "order": "".join(filter(str.isdigit, prompt))})
        yield there


def test_a_loop_of_ones_own_from_init_to_rollback(machine: Machine, tmp_path: Path, endpoint: ExternalEndpoint) -> None:
    shell = Shell.open(machine, tmp_path / "shop")
    said = shell.run("ftassets", "init", "shop", "--base-model", str(machine.base))
    assert "Replace the examples of seed.jsonl and golden.jsonl with your own rows. Next:" in said
    assert "4 rows are too few" in shell.run("ftassets", "check", "shop", "--loops", "loops", code=1)

    folder = shell.folder / "loops" / "shop"
    write(folder / "seed.jsonl", rows(0, 72))
    write(folder / "golden.jsonl", [{**row, "slice": "hard"} for row in rows(300, 12)] + rows(400, 24))
    drift = {"window": "1h", "sample": 30, "min_sample": 30, "reference_requests": 20, "reference_windows": 2, "reference_span": 0.01}
    dataset = {"seed": "seed.jsonl", "min_rows": 40, "skip": ["near", "semantic"], "near_duplicate": 0.999}
    change(folder / "defs.yaml", gates=GATES, train=TRAIN, dataset=dataset, retrain_on={"drift": drift, "min_new_labels": 5})
    assert "shop: 0 errors" in shell.run("ftassets", "check", "shop", "--loops", "loops")

    with shell.up("--loops", "loops") as dagster:  # from here on every command finds the loop without an option
        write(shell.folder / "log.jsonl", rows(500, 90))
        key = ["--api-key-env", VARIABLE]
        adopted = shell.run(
            "ftassets", "adopt", "shop", "--endpoint", endpoint.url, "--model", "theirs", *key, "--reason", "x", "--traffic", "log.jsonl"
        )  # fmt: skip
        assert "shop is served by" in adopted
        assert "90 rows read as chat, 90 stored" in adopted

        answered = [shell.ask("shop", row["messages"][0]["content"]) for row in rows(600, 39)]
        answered += [shell.ask("shop", row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows(700, 6)]
        production = answered[0].headers["x-ftassets-version"]
        assert answered[0].json()["choices"][0]["message"]["content"].startswith('{"tool": "track_order"')

        dagster.run("shop__watch")
        drift_report = shell.run("ftassets", "drift", "shop")
        assert f"shop, production {production[:12]}" in drift_report
        assert "30 queries against a reference of " in drift_report
        assert "Is it new?" in drift_report
        assert "rollout at" in shell.run("ftassets", "plan", "shop")
        exported = shell.run("ftassets", "label", "export", "shop", "--out", "batch.jsonl")
        written = [json.loads(line) for line in (shell.folder / "batch.jsonl").read_text().splitlines()]
        assert len(written) > 10
        assert f"{len(written)} requests written to batch.jsonl as batch {written[0]['batch']}; take the answers back with:" in exported

        dagster.run("shop__retrain")
        dagster.run("shop__move_traffic", {"ops": {"shop__endpoint": {"config": {"action": "start"}}}})
        canary = json.loads(shell.run("ftassets", "status", "--json"))["loops"]["shop"]
        assert canary["phase"] == "canary"
        rolled_back = shell.run("ftassets", "rollback", "shop", "--reason", "the drill")
        assert f"shop rolled back: {production[:12]} 100 %" in rolled_back
        assert shell.ask("shop", "Where is my parcel 1?").headers["x-ftassets-version"] == production
        assert "the drill" in shell.run("ftassets", "status")
