"""One table of report kinds: complete, and each entry has its format, its asset and its metrics."""

from typing import get_args

from ftassets.domain.formats import KINDS
from ftassets.domain.report_kinds import REPORT_KINDS, Name
from ftassets.gateway.prometheus import FAMILIES


def test_every_name_has_one_entry() -> None:
    assert sorted(REPORT_KINDS) == sorted(get_args(Name))


def test_every_kind_has_a_format_and_is_stored_under_its_name() -> None:
    for name, kind in REPORT_KINDS.items():
        assert KINDS[kind.format].place.startswith(f"`reports/LOOP/{name}-DIGEST.json`")


def test_the_metrics_of_each_kind_are_described() -> None:
    named = [metric for kind in REPORT_KINDS.values() for metric in kind.metrics or ()]
    assert len(named) == len(set(named))
    assert {FAMILIES[metric].type for metric in named} == {"gauge"}
