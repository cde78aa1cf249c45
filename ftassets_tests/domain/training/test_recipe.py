from ftassets.config.loop import Task, Train
from ftassets.domain.training.recipe import recipe, same_steps

TASK = Task(system_prompt="Answer as JSON.")


def test_where_it_is_trained_is_no_part_of_a_recipe():
    ray = Train(ray={"address": "ray://head:10001", "workers": 2})
    assert recipe(Task(system_prompt=""), ray, None) == recipe(Task(system_prompt=""), Train(), None)


def test_a_preset_is_known_by_what_it_set_and_checkpoints_change_nothing():
    written_out = Train(gradient_accumulation_steps=8, eval_steps=50)
    assert recipe(TASK, Train(preset="lora_steps"), "a" * 64) == recipe(TASK, written_out, "a" * 64)
    assert recipe(TASK, written_out, None)["system_prompt"] == "Answer as JSON."
    assert recipe(TASK, written_out, None) != recipe(TASK, written_out, "a" * 64)


def test_a_step_is_the_same_in_however_many_passes():
    assert same_steps(TASK, Train(batch_size=8, gradient_accumulation_steps=1), None) == same_steps(
        TASK, Train(batch_size=2, gradient_accumulation_steps=4), None
    )
    assert same_steps(TASK, Train(batch_size=8, gradient_accumulation_steps=1), None) != same_steps(TASK, Train(batch_size=4), None)
    assert same_steps(TASK, Train(seed=1), None) != same_steps(TASK, Train(seed=2), None)


def test_what_a_method_does_not_read_and_weights_that_all_are_one_are_not_part_of_it():
    assert "lora_r" not in recipe(TASK, Train(method="full"), None)
    assert "prefix_tokens" not in recipe(TASK, Train(), None)
    assert "class_weights" not in recipe(TASK, Train(), None)
    assert recipe(TASK, Train(class_weights="balanced"), None)["class_weights"] == "balanced"
    assert same_steps(TASK, Train(class_weights="balanced"), None) != same_steps(TASK, Train(), None)
    assert recipe(TASK, Train(max_time=60, max_left_out=0.5), None) == recipe(TASK, Train(), None)
