"""The card of a dataset is read by the libraries that such cards are for, and says what the commit has."""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftassets.assets._shared.dataset_files import to_parquet
from ftassets.domain.acceptance import Check
from ftassets.domain.chat import conversation, question
from ftassets.domain.dataset.card import CROISSANT, LIMITS, Card, card
from ftassets.domain.dataset.curation import Curated, curate
from ftassets.domain.dataset.rows import Example, Quarantined
from ftassets.domain.dataset.shards import Index, Shard
from ftassets.testing.releases import loop_config

PARENTS = {"seed rows": "5" * 40, "dataset before this one": "7" * 40}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
CONVERSATION = conversation(
    [
        {"role": "system", "content": "Answer with one word."},
        {"role": "user", "content": "Where is the parcel that I sent to Hamburg?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "in the depot", "tool_call_id": "c1"},
    ]
)


def rows() -> list[Example]:
    asked = [
        Example(
            id=f"row {n}",
            messages=question(f"Please switch the {room} lamp on, my number is ann{n}@example.com, and tell me when it is done"),
            completion=f"The {room} lamp is on now, as you asked me to do.",
            source="thumbs_up" if n % 3 else "seed",
            user=f"user {n % 2}" if n % 3 else None,
            request_id=f"request {n}",
            at=86_400.0 * n if n % 3 else None,
        )
        for n, room in enumerate(("hall", "kitchen", "attic", "garden", "cellar", "office"))
    ]
    return [
        *asked,
        Example(id="tools", messages=CONVERSATION, tools='[{"type": "function"}]', completion="It lies in the depot.", quality=0.9),
    ]


def curated(**dataset: Any) -> tuple[Any, Curated]:
    base = loop_config(task={"type": "text", "system_prompt": "Answer."}, description="Lamps | and\nparcels")
    loop = base.model_copy(update={"dataset": base.dataset.model_copy(update={"min_rows": 1, "skip": ["near", "semantic"], **dataset})})
    broken = [Quarantined("seed.jsonl:9", "not JSON", "secret words of a user")]
    return loop, curate(rows(), None, [], None, {"tools": "train", "row 1": "train", "row 0": "test"}, loop, broken)


def described(folder: Path, passed: bool = True, **dataset: Any) -> tuple[Card, Curated]:
    """The card of curated rows, written to a folder with its files; train lies in two of them."""
    loop, made = curated(**dataset)
    shards: dict[str, list[Shard]] = {}
    for split, members in made.splits.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        shards[split] = [_written(folder, f"{split}/{n}.parquet", part) for n, part in enumerate((members[:1], members[1:])) if part]
    checks = {"no_leak": Check(passed=passed, sentence="words")}
    index = Index(shards=shards, balance={}, recipe={"pii": "redact"}, content_hash="c" * 64, checks=checks)
    made_card = card(loop, made, index, PARENTS)
    (folder / "README.md").write_text(made_card.readme, encoding="utf-8")
    (folder / "croissant.json").write_text(json.dumps(made_card.croissant), encoding="utf-8")
    return made_card, made


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _written(folder: Path, path: str, members: Sequence[Example]) -> Shard:
    (folder / path).write_bytes(to_parquet(members))
    return Shard(path=path, rows=len(members), digest=sha256_of(folder / path))


def test_hugging_faces_library_reads_the_card_and_writes_it_again(tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    made, _ = described(tmp_path, license="cc-by-4.0")
    read = DatasetCard.load(tmp_path / "README.md")
    assert (read.data.license, read.data.language, read.data.task_categories) == ("cc-by-4.0", ["en"], ["text-generation"])
    assert read.data.size_categories == ["n<1K"]
    assert DatasetCard(str(read)).data.to_dict() == read.data.to_dict()
    assert read.text.strip() == made.readme.split("---\n", 2)[2].strip()


def test_datasets_opens_the_folder_of_the_card(tmp_path: Path) -> None:
    import datasets

    _, made = described(tmp_path / "dataset")
    (tmp_path / "dataset" / "quarantine.parquet").write_bytes(to_parquet(rows()[:1]))
    opened = datasets.load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert {split: [Example.model_validate(row) for row in opened[split]] for split in opened} == {
        split: list(members) for split, members in made.splits.items() if members
    }


def test_croissant_names_each_file_with_its_digest_and_each_reference_leads_somewhere(tmp_path: Path) -> None:
    made, found = described(tmp_path)
    document = made.croissant
    assert document["conformsTo"] == CROISSANT
    files = {each["contentUrl"]: each["sha256"] for each in document["distribution"] if each["@type"] == "cr:FileObject"}
    assert files == {path.relative_to(tmp_path).as_posix(): sha256_of(path) for path in tmp_path.rglob("*.parquet")}
    assert [each["@id"] for each in document["recordSet"]] == [split for split, members in found.splits.items() if members]
    text = json.dumps({**document, "@context": None})
    named = re.findall(r'"@type": "[^"]*", "@id": "([^"]*)"', text)
    assert len(named) == len(set(named))
    assert set(re.findall(r'\{"@id": "([^"]*)"\}', text)) <= set(named)
    assert "license" not in document


def test_croissants_own_library_validates_the_card_and_reads_the_rows(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is part of the extra dev")
    _, made = described(tmp_path, license="cc-by-4.0")
    dataset = mlcroissant.Dataset(str(tmp_path / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    left = {"citeAs", "datePublished"}  # nobody cites it, and the commit has its time
    assert {warning for warning in dataset.metadata.ctx.issues.warnings if not any(name in warning for name in left)} == set()
    for split, members in made.splits.items():
        records = list(dataset.records(split)) if members else []
        assert sorted(record[f"{split}/completion"].decode() for record in records) == sorted(row.completion for row in members)
        for record in records:
            [row] = [row for row in members if row.id == record[f"{split}/id"].decode()]
            assert [message[f"{split}/messages/role"].decode() for message in record[f"{split}/messages"]] == [m.role for m in row.messages]
            assert record[f"{split}/at"] == row.at


def test_the_card_says_where_the_rows_are_from_and_what_was_done_to_them(tmp_path: Path) -> None:
    made, found = described(tmp_path)
    text = made.readme
    assert f"| train | {len(found.splits['train'])} | 2 |" in text
    assert "| thumbs_up | 4 | 57% |" in text
    assert "4 rows are of requests in production, from 1970-01-02 to 1970-01-06 (UTC), by 2 known users." in text
    assert "Found: EMAIL 6" in text
    assert LIMITS in text
    assert "| collected | 8 | 0 | 0 |  |" in text
    assert "| schema | 7 | 1 | 0 |  |" in text
    assert f"| seed rows | {'5' * 40} |" in text
    assert "Not stated: ask the owners" in text
    assert "| no_leak | passed |" in text
    assert "Refused" not in text
    assert "Refused" in described(tmp_path / "refused", passed=False)[0].readme


def test_a_dataset_whose_personal_data_nobody_looked_for_says_so(tmp_path: Path) -> None:
    made, _ = described(tmp_path, skip=["near", "semantic", "pii"])
    assert "Personal data was not looked for. Users are hashes." in made.readme
    assert LIMITS not in made.readme


def test_the_same_facts_in_another_order_are_the_same_bytes_and_hold_no_text_of_a_row(tmp_path: Path) -> None:
    first, made = described(tmp_path / "a")
    loop, _ = curated()
    index = Index(shards={"train": []}, balance={}, recipe={"b": 1, "a": 2}, content_hash="c" * 64, checks={})
    turned = replace(made, splits={split: list(reversed(members)) for split, members in made.splits.items()})
    assert card(loop, made, index, PARENTS) == card(loop, turned, index, PARENTS)
    assert described(tmp_path / "b")[0] == first
    for text in (first.readme, json.dumps(first.croissant)):
        assert not re.search("lamp is on|secret words|Hamburg|user 1|request 1|row 1", text)


def test_no_split_without_a_file_is_named(tmp_path: Path) -> None:
    loop, made = curated()
    index = Index(
        shards={"train": [Shard(path="train/1.parquet", rows=7, digest="d")], "validation": [], "test": []},
        balance={}, recipe={}, content_hash="c" * 64, checks={},
    )  # fmt: skip
    found = card(loop, made, index, {})
    assert "validation/" not in found.readme + json.dumps(found.croissant)
    assert "test/" not in found.readme.replace("latest/", "")
    assert io.StringIO(found.readme).readline() == "---\n"
