"""Whether queries are new to the model in production: novelty calibrated to a false-alarm budget, and what else moved."""

from ftassets.domain.drift.budget import alarm_rate, reports_until
from ftassets.domain.drift.comparison import (
    Comparison,
    DriftVerdict,
    MovedCluster,
    Statistic,
    by_fixed_rule,
    compare,
    not_enough_data,
    novelty_statistics,
    novelty_thresholds,
)
from ftassets.domain.drift.explanation import Explanation, MovedTopic, NewTopic, explain
from ftassets.domain.drift.origin import DriftOrigin, input_or_output
from ftassets.domain.drift.reference import Reference, build_reference, same_space
from ftassets.domain.drift.sensitivity import PRESETS, Power, PresetRate, power, preset_false_alarm_rates, smallest_share
from ftassets.domain.drift.text import text_statistics

__all__ = [
    "PRESETS",
    "Comparison",
    "DriftOrigin",
    "DriftVerdict",
    "Explanation",
    "MovedCluster",
    "MovedTopic",
    "NewTopic",
    "Power",
    "PresetRate",
    "Reference",
    "Statistic",
    "alarm_rate",
    "build_reference",
    "by_fixed_rule",
    "compare",
    "explain",
    "input_or_output",
    "not_enough_data",
    "novelty_statistics",
    "novelty_thresholds",
    "power",
    "preset_false_alarm_rates",
    "reports_until",
    "same_space",
    "smallest_share",
    "text_statistics",
]
