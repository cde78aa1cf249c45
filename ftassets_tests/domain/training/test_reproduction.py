from typing import Any

import pytest

from ftassets.config.loop import Align, LoopConfig, Task, Train
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.mean_bounds import mean_lower_bound, mean_upper_bound
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.aligned_train import aligned_train
from ftassets.domain.training.recipe import recipe
from ftassets.domain.training.reproduction import (
    NotRepeatable,
    Outcome,
    as_trained,
    changes,
    differing_files,
    first_stage,
    same_bytes,
    same_scores,
    weights_of,
)
from ftassets.testing.releases import loop_config

LOOP: LoopConfig = loop_config("support")


def version(**known: Any) -> VersionManifest:
    files = {"adapter/adapter_model.safetensors": "a" * 64, "adapter/adapter_config.json": "b" * 64, "merged/model.safetensors": "c" * 64}
    fixed: dict[str, Any] = {"kind": "adapter", "base_model": "smol", "tokenizer_digest": None, "generation": {}, "files": files}
    return VersionManifest(**{**fixed, "dataset_commit": "c" * 40, **known})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"preset": "lora_attention", "epochs": 2, "seed": 7},
        {"preset": "lora_without_regret"},
        {"method": "prefix", "prefix_tokens": 5},
        {"method": "full"},
        {"method": "qlora", "use_dora": True, "target_modules": ["q_proj"], "early_stopping_patience": 2, "eval_steps": 3},
        {"command": ["python", "train.py"], "learning_rate": 0.5},
        {"class_weights": "balanced", "batch_size": 2, "gradient_accumulation_steps": 8},
    ],
)
def test_a_recipe_gives_the_settings_of_its_training_whatever_the_loop_has_now(settings: dict[str, Any]) -> None:
    train, task = Train(**settings), Task(system_prompt="as it was", max_tokens=9)
    made = version(recipe=recipe(task, train, None), generation={"temperature": 0.0, "max_tokens": 9})
    now = LOOP.model_copy(update={"train": Train(seed=99, lora_r=64, epochs=9, learning_rate=0.9, preset="lora_steps")})
    again = as_trained(now, made)
    assert recipe(again.task, again.train, None) == made.recipe
    assert (again.base_model, again.task.max_tokens) == ("smol", 9)


@pytest.mark.parametrize("align", [Align(method="dpo"), Align(method="kto", beta=0.3, epochs=3, batch_size=8, held_out=0.4)])
def test_a_recipe_of_a_training_on_preferences_gives_its_settings_too(align: Align) -> None:
    task, tuned = Task(system_prompt="as it was"), Train(epochs=2, early_stopping_patience=2, class_weights="balanced", lora_dropout=0.3)
    alignment = {"method": align.method, "beta": align.beta, "held_out": align.held_out, "preferences_commit": "e" * 40}
    made = version(recipe=recipe(task, aligned_train(tuned, align), "f" * 64, alignment))
    again = as_trained(LOOP.model_copy(update={"align": Align(method="dpo", held_out=0.7), "train": Train(epochs=9)}), made)
    assert again.align == align
    assert recipe(task, aligned_train(again.train, align), "f" * 64, alignment) == made.recipe
    assert as_trained(again, version(recipe=recipe(task, tuned, None))).align is None


def test_what_came_of_the_fine_tuning_is_said() -> None:
    made = version()
    assert first_stage(made, version()).endswith("its adapter has the same bytes")
    assert "has other weights" in first_stage(made, version(files={**made.files, "adapter/adapter_model.safetensors": "f" * 64}))


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"kind": "endpoint"}, "endpoint"),
        ({"dataset_commit": None}, "adopted"),
        ({"recipe": {"align": {"method": "orpo"}, "start_from": "e" * 64}, "code_commit": "c0de" * 10}, "code commit c0dec0dec0de"),
        ({"recipe": {"lora_r": 4, "lora_z": 1}, "code_commit": "c0de" * 10}, "code commit c0dec0dec0de"),
    ],
)
def test_what_cannot_be_trained_again_says_why(known: dict[str, Any], why: str) -> None:
    with pytest.raises(NotRepeatable, match=why):
        as_trained(LOOP, version(**known))


def test_the_weights_decide_and_other_files_are_named() -> None:
    made = version()
    same = same_bytes(made, version())
    assert same is not None
    assert (same.outcome, same.sentence) == (
        Outcome.REPRODUCED, f"the adapter has the same bytes, and so has every other file of version {made.digest[:12]}"
    )  # fmt: skip
    config = version(files={**made.files, "adapter/adapter_config.json": "d" * 64, "merged/new.json": "e" * 64})
    assert differing_files(made, config) == ["adapter/adapter_config.json", "merged/new.json"]
    other = same_bytes(made, config)
    assert other is not None
    assert other.sentence.endswith("other files differ: adapter/adapter_config.json, merged/new.json")
    assert same_bytes(made, version(files={**made.files, "adapter/adapter_model.safetensors": "f" * 64})) is None
    full = version(kind="full", files={"merged/model.safetensors": "c" * 64})
    assert weights_of(full) == {"merged/model.safetensors": "c" * 64}
    assert same_bytes(full, version(kind="full", files={"merged/model.safetensors": "d" * 64})) is None


def scores(right: list[int], conversation: str | None = None) -> list[Score]:
    return [
        Score(id=str(n), slice="golden", exact=bool(each), fields=float(each), valid=True, conversation=conversation)
        for n, each in enumerate(right)
    ]


@pytest.mark.parametrize(
    ("before", "now", "margin", "outcome"),
    [
        ([1] * 200, [1] * 200, 0.05, Outcome.REPRODUCED),
        ([1] * 50, [1] * 50, 0.05, Outcome.NOT_ENOUGH_DATA),  # fifty rows exclude no difference of 5 points
        ([1] * 200, [1] * 100 + [0] * 100, 0.05, Outcome.DIFFERENT),
        ([0] * 100 + [1] * 100, [1] * 200, 0.05, Outcome.DIFFERENT),  # better is different, too
        ([1, 0] * 500, [0, 1] * 500, 0.15, Outcome.REPRODUCED),  # other rows, as many
        ([1] * 200, [1] * 100 + [0] * 100, 1.0, Outcome.REPRODUCED),
    ],
)
def test_scores_are_the_same_if_their_interval_is_within_the_margin(before, now, margin, outcome) -> None:
    found = same_scores(scores(before), scores(now), margin)
    assert found.outcome is outcome, found.sentence
    gains = [float(b - a) for a, b in zip(before, now, strict=True)]
    assert found.interval == (mean_lower_bound(gains, 0.975, -1.0), mean_upper_bound(gains, 0.975, 1.0))


def test_answers_of_one_conversation_count_once() -> None:
    assert "1 conversation of 300 answers" in same_scores(scores([1] * 300, "c1"), scores([1] * 300, "c1"), 0.05).sentence
    assert same_scores(scores([1] * 300, "c1"), scores([1] * 300, "c1"), 0.05).outcome is Outcome.NOT_ENOUGH_DATA


def test_other_rows_are_not_compared_and_none_tell_nothing() -> None:
    with pytest.raises(ValueError, match="same rows"):
        same_scores(scores([1, 1]), scores([1]), 0.05)
    assert same_scores([], [], 0.05).outcome is Outcome.NOT_ENOUGH_DATA


def test_changes_of_the_environment_are_named() -> None:
    assert changes({"torch": "2.1", "gpu": "none"}, {"torch": "2.2", "gpu": "none", "trl": "1"}) == [
        "torch: 2.1, now 2.2",
        "trl: none, now 1",
    ]
    assert changes({}, {"torch": "2.2"}) == []
