from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ftassets.backends.control.clients import KEY, change_clients, fresh_key, read_clients
from ftassets.backends.control.files import FilesControl
from ftassets.domain.clients import ClientKeys, new_key
from ftassets.errors import StateDamaged


def test_what_was_changed_is_read_and_no_change_is_lost(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    assert read_clients(control) == ClientKeys()

    def add(number: int) -> None:
        change_clients(control, lambda keys: keys.added(new_key(f"c{number}", f"k{number}", 0.0), 0.0))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert {key.name for key in read_clients(control).keys} == {f"c{number}" for number in range(24)}


def test_what_cannot_be_read_is_no_empty_list(tmp_path: Path) -> None:
    control = FilesControl(tmp_path)
    control.write(KEY, b"{")
    with pytest.raises(StateDamaged, match="the clients' keys cannot be read"):
        read_clients(control)


def test_keys_are_long_and_never_the_same() -> None:
    keys = {fresh_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("fta_") and len(key) >= 47 for key in keys)
