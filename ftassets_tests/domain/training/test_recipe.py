from ftassets.config.loop import Task, Train
from ftassets.domain.training.recipe import recipe, same_steps

TASK = Task(system_prompt="Answer as JSON.")


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
