"""Which answers decline."""

import pytest

from ftassets.domain.refusal import refused


@pytest.mark.parametrize(
    ("text", "declines"),
    [
        ("I'm sorry, I can't do that.", True),
        ("I\N{RIGHT SINGLE QUOTATION MARK}m unable to open the garage.", True),
        ("As an AI, I have no garage.", True),
        ('{"intent": "StartTimer", "minutes": 5}', False),
        ("Your order is on its way." + " It comes soon." * 20 + " I cannot say when.", False),
        ("", True),
    ],
)
def test_refusals_show_at_the_beginning(text: str, declines: bool) -> None:
    assert refused(text) is declines
