"""`ftassets curate`: a file in, splits, quarantine and report out, without Dagster."""

import bz2
import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.backends.embedder.minilm import MiniLmEmbedder
from ftassets.cli.commands.curate import curate_file, settings
from ftassets.cli.main import app
from ftassets.errors import InvalidInput
from ftassets.testing.hash_embedder import HashEmbedder

LOOP = """
type: ftassets.FineTuneLoop
attributes:
  name: triage
  base_model: none
  task: {system_prompt: Answer as JSON.}
  dataset: {seed: seed.jsonl, min_rows: 3, skip: [near, semantic]}
  golden_set: golden.jsonl
  gates: [{metric: exact_match, better_than: production}]
"""


def chat(request: str, answer: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": request}, {"role": "assistant", "content": answer}]}) + "\n"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def silent(name: str, number: int, of: int) -> None:
    """No progress bar in tests."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rooms = ("kitchen", "hall", "attic", "cellar", "garage", "porch")
    rows = [chat(f"please dim the lamp in the {room} a little", json.dumps({"intent": "Dim", "area": room})) for room in rooms]
    rows += [chat("write to jo@example.com about the lamp", '{"intent": "Mail", "to": "jo@example.com"}')]
    rows += [
        "no json\n",
        chat("light the lamp in the study now", "Sure, I will do that."),
        rows[0],
        chat("golden request about the lamp", "{}"),
    ]
    path.write_text("".join(rows))
    (tmp_path / "golden.jsonl").write_text(chat("golden request about the lamp", '{"intent": "Golden"}'))
    (tmp_path / "loop.yaml").write_text(LOOP)
    return path


def test_every_line_is_in_a_split_or_in_quarantine(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = curate_file(source, out, tmp_path / "loop.yaml", lambda settings: HashEmbedder(), silent)
    kept = [row for split in ("train", "validation", "test") for row in lines(out / f"{split}.jsonl")]
    dropped = lines(out / "quarantine.jsonl")
    assert report["collected"] == 11 == len(kept) + len(dropped)
    assert {row["where"].split(":")[0] for row in dropped} == {"schema", "exact", "contamination"}
    assert json.loads((out / "report.json").read_text()) == report
    for before, after in zip(report["steps"], report["steps"][1:], strict=False):
        assert before["kept"] == after["kept"] + (after["quarantined"] if after["step"] != "schema" else 2)


def test_a_line_that_begins_like_an_array_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    good = chat("please dim the lamp in the hall", "It is dimmed.")
    (tmp_path / "in.jsonl").write_text(f"[INFO] started\n{good}\n{good}")
    report = curate_file(tmp_path / "in.jsonl", tmp_path / "out", None, None, silent)
    assert (report["collected"], report["kept"]) == (3, 1)
    found = {row["line"]: row["reason"] for row in lines(tmp_path / "out" / "quarantine.jsonl")}
    assert found.keys() in ({1, 2}, {1, 4})


def test_personal_data_is_replaced_and_json_stays_json(source: Path, tmp_path: Path) -> None:
    curate_file(source, tmp_path / "out", tmp_path / "loop.yaml", lambda settings: HashEmbedder(), silent)
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*.jsonl"))
    assert "jo@example.com" not in text
    [mail] = [row for path in (tmp_path / "out").glob("*.jsonl") for row in lines(path) if "Mail" in str(row) and "messages" in row]
    assert json.loads(mail["messages"][1]["content"]) == {"intent": "Mail", "to": "<EMAIL>"}


def test_arguments_of_a_call_are_scrubbed_by_their_keys(tmp_path: Path) -> None:
    call = {"name": "login", "arguments": json.dumps({"user": "jo", "password": "hunter2X", "ssn": 78051120, "max_tokens": 1024})}
    row = json.loads(chat("please log me in to the portal", "You are in."))
    row["messages"][1:1] = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "c", "content": '{"client_secret": "Zq8~QxYyZz.abcDEF123"}'},
    ]
    (tmp_path / "in.jsonl").write_text(json.dumps(row))
    curate_file(tmp_path / "in.jsonl", tmp_path / "out", None, None, silent)
    [kept] = [row for path in (tmp_path / "out").glob("t*.jsonl") for row in lines(path)]
    said = json.loads(kept["messages"][1]["tool_calls"][0]["function"]["arguments"])
    assert said == {"user": "jo", "password": "<SECRET>", "ssn": "<SSN>", "max_tokens": 1024}
    assert json.loads(kept["messages"][2]["content"]) == {"client_secret": "<SECRET>"}


@pytest.mark.parametrize("name", ["in.jsonl", "golden.jsonl", "loop.yaml"])
def test_nothing_is_written_over_an_input(source: Path, tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (source, tmp_path / "golden.jsonl", tmp_path / "loop.yaml"):
        path.rename((inside if path.name == name else tmp_path) / path.name)
    config = next(tmp_path.rglob("loop.yaml"))
    for row, place in (("seed", "in"), ("golden_set", "golden")):
        config.write_text(config.read_text().replace(f"{row}: {place}.jsonl", f"{row}: {next(tmp_path.rglob(f'{place}.jsonl'))}"))
    with pytest.raises(InvalidInput, match="would be written over the input"):
        curate_file(next(tmp_path.rglob("in.jsonl")), inside, config, None, silent, force=True)
    assert [path.name for path in inside.iterdir()] == [name]


def test_an_earlier_result_is_written_over_only_by_force(source: Path, tmp_path: Path) -> None:
    arguments = ["curate", str(source), "--out", str(tmp_path / "out"), "--no-vectors"]
    assert CliRunner().invoke(app, arguments).exit_code == 1  # too few rows for a dataset
    (tmp_path / "out" / "report.json").write_text("mine")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert "is not empty" in refused.output
    assert (tmp_path / "out" / "report.json").read_text() == "mine"
    assert "is not empty" not in CliRunner().invoke(app, [*arguments, "--force"]).output
    assert json.loads((tmp_path / "out" / "report.json").read_text())["collected"] == 11


@pytest.mark.parametrize("name", ["train.jsonl", "quarantine.jsonl", "report.json"])
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_an_input_with_a_link_in_the_folder_stays(source: Path, tmp_path: Path, name: str, link: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(source) if link == "symbolic" else os.link(source, tmp_path / "out" / name)
    before = source.read_bytes()
    curate_file(source, tmp_path / "out", None, None, silent, force=True)
    assert source.read_bytes() == before
    assert (tmp_path / "out" / name).read_bytes() != before


def test_the_exit_code_says_whether_there_are_rows_enough(source: Path, tmp_path: Path) -> None:
    def run(rows: int) -> int:
        (tmp_path / "loop.yaml").write_text(LOOP.replace("min_rows: 3", f"min_rows: {rows}"))
        arguments = ["curate", str(source), "--out", str(tmp_path / f"out{rows}"), "--no-vectors", "--config", str(tmp_path / "loop.yaml")]
        return CliRunner().invoke(app, arguments).exit_code

    assert (run(3), run(100)) == (0, 1)


GOOD = chat("please dim the lamp in the hall", "It is dimmed: caf\u00e9.")
LATIN = json.dumps(json.loads(GOOD), ensure_ascii=False).encode("cp1252")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no row"),
        (LATIN, "an older encoding.*line 1: byte .* is not UTF-8 text: save the file as UTF-8"),
        (bz2.compress(GOOD.encode()), "packed by bzip2: unpack it"),
        (b"prompt,completion\nhello,there\n", "a table with commas: write its rows as JSON lines.*line 1: not JSON from character 1 on"),
        (f'{{"data": [{GOOD}]}}'.encode(), "its records in 'data': write one record a line"),
        (b'{"messages": []}\n{"messages": []}', "2 refused, the first refused is in line 1: fewer than 2 messages"),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_named_for_what_it_looks_like(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    result = CliRunner().invoke(app, ["curate", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out"), "--no-vectors", "--json"])
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)["pre_flight"]
    assert verdict["verdict"] == "REFUSED"
    assert re.search(words, verdict["reason"]), verdict["reason"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["pre_flight"] == verdict


def test_a_row_of_an_array_on_one_line_is_named_by_its_place(tmp_path: Path) -> None:
    good = [chat(f"please dim lamp {n} in the hall", f"Lamp {n} is dimmed.").strip() for n in range(3)]
    (tmp_path / "in.json").write_text(f"[{good[0]}, {{}}, {good[1]}, {good[2]}, {good[2]}]")
    curate_file(tmp_path / "in.json", tmp_path / "out", None, None, silent)
    found = lines(tmp_path / "out" / "quarantine.jsonl")
    assert {(row["line"], row["member"], row["where"].split(":")[0]) for row in found} >= {(1, 2, "schema")}
    assert {row["member"] for row in found if row["where"].startswith("exact")} & {4, 5}
    assert found[0]["reason"].startswith("member 2: a row is an object")


def test_an_id_names_one_row(tmp_path: Path) -> None:
    rows = [json.loads(chat(f"open the {part} of the pump", f"The {part} is open.")) for part in ("valve", "lid", "tap")]
    rows = [{**rows[0], "id": "a"}, {**rows[1], "id": "a"}, {**rows[2], "id": "b"}, {**rows[0], "id": "a"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    curate_file(tmp_path / "in.jsonl", tmp_path / "out", None, None, silent)
    kept = [row for split in ("train", "validation", "test") for row in lines(tmp_path / "out" / f"{split}.jsonl")]
    assert sorted((row["id"], row["messages"][0]["content"]) for row in kept) == [
        ("a", "open the valve of the pump"), ("b", "open the tap of the pump"),
    ]  # fmt: skip
    reasons = {row["line"]: row["reason"] for row in lines(tmp_path / "out" / "quarantine.jsonl")}
    assert reasons[2] == "the id a is that of line 1 too, which is another row: give each row an id of its own"


def test_without_vectors_the_steps_on_meaning_say_so(source: Path, tmp_path: Path) -> None:
    report = curate_file(source, tmp_path / "out", None, None, silent)
    skipped = {step["step"] for step in report["steps"] if step["skipped"]}
    assert {"semantic", "label_disagreement"} <= skipped
    assert report["pre_flight"]["verdict"] == "REFUSED"


def test_a_file_that_is_no_loop_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").write_text("name: x\n")
    with pytest.raises(ValueError, match=r"loop\.yaml is not a loop file"):
        settings(tmp_path / "loop.yaml", tmp_path / "in.jsonl")


def test_the_command_shows_the_funnel(source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["curate", str(source), "--out", str(tmp_path / "out"), "--no-vectors", "--json"])
    assert result.exit_code == 1, result.output  # too few rows for a dataset
    assert json.loads(result.stdout)["collected"] == 11
    result = CliRunner().invoke(app, ["curate", str(tmp_path / "missing.jsonl"), "--out", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert "does not exist" in result.output


def test_a_file_of_labels_is_curated_by_label(tmp_path: Path) -> None:
    said = [("billing", 8), ("account", 4), ("refund", 1)]
    rows = [chat(f"{label} request with the number {n}", label) for label, count in said for n in range(count)]
    mails = [chat(f"no label {n}", label) for n, label in enumerate(("zed@example.com", "zoe@example.com", "zed\\u0040example.com"))]
    (tmp_path / "in.jsonl").write_text(
        "".join([*rows, chat("ok", "Billing "), chat("a sentence instead of a label", "We are\nsorry."), *mails])
    )
    (tmp_path / "golden.jsonl").write_text(chat("golden request", "billing"))
    task = "{type: classification, system_prompt: Name the queue., labels: [billing, account, refund]}"
    config = LOOP.replace("{system_prompt: Answer as JSON.}", task).replace("min_rows: 3", "min_rows: 3, max_class_share: 0.5")
    (tmp_path / "loop.yaml").write_text(config)
    report = curate_file(tmp_path / "in.jsonl", tmp_path / "out", tmp_path / "loop.yaml", None, silent)
    steps = {step["step"]: step for step in report["steps"]}
    assert (steps["schema"]["quarantined"], steps["schema"]["changed"]) == (4, 1)
    assert steps["schema"]["counts"] == {
        "unknown label 'We are\\nsorry.'": 1, "unknown label '<EMAIL>'": 3, "labels spelled as the known one": 1,
    }  # fmt: skip
    assert not any(b"example.com" in path.read_bytes() for path in (tmp_path / "out").iterdir())
    counts = steps["balance"]["counts"]
    assert {name: count for name, count in counts.items() if name.startswith("class ")} == {
        "class billing": 9, "class account": 4, "class refund": 1,
    }  # fmt: skip
    assert counts["rows training may use"] == 10


def test_requests_in_a_script_the_embedder_cannot_read_are_not_taken_for_copies(tmp_path: Path) -> None:
    asked = ("เปิดไฟในห้องนั่งเล่น", "ปิดม่านห้องนอน", "เล่นเพลงแจ๊ส", "พรุ่งนี้อากาศเป็นอย่างไร", "โทรหาคุณแม่")
    (tmp_path / "in.jsonl").write_text("".join(chat(text, "noted") for text in asked))
    (tmp_path / "golden.jsonl").write_text(chat("สั่งพิซซ่า", "noted"))
    task = "{type: classification, system_prompt: Name the queue., labels: [noted, other]}"
    (tmp_path / "loop.yaml").write_text(LOOP.replace("{system_prompt: Answer as JSON.}", task))
    report = curate_file(tmp_path / "in.jsonl", tmp_path / "out", tmp_path / "loop.yaml", lambda settings: MiniLmEmbedder(), silent)
    assert (report["collected"], report["kept"]) == (5, 5)
    steps = {step["step"]: step["counts"] for step in report["steps"]}
    assert steps["contamination"] == {"compared by words only": 5}
