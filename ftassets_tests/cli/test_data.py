"""Commands on a loop's data, as a person types them, with nothing running."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.config.profiles import TRAFFIC_URL, traffic_log
from ftassets_tests.config.test_profiles import SETTINGS

LOOP = "support_triage"
TICKETS = (
    "my invoice shows the wrong amount",
    "parcel never arrived",
    "how do I log in?",
    "the app crashes at start",
    "please cancel it all",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def log(path: Path, count: int, at: int = 1_790_000_000) -> Path:
    rows = [
        {
            "id": f"old-{n}", "user": "jo", "created": at + n, "model": "old",
            "messages": [{"role": "user", "content": TICKETS[n]}, {"role": "assistant", "content": '{"queue": "billing"}'}],
        }
        for n in range(count)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no row\n")
    return path


def test_a_log_is_imported_once(tmp_path: Path) -> None:
    path = str(log(tmp_path / "chat.jsonl", 5))
    first = json.loads(run("import-traffic", LOOP, path, "--json").stdout)
    assert (first["read"], first["stored"], len(first["quarantined"])) == (5, 5, 1)
    again = run("import-traffic", LOOP, path).stdout
    assert "5 rows read as chat, 0 stored, 5 there already, 1 record not usable" in again


def test_of_several_files_those_that_can_be_are_imported_and_the_exit_code_says_that_one_cannot(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    result = run("import-traffic", LOOP, str(empty), str(log(tmp_path / "chat.jsonl", 5)), "--json", code=1)
    assert json.loads(result.stdout)["stored"] == 5
    assert "empty.jsonl has no record" in result.stderr
    assert "other files are imported" in result.stderr


def test_a_batch_goes_out_and_comes_back_as_labels(tmp_path: Path) -> None:
    run("import-traffic", LOOP, str(log(tmp_path / "chat.jsonl", 5, at=int(time.time()) - 3600)))
    out = tmp_path / "batch.jsonl"
    said = run("label", "export", LOOP, "--out", str(out), "--limit", "3")
    assert "ftassets up" in said.output  # without the gateway canaries cannot be told apart
    items = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(items) == 3
    for item in items:
        item["completion"] = '{"queue": "returns"}'
    answered = tmp_path / "answered.jsonl"
    answered.write_text("".join(json.dumps(item) + "\n" for item in items))
    result = CliRunner().invoke(app, ["label", "import", LOOP, str(answered)])
    assert "3 labels added, 0 replaced, 0 unchanged, 0 refused" in result.output, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", LOOP, "--out", "x"], "dataset"),
        (["forget"], "user"),
        (["import-traffic", LOOP, str(LOOPS / LOOP / "seed.jsonl"), "--format", "nonesuch"], "nonesuch"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_batch_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    run("import-traffic", LOOP, str(log(tmp_path / "chat.jsonl", 5, at=int(time.time()) - 3600)))
    out = tmp_path / "batch.jsonl"
    out.write_text("half of the answers")
    refused = run("label", "export", LOOP, "--out", str(out), code=1)
    assert "exists" in refused.output
    assert out.read_text() == "half of the answers"
    run("label", "export", LOOP, "--out", str(out), "--force")
    assert len(out.read_text().splitlines()) == 5


def test_no_loop_file_and_nothing_that_one_names_is_written_over(tmp_path: Path) -> None:
    loops = tmp_path / "loops"
    for name in ("one", "two"):
        run("init", name, "--task", "text", "--loops", str(loops))
    files = [path for path in loops.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    assert {path.name for path in files} >= {"defs.yaml", "seed.jsonl", "golden.jsonl"}
    for path in files:
        for command in (["label", "export"], ["review", "export"], ["review", "pairs"]):
            result = run(*command, "one", "--out", str(path), "--force", "--loops", str(loops), code=1)
            assert "would be written over the input" in result.output
    assert {path: path.read_bytes() for path in files} == before


def test_a_file_that_is_no_text_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    path.write_bytes(b"PAR1\x15\x04\x15\xff")
    assert "it is probably a Parquet file" in run("label", "import", LOOP, str(path), code=1).output
    path.write_text("[]")
    assert "in another form than this format's" in (said := run("label", "import", LOOP, str(path), code=1).output)
    assert "attribute" not in said


def test_a_user_is_forgotten_by_one_of_the_requests(tmp_path: Path) -> None:
    run("import-traffic", LOOP, str(log(tmp_path / "chat.jsonl", 2)))
    said = run("forget", "--user-of", "old-1").stdout
    assert "who sent request old-1" in said
    assert "removed: rows of the traffic log (2)\n" in said
    assert "named above" not in said
    again = run("forget", "--request", "chat:old-1").stdout
    assert "request chat:old-1 was forgotten earlier" in again
    assert "removed: nothing" in again
    assert "no request nope" in run("forget", "--request", "nope", code=1).output
    assert "give one of them" in run("forget", "--user", "x", "--user-of", "chat:old-1", code=1).output


def test_a_hash_is_made_only_where_it_can_match_a_user(tmp_path: Path, home: Path) -> None:
    assert "has no user yet" in run("user-hash", "Zoë", code=1).output
    assert not home.exists()
    path = tmp_path / "chat.jsonl"
    asked = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "{}"}]
    path.write_text(json.dumps({"id": "1", "user": "Zoe\u0308", "messages": asked, "created": 1_790_000_000}))
    run("import-traffic", LOOP, str(path))
    assert "the name is empty" in run("user-hash", " ", code=1).output
    found = run("user-hash", "Zo\u00eb").stdout.strip()
    assert "removed: rows of the traffic log (1)" in run("forget", "--user", found).stdout
    said = " ".join(run("forget", "--user", "Zoe", code=1).output.split())
    assert "no store here has anything of the user Zoe, and it is not a hash" in said


def test_requests_that_are_left_out_of_a_batch_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    rows = [
        {"id": str(n), "created": int(time.time()) - 3600, "messages": [
            {"role": "user", "content": f"Where is my parcel number {n}?"}, {"role": "assistant", "content": "{}"},
        ]}
        for n in range(4)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    run("import-traffic", LOOP, str(path))
    said = run("label", "export", LOOP, "--out", str(tmp_path / "batch.jsonl")).stdout
    written = len((tmp_path / "batch.jsonl").read_text().splitlines())
    assert written < 4
    assert f"{4 - written} requests are left out: near copies" in said


def test_an_unknown_loop_is_named() -> None:
    result = CliRunner().invoke(app, ["export", "nonesuch", "--out", "x"])
    assert result.exit_code != 0
    assert "nonesuch" in result.output


def test_plan_counts_the_golden_rows_of_the_loop() -> None:
    found = json.loads(run("plan", LOOP, "--requests", "2000", "--json").stdout)
    assert [gate["rows"] for gate in found["gates"]] == [60, 60, 20, 400]


def test_plan_needs_no_traffic_and_says_what_it_assumes() -> None:
    before, assumed = (json.loads(run("plan", LOOP, *more, "--json").stdout) for more in ([], ["--requests", "1000"]))
    assert before["assumed"].pop("traffic_known") is False
    assert assumed["assumed"].pop("traffic_known") is True
    assert before == assumed
    assert "rollout at 1,000 requests a day (assumed: there was no request in the last week" in run("plan", LOOP).stdout


def test_advice_names_its_numbers() -> None:
    assert "210" in run("advise", str(LOOPS / LOOP / "seed.jsonl")).stdout


def test_a_traffic_log_that_does_not_answer_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SETTINGS, "FTASSETS_PROFILE": "production", TRAFFIC_URL: "postgresql://me:s3cr3t@127.0.0.1:9/traffic"}.items():
        monkeypatch.setenv(name, value)
    said = run("plan", LOOP, code=1).output
    assert "127.0.0.1:9/traffic cannot be used" in said
    assert "see that it runs" in said
    assert "s3cr3t" not in said


def test_gateway_and_imports_know_a_user_by_the_hash_that_a_command_prints(tmp_path: Path) -> None:
    run("import-traffic", LOOP, str(log(tmp_path / "chat.jsonl", 1)))
    [row] = traffic_log(Home.from_env()).exchanges(LOOP)
    name = json.loads((tmp_path / "chat.jsonl").read_text().splitlines()[0])["user"]
    found = json.loads(run("user-hash", name, "--json").stdout)["user"]
    assert found == row.user == run("user-hash", name).stdout.strip()
    assert len(found) == 32
