"""From raw examples to a training set, step by step; `pipeline.STEPS` has the order."""

from ftassets.domain.dataset.curation.pipeline import Curated, StepReport, curate
from ftassets.domain.dataset.curation.size import Preflight, SizeVerdict, preflight
from ftassets.domain.dataset.curation.split import SPLITS, splits_of
from ftassets.domain.dataset.curation.step import FEEDBACK
from ftassets.domain.dataset.curation.text import normalised

__all__ = ["FEEDBACK", "SPLITS", "Curated", "Preflight", "SizeVerdict", "StepReport", "curate", "normalised", "preflight", "splits_of"]
