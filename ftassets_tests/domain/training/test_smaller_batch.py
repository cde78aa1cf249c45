import pytest

from ftassets.config.loop import Train
from ftassets.domain.training.smaller_batch import smaller_batch


@pytest.mark.parametrize(
    ("batch", "accumulation", "smaller"), [(8, 1, (4, 2)), (4, 4, (2, 8)), (6, 2, (3, 4)), (3, 2, None), (1, 16, None)]
)
def test_a_smaller_batch_makes_the_same_steps(batch, accumulation, smaller):
    before = Train(batch_size=batch, gradient_accumulation_steps=accumulation, learning_rate=0.1)
    after = smaller_batch(before)
    assert (after and (after.batch_size, after.gradient_accumulation_steps)) == smaller
    if after:
        changed = {"batch_size", "gradient_accumulation_steps"}
        assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
