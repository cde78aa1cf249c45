"""From seconds and tokens to dollars: what has no price makes a sum unknown, and never counts as 0."""

from dataclasses import dataclass

from ftassets.config.loop import Prices
from ftassets.domain.spending.usage import Usage
from ftassets.wording import amount

HOUR = 3600.0
MILLION = 1e6


@dataclass(frozen=True)
class Cost:
    """US dollars of what has a price, and what was used without one, in words."""

    priced_usd: float
    not_priced: tuple[str, ...] = ()

    @property
    def usd(self) -> float | None:
        """The whole in US dollars; None if a part of it has no price."""
        return None if self.not_priced else self.priced_usd

    @property
    def sentence(self) -> str:
        """For people."""
        missing = ", ".join(self.not_priced)
        if not missing:
            return f"{dollars(self.priced_usd)}"
        return f"{dollars(self.priced_usd)} and, not priced, {missing}" if self.priced_usd else f"not priced: {missing}"


def cost_of(usage: Usage, prices: Prices) -> Cost:
    """What this usage costs: hours and millions of tokens times their price each."""
    free = prices.usd_per_million_run_tokens_in == prices.usd_per_million_run_tokens_out == 0
    used: list[tuple[float, float | None, str]] = [
        (usage.cpu_seconds / HOUR, prices.usd_per_cpu_hour, f"{usage.cpu_seconds:,.0f} CPU seconds"),
        (usage.gpu_seconds / HOUR, prices.usd_per_gpu_hour, f"{usage.gpu_seconds:,.0f} GPU seconds"),
        (usage.api_tokens_in / MILLION, prices.usd_per_million_run_tokens_in, f"{amount(usage.api_tokens_in, 'token')} sent to endpoints"),
        (
            usage.api_tokens_out / MILLION,
            prices.usd_per_million_run_tokens_out,
            f"{amount(usage.api_tokens_out, 'token')} of their answers",
        ),
        (
            usage.api_answers_uncounted,
            0.0 if free else None,
            f"{amount(usage.api_answers_uncounted, 'answer')} of endpoints that count no tokens",
        ),
    ]
    return Cost(
        sum(size * price for size, price, _ in used if price is not None),
        tuple(words for size, price, words in used if size and price is None),
    )


def dollars(usd: float) -> str:
    """An amount with so many digits that a small one does not look like nothing."""
    if usd and abs(usd) < 0.01:
        return f"{usd:.2g} USD"
    return f"{usd:,.2f} USD"
