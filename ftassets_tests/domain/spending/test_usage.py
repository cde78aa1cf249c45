from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.spending.usage import Usage, UsageEntry, total

_usages = st.builds(
    Usage,
    cpu_seconds=st.integers(0, 10**6).map(float),
    gpu_seconds=st.integers(0, 10**6).map(float),
    tokens_trained=st.integers(0, 10**9),
    api_tokens_in=st.integers(0, 10**9),
)


@given(st.lists(_usages))
def test_a_total_is_the_sum_of_each_field(usages: list[Usage]) -> None:
    entries = [
        UsageEntry(id=str(n), loop="l", run_id="r", node="adapter", for_release=True, at=0, until=1, usage=usage)
        for n, usage in enumerate(usages)
    ]
    for name in Usage.model_fields:
        assert getattr(total(entries), name) == sum(getattr(usage, name) for usage in usages)
