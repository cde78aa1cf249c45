from datetime import UTC, datetime
from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.usage import close, read_usage, tidy, write_at_work
from ftassets.domain.spending.usage import SILENCE, Usage, UsageEntry, total
from ftassets.errors import StateDamaged

EVER = (0.0, 4e9)
NOV, DEC = (datetime(2026, month, 1, tzinfo=UTC).timestamp() for month in (11, 12))


@pytest.fixture
def control(tmp_path: Path) -> FilesControl:
    return FilesControl(tmp_path)


def entry(name: str, at: float = NOV, cpu: float = 1.0, **known: object) -> UsageEntry:
    settings = {"loop": "support", "run_id": "run", "node": "adapter", "for_release": True, "at": at, "until": at + cpu} | known
    return UsageEntry.model_validate({"id": name, "usage": Usage(cpu_seconds=cpu), **settings})


def test_what_is_over_is_in_the_log_of_its_month_and_only_there(control: FilesControl, tmp_path: Path) -> None:
    over = entry("a", ended="done")
    write_at_work(control, entry("a", cpu=0.5))
    assert read_usage(control, "support", *EVER) == [entry("a", cpu=0.5)]
    close(control, over)
    assert read_usage(control, "support", *EVER) == [over]
    assert (tmp_path / "usage/support/2026-11.jsonl").read_bytes().count(b"\n") == 1
    assert control.names("usage/support/at_work") == []
    assert read_usage(control, "other", *EVER) == []


def test_an_entry_counts_once_when_a_kill_left_it_in_both_places(control: FilesControl) -> None:
    over = entry("a", cpu=2.0, ended="failed")
    close(control, over)
    write_at_work(control, entry("a", cpu=1.0))
    assert read_usage(control, "support", *EVER) == [over]


def test_what_a_killed_process_had_used_counts_and_goes_into_the_log_after_a_while(control: FilesControl) -> None:
    killed = entry("a", cpu=30.0)
    write_at_work(control, killed)
    tidy(control, "support", killed.until + 60)
    assert control.names("usage/support/at_work") == ["a.json"]
    assert killed.at_work(killed.until + SILENCE - 1)
    assert not killed.at_work(killed.until + SILENCE)
    tidy(control, "support", killed.until + 3601)
    assert control.names("usage/support/at_work") == []
    assert total(read_usage(control, "support", *EVER)).cpu_seconds == 30.0
    close(control, entry("a", cpu=31.0, ended="done"))  # its machine was only asleep
    assert total(read_usage(control, "support", *EVER)).cpu_seconds == 31.0


def test_a_month_is_read_without_the_others(control: FilesControl, tmp_path: Path) -> None:
    for number, at in enumerate((NOV - 1, NOV, DEC - 1, DEC)):
        close(control, entry(str(number), at=at, ended="done"))
    assert [each.id for each in read_usage(control, "support", NOV, DEC)] == ["1", "2"]
    (tmp_path / "usage/support/2026-10.jsonl").write_bytes(b"damaged\n")
    assert [each.id for each in read_usage(control, "support", NOV, DEC)] == ["1", "2"]
    with pytest.raises(StateDamaged, match=r"2026-10\.jsonl, line 1.*restore it"):
        read_usage(control, "support", NOV - 1, DEC)
