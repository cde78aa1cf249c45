"""The blocking checks of a version, from its manifest alone."""

import math
from typing import Any

import pytest

from ftassets.domain.acceptance import refusals
from ftassets.domain.release.version import ADAPTER, FULL, VersionManifest, wanted_parts
from ftassets.domain.training.acceptance import BLOCKING, COMPLETE, LEARNED, version_checks

PARTS = wanted_parts(ADAPTER)


def manifest(first: float | None = 2.0, last: float | None = 1.0, parent: str | None = None, **changes: Any) -> VersionManifest:
    metrics = {name: value for name, value in (("first_loss", first), ("last_loss", last)) if value is not None}
    stated: dict[str, Any] = {"files": dict.fromkeys(PARTS, "0" * 64), "recipe": {"start_from": parent}, "metrics": metrics, **changes}
    return VersionManifest(base_model="b", tokenizer_digest=None, generation={}, **{"kind": ADAPTER, **stated})


@pytest.mark.parametrize(
    ("first", "last", "parent", "passed"),
    [
        (2.0, 1.9, None, True),
        (2.0, 2.0, None, False),
        (1.0, 2.0, "p", True),
        (1.0, 2.1, "p", False),
        (1.0, 1.1, None, False),
        (math.nan, 1.0, "p", False),
        (1.0, math.nan, "p", False),
        (None, 1.0, None, False),
        (1.0, None, None, False),
    ],
)
def test_the_loss_must_fall_or_stay_near_a_low_start(first: float | None, last: float | None, parent: str | None, passed: bool) -> None:
    assert version_checks(manifest(first, last, parent))[LEARNED].passed is passed


@pytest.mark.parametrize("gone", PARTS)
def test_a_missing_part_refuses_the_version(gone: str) -> None:
    files = {name: "0" * 64 for name in PARTS if name != gone}
    assert refusals(version_checks(manifest(files=files)), BLOCKING) == {COMPLETE: f"missing: {gone}"}


def test_every_blocking_check_is_decided() -> None:
    checks = version_checks(manifest())
    assert set(checks) == set(BLOCKING)
    assert refusals(checks, BLOCKING) == {}
    assert checks[LEARNED].sentence == "loss 2.000 at the start, 1.000 at the end"


def test_a_version_all_of_whose_weights_were_trained_has_no_adapter() -> None:
    whole = manifest(kind=FULL, files={"merged/config.json": "0" * 64})
    assert refusals(version_checks(whole), BLOCKING) == {}
    assert refusals(version_checks(manifest(kind=FULL, files={})), BLOCKING) == {COMPLETE: "missing: merged/config.json"}
