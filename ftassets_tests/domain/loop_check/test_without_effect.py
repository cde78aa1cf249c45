"""Findings on settings that need another one."""

from typing import Any

import pytest

from ftassets.domain.loop_check.without_effect import without_effect
from ftassets_tests.domain.loop_check.test_gates import BETTER, loop

SEED = {"seed": "s"}
JUDGE = {"url": "http://127.0.0.1:1/v1", "model": "m", "labels": "pairs.jsonl"}
COSTS = {"a": {"b": 2.0}}


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, []),
        ({"traffic": {"every": "0 3 * * *"}}, ["traffic.every"]),
        ({"traffic": {"export": "days"}}, ["traffic.export"]),
        ({"traffic": {"every": "0 3 * * *", "export": "days", "max_gb": 5}}, []),
        ({"dataset": {**SEED, "skip": ["pii", "near"], "pii": "drop", "jaccard": 0.5}}, ["dataset.pii"]),
        ({"dataset": {**SEED, "skip": ["pii"], "pii": "redact"}}, []),  # the default
        ({"dataset": {**SEED, "skip": ["length"], "min_chars": 5}}, ["dataset.min_chars"]),
        ({"dataset": {**SEED, "skip": ["language"], "languages": ["de"]}}, ["dataset.languages"]),
        ({"dataset": {**SEED, "skip": ["balance"], "max_class_share": 0.4}}, ["dataset.max_class_share"]),
        ({"dataset": {**SEED, "skip": ["user_cap"], "max_rows_per_user": 5}}, []),  # preference pairs have the cap too
        ({"task": {"type": "text", "system_prompt": "x", "label": "queue"}}, ["task.label"]),
        ({"task": {"system_prompt": "x", "costs": COSTS}}, ["task.costs"]),
        ({"llm_judge": JUDGE}, ["llm_judge"]),
        ({"retrain_on": {"drift": {"rule": "centroid_cosine", "max_false_alarms": "2/month"}}},
         ["retrain_on.drift.max_false_alarms"]),
        ({"train": {"method": "full", "lora_r": 8}}, ["train.lora_r"]),
        ({"train": {"prefix_tokens": 8}}, ["train.prefix_tokens"]),
        ({"train": {"method": "prefix", "prefix_tokens": 8}}, []),
        ({"train": {"command": ["t"], "max_time": "1h", "max_left_out": 0.5, "loss_limit": 3.0, "epochs": 2}},
         ["train.max_time", "train.max_left_out", "train.loss_limit"]),
        ({"train": {"command": ["t"]}, "sweep": {}}, ["sweep"]),
        ({"sweep": {}}, []),
        ({"release": {"override": ["lead"]}}, ["release.override"]),
        ({"release": {"people": {"ann": "lead"}}}, ["release.people"]),
        ({"release": {"people": {"ann": "lead"}, "approve": ["lead"]}}, []),
    ],
)  # fmt: skip
def test_a_setting_that_needs_another_one_is_told(settings: dict[str, Any], fields: list[str]) -> None:
    found = list(without_effect(loop(BETTER, **settings)))
    assert [".".join(map(str, each.field)) for each in found] == fields
    assert all((each.severity, each.kind) == ("warning", "no_effect") for each in found)
    assert all(each.text.startswith(f"{field} has no effect: ") for each, field in zip(found, fields, strict=True))
