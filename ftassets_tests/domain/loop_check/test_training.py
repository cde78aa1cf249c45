from typing import Any

import pytest

from ftassets.config.loop import TRAIN_PRESETS, Align, LoopConfig, Train
from ftassets.domain.loop_check.training import impossible, unusual, unusual_alignment


def loop(**train: Any) -> LoopConfig:
    settings = {"name": "l", "base_model": "b", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}}
    return LoopConfig.model_validate({**settings, "train": train, "gates": [{"metric": "exact_match", "at_least": 0.5}]})


def fields(**train: Any) -> list[str]:
    return [str(found.field[1]) for found in unusual(loop(**train))]


@pytest.mark.parametrize("preset", TRAIN_PRESETS)
def test_no_preset_is_unusual(preset):
    assert fields(preset=preset) == []


@pytest.mark.parametrize(
    ("train", "found"),
    [
        ({"learning_rate": 1e-3}, ["learning_rate"]),
        ({"learning_rate": 1e-6}, ["learning_rate"]),
        ({"learning_rate": 2e-4, "epochs": 5, "lora_r": 64, "lora_alpha": 128}, []),
        ({"epochs": 6}, ["epochs"]),
        ({"lora_r": 128, "lora_alpha": 128}, ["lora_r"]),
        ({"lora_r": 64, "lora_alpha": 16}, ["lora_alpha"]),
        ({"lora_r": 64, "lora_alpha": 16, "use_rslora": True}, []),
        ({"warmup_ratio": 0.2}, ["warmup_ratio"]),
        ({"batch_size": 1, "gradient_accumulation_steps": 2}, ["batch_size"]),
        ({"batch_size": 2, "gradient_accumulation_steps": 16}, []),
        ({"preset": "lora_without_regret", "learning_rate": 1e-3}, ["learning_rate"]),
    ],
)
def test_what_fine_tuning_rarely_takes_is_warned_about(train, found):
    assert fields(**train) == found


def test_a_preset_fills_in_what_is_left_out():
    assert Train(preset="lora_steps", save_steps=7).model_dump(include={"gradient_accumulation_steps", "eval_steps", "save_steps"}) == {
        "gradient_accumulation_steps": 8, "eval_steps": 50, "save_steps": 7,
    }  # fmt: skip
    default = Train()
    assert (default.lora_r, default.lora_alpha, default.lora_dropout, default.learning_rate) == (16, 32, 0.05, 2e-4)
    assert Train.model_validate(Train(preset="lora_attention").model_dump()).target_modules == "attention"


def test_early_stopping_needs_validation_rows():
    [found] = impossible(loop(early_stopping_patience=2), 0)
    assert (found.severity, found.field) == ("error", ("train", "early_stopping_patience"))
    assert not [*impossible(loop(early_stopping_patience=2), 1), *impossible(loop(), 0)]


def test_each_method_has_its_own_range_and_is_not_told_of_settings_it_does_not_read():
    assert fields(method="full") == fields(method="prefix") == []
    assert fields(method="full", learning_rate=2e-4) == ["learning_rate"]
    assert fields(method="prefix", learning_rate=2e-4) == ["learning_rate"]
    assert fields(method="full", lora_r=300) == []


def aligned(rows: int | None = None, **align: Any) -> list[str]:
    of = loop().model_copy(update={"align": Align.model_validate({"method": "dpo", **align})})
    return [f"{found.kind} {'.'.join(map(str, found.field))}".strip() for found in unusual_alignment(of, rows)]


@pytest.mark.parametrize(
    ("align", "found"),
    [
        ({}, []),
        ({"learning_rate": 5e-5, "beta": 0.3, "epochs": 2, "batch_size": 8}, []),
        ({"learning_rate": 2e-3}, ["unusual_training align.learning_rate"]),
        ({"beta": 2}, ["unusual_training align.beta"]),
        ({"epochs": 10}, ["unusual_training align.epochs"]),
        ({"min_rows": 20}, ["unusual_training align.min_rows"]),
    ],
)
def test_what_training_on_preferences_rarely_takes_is_warned_about(align, found):
    assert aligned(**align) == found


def test_a_dataset_that_can_never_prove_the_score_is_told_before_a_run():
    assert aligned(100) == ["align_proves_nothing align"]
    assert aligned(200) == aligned(100, margin=0.05) == aligned(None) == []


def test_a_loop_without_align_is_told_nothing_of_it():
    assert not list(unusual_alignment(loop(), 0))


@pytest.mark.parametrize("method", ["full", "prefix"])
def test_only_an_adapter_that_can_be_its_own_reference_is_trained_on(method):
    settings: dict[str, Any] = {"name": "l", "base_model": "b", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}}
    settings |= {"gates": [{"metric": "exact_match", "at_least": 0.5}], "train": {"method": method}, "align": {"method": "dpo"}}
    with pytest.raises(ValueError, match=f"align trains a LoRA adapter further, and train.method is {method}"):
        LoopConfig.model_validate(settings)


def test_kto_needs_other_answers_in_its_batch():
    with pytest.raises(ValueError, match="set batch_size to 2 or more"):
        Align.model_validate({"method": "kto", "batch_size": 1})
