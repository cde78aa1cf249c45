"""A sample by ids: uniform, nested, and lowered in time."""

from scipy.stats import binomtest, kstest

from ftassets.domain.drift.vector_sample import drawn, in_words, share_for

IDS = [f"chatcmpl-{number:032x}" for number in range(20_000)]


def test_the_sample_is_uniform_whatever_ids_look_like() -> None:
    for share in (0.05, 0.5, 0.9):
        places = [place for place, each in enumerate(IDS) if drawn(each, share)]
        assert binomtest(len(places), len(IDS), share).pvalue > 1e-3
        assert kstest([place / len(IDS) for place in places], "uniform").pvalue > 1e-3
    assert all(drawn(each, 1.0) for each in IDS)
    assert not any(drawn(each, 0.0) for each in IDS)


def test_a_smaller_share_keeps_a_part_of_what_a_larger_one_kept() -> None:
    assert {each for each in IDS if drawn(each, 0.2)} < {each for each in IDS if drawn(each, 0.3)}


def test_the_share_is_lowered_with_room_and_only_when_there_are_too_many() -> None:
    assert share_for(1.0, 20_000, 20_000) == 1.0
    assert share_for(1.0, 50_000, 20_000) == 0.3
    assert share_for(0.3, 25_000, 20_000) == 0.3 * 0.6
    share = 1.0
    for total in range(0, 1_000_000, 2000):  # each page of a log that grows
        share = share_for(share, int(total * share), 20_000)
        assert int(total * share) <= 20_000
    assert share * total > 0.7 * 20_000
    assert in_words(0.015) == "1.5% of requests have a vector, a uniform sample by their ids"
