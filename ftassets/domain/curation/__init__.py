"""From raw examples to a training set, step by step; `pipeline.STEPS` has the order."""

from ftassets.domain.curation.pipeline import Curated, StepReport, curate
from ftassets.domain.curation.size import Preflight, SizeVerdict, preflight
from ftassets.domain.curation.split import SPLITS
from ftassets.domain.curation.step import FEEDBACK
from ftassets.domain.curation.text import normalised

__all__ = ["FEEDBACK", "SPLITS", "Curated", "Preflight", "SizeVerdict", "StepReport", "curate", "normalised", "preflight"]
