"""The shadow ledger keeps its order."""

from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.shadow import add_shadow, read_shadow
from ftassets.domain.shadow import ShadowRetrain


def test_retrains_are_kept_in_their_order_by_loop(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    made = [ShadowRetrain(at=float(n), trigger="drift", reason="why", new_labels=n, labels_commit="c") for n in range(3)]
    for each in made:
        add_shadow(control, "support", each)
    assert (read_shadow(control, "support"), read_shadow(control, "other")) == (made, [])
    control.append("shadow/support.jsonl", b"{}")
    with pytest.raises(ValueError, match="Field required"):
        read_shadow(control, "support")
