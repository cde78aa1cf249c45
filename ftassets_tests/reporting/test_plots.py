"""Plots are small PNGs whatever they are given."""

import base64
import io

import pytest
from matplotlib.image import imread

from ftassets.reporting.plots import rollout_plot

WEIGHTS = [(1000.0, 5), (1300.0, 20), (1600.0, 0)]
ERRORS = [(1000.0 + 60 * n, 0.01 * n, 0.02 + 0.01 * n, 0.005, 0.2 * n) for n in range(10)]


@pytest.mark.parametrize(
    ("weights", "guardrails"),
    [
        (WEIGHTS, {}),
        (WEIGHTS[:1], {}),
        (WEIGHTS, {"errors": ERRORS, "form": [(1100.0, None, None, 0.02, 0.001)], "latency": []}),
        ([(0.0, 5), (8e5, 20)], {"errors": ERRORS[:1]}),
    ],
)
def test_a_rollout_is_drawn(weights, guardrails):
    image = rollout_plot(weights, guardrails)
    data = base64.b64decode(image.partition("base64,")[2].removesuffix(")"))
    pixels = imread(io.BytesIO(data))
    assert pixels.shape[1] == 800
    assert pixels.shape[0] == pytest.approx(100 * (2.2 + 1.1 * len(guardrails)), abs=1)
    assert len(data) < 100_000
