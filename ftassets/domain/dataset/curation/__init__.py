"""From raw examples to a training set, step by step; `pipeline.STEPS` has the order."""

from ftassets.domain.dataset.curation.conflicts import Conflict
from ftassets.domain.dataset.curation.pipeline import Curated, StepReport, conflicts, curate
from ftassets.domain.dataset.curation.size import Preflight, SizeVerdict, preflight
from ftassets.domain.dataset.curation.split import SPLITS, splits_of
from ftassets.domain.dataset.curation.step import FEEDBACK
from ftassets.domain.dataset.curation.text import normalised

__all__ = [
    "FEEDBACK",
    "SPLITS",
    "Conflict",
    "Curated",
    "Preflight",
    "SizeVerdict",
    "StepReport",
    "conflicts",
    "curate",
    "normalised",
    "preflight",
    "splits_of",
]
