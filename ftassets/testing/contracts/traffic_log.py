"""What every traffic log must do."""

import contextlib
import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from functools import partial
from itertools import count, islice
from multiprocessing.connection import Connection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftassets.backends.traffic_log.base import (
    PAGE,
    Ended,
    Exchange,
    Feedback,
    FeedbackCounts,
    FirstLapse,
    Lapse,
    LapseCounts,
    Limits,
    Outcomes,
    Pair,
    PairCounts,
    PairLapse,
    Reviewed,
    ServedMinute,
    ShadowAnswer,
    ShadowCounts,
    TrafficLog,
    UnknownAnswer,
)
from ftassets.domain.traffic.exchange import ByUser
from ftassets.domain.traffic.feedback import added_up
from ftassets.domain.traffic.lapses import OF_ANSWER
from ftassets.domain.traffic.retention import DAY
from ftassets.errors import InvalidInput

OpenLog = Callable[[], TrafficLog]
SPAWN = multiprocessing.get_context("spawn")


def exchange(number: int, loop: str = "voice", **changes: object) -> Exchange:
    fixed = Exchange(
        id=f"{loop}-{number}",
        loop=loop,
        version="v1",
        user="u",
        prompt="lights on",
        messages='[{"role": "user"}]',
        answer='{"intent": "on"}',
        status=200,
        at=float(number),
        latency_ms=12.5,
        first_token_ms=3.25,
        tokens_in=7,
        tokens_out=9,
        weight=5.0,
        client=None if number % 2 else "web",
    )
    return replace(fixed, **changes)  # type: ignore[arg-type]


TEXTS = ["\x00", "\x00\x01\x010\x011", "\\u0000 \\", '{"a": "\\ud83d"}', "\U0001f4a1\U0001f468\u200d\U0001f469", "NULL", "{}", ""]


def shadow_answer(number: int, loop: str = "voice", **changes: object) -> ShadowAnswer:
    """What version `v2` answered to the copy of `exchange(number, loop)`, and `v1` as well."""
    fixed = ShadowAnswer(
        request_id=f"{loop}-{number}",
        loop=loop,
        version="v2",
        production="v1",
        user="u",
        at=float(number),
        status=200,
        latency_ms=14.5,
        first_token_ms=4.25,
        tokens_in=7,
        tokens_out=10,
        well_formed=True,
        refused=False,
        production_status=200,
        production_latency_ms=12.5,
        production_first_token_ms=3.25,
        production_tokens_out=9,
        production_well_formed=True,
        production_refused=False,
        agrees=True,
        answer='{"intent": "on"}',
        error=None,
    )
    return replace(fixed, **changes)  # type: ignore[arg-type]


# few values each, so that times, versions and feedback collide
_TIMES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0])
_EXCHANGES = st.lists(
    st.fixed_dictionaries(
        {
            "at": _TIMES,
            "version": st.sampled_from(["v1", "v2", "v3"]),
            "status": st.sampled_from([200, 200, 200, 400, 499, 500]),
            "weight": st.sampled_from([5.0, 95.0, 100.0]),
            "well_formed": st.sampled_from([True, True, False, False, None]),
            "error": st.sampled_from([None, None, "explained"]),
            "user": st.sampled_from(["", "u1", "u2"]),
            "latency_ms": st.sampled_from([10.0, 20.0]),
            "first_token_ms": st.sampled_from([None, 5.0, 6.0]),
            "tokens_out": st.sampled_from([None, 9, 10]),
            "refused": st.sampled_from([True, False, None]),
            "other_language": st.sampled_from([True, False, None]),
        }
    ),
    max_size=12,
)
_FEEDBACK = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from([0.0, 1.0, 2.0, 4.0]),
        st.sampled_from(["up", "down", None]),
        st.sampled_from(["x", "X\x00", "\u00e9", "", None]),
    ),
    max_size=15,
)
_SHADOW = st.lists(
    st.fixed_dictionaries(
        {
            "at": _TIMES,
            "version": st.sampled_from(["v2", "v2", "v2", "v3"]),
            "production": st.sampled_from(["v1", "v1", "v1", "v3"]),
            "user": st.sampled_from(["", "u1", "u2"]),
            "status": st.sampled_from([200, 200, 200, 400, 500]),
            "latency_ms": st.sampled_from([10.0, 20.0]),
            "first_token_ms": st.sampled_from([None, 5.0, 6.0]),
            "tokens_out": st.sampled_from([None, 9, 10]),
            "well_formed": st.sampled_from([True, False, None]),
            "refused": st.sampled_from([True, False, None]),
            "other_language": st.sampled_from([True, False, None]),
            "production_other_language": st.sampled_from([True, False, None]),
            "production_status": st.sampled_from([200, 200, 500]),
            "production_latency_ms": st.sampled_from([10.0, 20.0]),
            "production_first_token_ms": st.sampled_from([None, 5.0, 6.0]),
            "production_tokens_out": st.sampled_from([None, 9, 10]),
            "production_well_formed": st.sampled_from([True, False, None]),
            "production_refused": st.sampled_from([True, False, None]),
            "agrees": st.sampled_from([True, False, None]),
        }
    ),
    max_size=12,
)
_NAMES = count()


def moment(log: TrafficLog) -> float:
    """A time by the log's own clock that is after all that was stored, and before all that will be."""
    name = f"moment {next(_NAMES)}"
    time.sleep(0.002)
    log.append([exchange(0, loop=name)])
    [found] = log.arrivals(name)
    time.sleep(0.002)
    return found.stored_at


class _Reference:
    """What a log must answer, found by reading every row."""

    def __init__(self, rows: list[Exchange], feedback: list[Feedback]) -> None:
        self.rows = sorted(rows, key=lambda row: row.at)  # a stable sort: rows of one time in the order of their arrival
        self.said = added_up(dict.fromkeys(feedback))  # what is repeated is stored once
        self.events = feedback

    def window(self, since: float, until: float, version: str | None = None, answered: bool = False) -> list[Exchange]:
        return [
            row for row in self.rows if since <= row.at < until and version in (None, row.version) and (row.status == 200 or not answered)
        ]

    def feedback(self, rows: list[Exchange]) -> list[Feedback]:
        return [self.said[row.id] for row in rows if row.id in self.said]

    def corrected(self, known: int, rows: list[Exchange]) -> set[str]:
        """Ids of the rows with another correction than the first `known` pieces of feedback gave."""
        before, new = added_up(dict.fromkeys(self.events[:known])), {each.request_id for each in self.events[known:] if each.correction}
        return {
            each.request_id
            for each in self.feedback(rows)
            if each.request_id in new and (each.request_id not in before or before[each.request_id].correction != each.correction)
        }

    def by_user(self, values: list[tuple[Exchange, bool]]) -> ByUser:
        shares: dict[str, list[bool]] = {}
        for row, good in values:
            shares.setdefault(row.user or f"request {row.id}", []).append(good)
        return ByUser(len(shares), sum(sum(each) / len(each) for each in shares.values()))

    def outcomes(self, rows: list[Exchange]) -> Counter[tuple[str, float, int, bool | None]]:
        return Counter((row.version, row.weight, row.status, self.form(row)) for row in rows)

    @staticmethod
    def form(row: Exchange) -> bool | None:
        return None if row.status == 200 and row.well_formed is False and row.error is not None else row.well_formed

    def outcome(self, row: Exchange) -> Outcomes:
        return Outcomes(row.version, row.weight, row.status, self.form(row), 1)

    def ended(self, row: Exchange) -> Ended:
        form = self.form(row) if row.status == 200 else None
        malformed, told = None if form is None else not form, (row.refused, row.other_language)
        return Ended(row.user, row.status, malformed, row.latency_ms, row.first_token_ms, row.tokens_out, *told)

    def lapsed(self, row: Exchange, lapse: Lapse, limits: Limits) -> bool | None:
        if lapse in OF_ANSWER:
            return self.ended(row).lapsed(lapse, limits.get((row.version, lapse)))
        if row.id not in self.said:
            return None
        said = self.said[row.id]
        return said.rating == "down" if lapse is Lapse.THUMB_DOWN else said.correction is not None

    def lapse_counts(self, rows: list[Exchange], lapse: Lapse, limits: Limits, without: str) -> LapseCounts:
        values: dict[str, list[bool]] = {}
        for row in rows:
            if (lapsed := self.lapsed(row, lapse, limits)) is not None and (row.user != without or lapse not in OF_ANSWER):
                values.setdefault(row.user or f"request {row.id}", []).append(lapsed)
        n, x = [len(each) for each in values.values()], [sum(each) for each in values.values()]
        squares = sum(each * each for each in n), sum(each * each for each in x)
        product = sum(a * b for a, b in zip(n, x, strict=True))
        return LapseCounts(len(n), sum(n), sum(x), squares[0], squares[1], product, max(x, default=0))

    def first_lapses(self, since: float, window: float, pair: Pair) -> dict[tuple[Lapse, str, int], set[FirstLapse]]:
        """By kind, user and window: what a log may say of it, one of several for lapses at one time; without a user, all of it."""
        found: dict[tuple[Lapse, str, int], list[tuple[float, Exchange]]] = {}
        rows = {row.id: row for row in self.window(since, float("inf")) if row.version in (pair.candidate, pair.production)}
        for row in rows.values():
            for lapse in OF_ANSWER:
                if self.lapsed(row, lapse, pair.limits):
                    found.setdefault((lapse, row.user, int((row.at - since) / window)), []).append((row.at, row))
        for event in self.events:
            if row := rows.get(event.request_id):  # type: ignore[assignment]
                user, at = row.user or f"request {row.id}", max(event.at, since)
                for lapse, said in ((Lapse.THUMB_DOWN, event.rating == "down"), (Lapse.CORRECTED, bool(event.correction))):
                    if said:
                        found.setdefault((lapse, user, int((at - since) / window)), []).append((at, row))
        may: dict[tuple[Lapse, str, int], set[FirstLapse]] = {}
        for (lapse, user, number), lapses in found.items():
            first = min(at for at, _ in lapses)
            alike = Counter((row.version, row.weight) for at, row in lapses if at == first or not user)
            may[lapse, user, number] = {FirstLapse(lapse, *each, user, number, 1 if user else count) for each, count in alike.items()}
        return may


def pair_lapsed(row: ShadowAnswer, lapse: PairLapse, limits: Limits) -> tuple[bool, bool] | None:
    """Whether the candidate's and production's answer lapsed; None where that is not known of both."""
    if lapse is PairLapse.ERROR:
        return row.status != 200, row.production_status != 200
    told = {PairLapse.MALFORMED: "well_formed", PairLapse.REFUSED: "refused", PairLapse.OTHER_LANGUAGE: "other_language"}
    if lapse in told:
        values = getattr(row, told[lapse]), getattr(row, f"production_{told[lapse]}")
        bad = lapse is not PairLapse.MALFORMED
        return None if None in values else (values[0] is bad, values[1] is bad)
    limited = {PairLapse.SLOW: "latency_ms", PairLapse.LATE: "first_token_ms", PairLapse.LONG: "tokens_out"}[lapse]
    mine, theirs = getattr(row, limited), getattr(row, f"production_{limited}")
    most = [limits.get((version, Lapse(lapse.value))) for version in ("v2", "v1")]
    if None in (mine, theirs, *most) or (row.status, row.production_status) != (200, 200):
        return None
    return mine > most[0], theirs > most[1]


def write(open_log: OpenLog, name: str, batches: int, done: Connection) -> None:
    """Append batches of two rows, and say so after each one; runs in a process of its own."""
    log = open_log()
    for number in range(batches):
        log.append([exchange(number, id=f"{name}-{number}-{part}") for part in "ab"])
        done.send(number)


class TrafficLogContract:
    """Subclass it with a fixture `open_log`: a function that can be pickled and opens one log, new to the test, the same at each call."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError("a contract is run by a subclass with a fixture `open_log`")

    @pytest.fixture
    def log(self, open_log: OpenLog) -> TrafficLog:
        return open_log()

    def test_rows_come_back_as_they_went_in(self, log: TrafficLog) -> None:
        rows = [
            exchange(1),
            exchange(
                2,
                prompt="h\u00e9 \U0001f4a1 \x00 '; DROP TABLE",
                answer="",
                status=502,
                first_token_ms=None,
                tokens_in=None,
                tokens_out=None,
                error="upstream\nclosed",
            ),
        ]
        log.append(rows)
        assert log.exchanges("voice") == rows

    def test_text_of_users_comes_back_as_it_is(self, log: TrafficLog) -> None:
        rows = [
            exchange(n, id=f"{n} {text}", user=text, prompt=text, messages=text, answer=text, error=text) for n, text in enumerate(TEXTS)
        ]
        said = [Feedback(row.id, 1.0, row.prompt, row.prompt, row.prompt, row.prompt) for row in rows]
        log.append(rows)
        for feedback in said:
            log.add_feedback(feedback)
        silent = Feedback(rows[-1].id, 1.0, None, None)  # an empty text says nothing
        assert [(r.exchange, r.feedback) for r in log.reviewed("voice")] == list(zip(rows, [*said[:-1], silent], strict=True))
        assert log.forget("voice", TEXTS[0], [rows[1].id]) == [row.id for row in rows[:2]]
        assert (log.exchanges("voice"), log.forgotten(), log.append(rows)) == (rows[2:], {row.id for row in rows[:2]}, 0)

    def test_the_same_words_at_the_same_time_are_stored_once_however_many_add_them(self, log: TrafficLog) -> None:
        log.append([exchange(1), exchange(2)])
        said = [Feedback("voice-1", float(n), "up", "Off", None, "wrong") for n in range(3)]
        with ThreadPoolExecutor(4) as pool:
            new = list(pool.map(log.add_feedback, said * 4))
        assert sum(new) == 3
        assert sorted(log.feedback_events(["voice-1"])["voice-1"], key=lambda each: each.at) == said
        assert log.add_feedback(replace(said[0], comment="why"))
        assert log.add_feedback(replace(said[0], request_id="voice-2"))

    def test_names_of_loops_may_be_any_text(self, log: TrafficLog) -> None:
        for text in TEXTS:
            log.append([exchange(1, loop=text)])
            assert (log.exchanges(text), log.count(text)) == ([exchange(1, loop=text)], 1)

    def test_a_megabyte_of_text_comes_back_as_it_is(self, log: TrafficLog) -> None:
        row = exchange(1, answer="h\u00e9 \x00" * 200_000)
        log.append([row, exchange(2)])
        assert log.exchanges("voice", limit=1) == [row]

    def test_an_empty_log_answers(self, log: TrafficLog) -> None:
        log.append([])
        assert (log.exchanges("voice"), log.reviewed("voice"), log.count("voice")) == ([], [], 0)

    def test_an_id_is_stored_once_and_never_changed(self, log: TrafficLog) -> None:
        assert log.append([exchange(1)]) == 1
        assert log.append([exchange(1, answer="other"), exchange(2)]) == 1
        assert log.exchanges("voice") == [exchange(1), exchange(2)]

    def test_half_a_surrogate_pair_does_not_fail_its_batch(self, log: TrafficLog) -> None:
        log.append([exchange(1, prompt="a\ud83d"), exchange(2)])
        assert [e.prompt for e in log.exchanges("voice")] == ["a?", "lights on"]

    def test_windows_are_half_open_ordered_limited_and_per_loop(self, log: TrafficLog) -> None:
        log.append([exchange(n) for n in (4, 2, 3, 1)] + [exchange(2, loop="triage")])
        assert [e.at for e in log.exchanges("voice", since=2, until=4)] == [2, 3]
        assert [e.at for e in log.exchanges("voice", since=2, limit=2)] == [2, 3]
        assert [e.id for e in log.exchanges("triage")] == ["triage-2"]
        assert (log.count("voice"), log.count("voice", since=3), log.count("nobody")) == (4, 2, 0)

    def test_the_newest_request_of_a_loop_is_found_whoever_answered(self, log: TrafficLog) -> None:
        log.append([exchange(n, version=f"v{n}", status=500) for n in (2, 5, 3)] + [exchange(9, loop="triage")])
        assert [log.last_time("voice", until) for until in (2, 3, 5.5, float("inf"))] == [None, 2, 5, 5]
        assert log.last_time("nobody", 9) is None

    def test_a_check_writes_and_reads_back_and_leaves_nothing(self, log: TrafficLog) -> None:
        assert log.check()
        log.append([exchange(1)])
        assert log.check()
        assert log.check()
        assert (log.exchanges(""), log.forgotten()) == ([], set())
        assert log.append([exchange(2)]) == 1
        assert log.exchanges("voice") == [exchange(1), exchange(2)]

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], max_examples=40)
    @given(
        rows=_EXCHANGES,
        feedback=_FEEDBACK,
        since=_TIMES,
        until=_TIMES | st.just(float("inf")),
        known=st.integers(0, 6),
        nth=st.integers(1, 4),
    )
    def test_counts_and_windows_are_those_of_all_rows_read_one_by_one(
        self,
        log: TrafficLog,
        rows: list[dict[str, object]],
        feedback: list[tuple[int, float, str | None, str | None]],
        since: float,
        until: float,
        known: int,
        nth: int,
    ) -> None:
        loop = f"loop {next(_NAMES)}"
        stored = [exchange(number, loop=loop, **row) for number, row in enumerate(rows)]
        given_on = [Feedback(stored[n].id, at, rating, correction) for n, at, rating, correction in feedback if n < len(stored)]
        log.append([*stored, *(replace(row, id=f"other {row.id}", loop=f"other {loop}") for row in stored)])
        mark = 0.0
        for number, each in enumerate(given_on):
            if number == known:
                mark = moment(log)
            log.add_feedback(each)
            log.add_feedback(replace(each, request_id=f"other {each.request_id}", rating="down", correction="other"))
        all_of, by_id = _Reference(stored, given_on), {row.id: row for row in stored}

        for version in (None, "v1", "v3"):
            for answered in (False, True):
                assert list(log.stream(loop, since, until, version, answered)) == all_of.window(since, until, version, answered)
        for answered in (False, True):
            assert log.count(loop, since, until, answered) == len(all_of.window(since, until, None, answered))
        for versions in ([], ["v1"], ["v1", "v3"]):
            ends = log.outcomes(loop, versions, since, until)
            wanted = all_of.outcomes([row for row in all_of.window(since, until) if row.version in versions])
            assert {(o.version, o.weight, o.status, o.well_formed): o.count for o in ends} == wanted
            assert len(ends) == len(wanted)
        limits = {
            (version, lapse): limit
            for version, limit in (("v1", 9.0), ("v2", 10.0))
            for lapse, limit in ((Lapse.SLOW, limit + 6), (Lapse.LATE, limit / 2 + 0.75), (Lapse.LONG, limit))
        }
        for pair in (Pair("v1", "v2", limits), Pair("v3", "v1", limits), Pair("v2", "v1")):
            may = all_of.first_lapses(since, 1.5, pair)
            firsts = log.first_lapses(loop, pair, since, 1.5)
            assert {(each.lapse, each.user, each.window) for each in firsts} == may.keys()
            assert all(each in may[each.lapse, each.user, each.window] for each in firsts)
            assert len(firsts) == sum(len(said) if not user else 1 for (_, user, _), said in may.items())
            for version in (pair.candidate, pair.production):
                within = all_of.window(since, until, version)
                wanted_counts = {lapse: all_of.lapse_counts(within, lapse, pair.limits, "u2") for lapse in Lapse}
                assert log.lapse_counts(loop, version, since, until, pair.limits, {"u2", "u3"}) == wanted_counts
        newest = [all_of.ended(row) for row in all_of.window(since, until, "v1")][::-1]
        assert Counter(log.ended(loop, "v1", since, until, 99)) == Counter(newest)
        assert len(log.ended(loop, "v1", since, until, nth)) == min(nth, len(newest))
        asked = [row.user for row in all_of.window(since, float("inf"), "v1")]
        assert log.users(loop, "v1", since, 2) == min(2, len(set(asked)))
        of_one = [row.at for row in all_of.window(since, float("inf"), "v1") if all_of.outcome(row).judged]
        assert log.time_of_newest(loop, "v1", nth, since) == (of_one[-nth] if len(of_one) >= nth else None)
        assert log.feedback_on([row.id for row in stored]) == all_of.said
        reviewed = [row for row in all_of.window(since, float("inf")) if row.id in all_of.said]
        assert log.reviewed(loop, since) == [Reviewed(row, all_of.said[row.id]) for row in reviewed]
        said = all_of.feedback(all_of.window(since, until, "v1"))
        down, corrected = sum(each.rating == "down" for each in said), sum(each.correction is not None for each in said)
        rows_of, close = all_of.window(since, until, "v1"), partial(pytest.approx, abs=1e-9)
        ended = [(row, row.status == 200) for row in rows_of if row.status == 200 or row.status >= 500]
        formed = [(row, bool(row.well_formed)) for row in rows_of if row.status == 200 and all_of.form(row) is not None]
        liked = [(row, all_of.said[row.id].rating != "down") for row in rows_of if row.id in all_of.said]
        uncorrected = [(row, all_of.said[row.id].correction is None) for row in rows_of if row.id in all_of.said]
        for found, expected in (
            (log.outcomes_by_user(loop, "v1", since, until), (ended, formed)),
            (log.feedback_by_user(loop, "v1", since, until), (liked, uncorrected)),
        ):
            assert [astuple(each) for each in found] == [close(astuple(all_of.by_user(each))) for each in expected]
        assert log.feedback_counts(loop, "v1", since, until) == FeedbackCounts(len(said), down, corrected)
        of_age = added_up(each for each in dict.fromkeys(given_on) if each.at - by_id[each.request_id].at <= 2.0)
        young = [(row, of_age[row.id].rating != "down") for row in rows_of if row.id in of_age]
        assert astuple(log.feedback_by_user(loop, "v1", since, until, 2.0)[0]) == close(astuple(all_of.by_user(young)))
        assert log.feedback_by_user(loop, "v1", since, until, 2.0, arrived=-1.0)[0] == ByUser(0, 0.0)
        ages = log.feedback_ages(loop, since, until)
        on_window = [each for each in dict.fromkeys(given_on) if since <= by_id[each.request_id].at < until]
        for kind, there in (("up", "up"), ("down", "down")):
            assert sum(getattr(each, kind) for each in ages) == sum(each.rating == there for each in on_window)
        assert sum(each.corrected for each in ages) == sum(bool(each.correction) for each in on_window)
        mark = mark if known < len(given_on) else moment(log)
        assert log.corrected(loop, mark, since).keys() == all_of.corrected(known, reviewed)
        assert log.corrected(loop, 0.0, since).keys() == all_of.corrected(0, reviewed)

    def test_exchanges_are_found_by_their_ids_within_the_loop(self, log: TrafficLog) -> None:
        rows = [exchange(n) for n in range(4)]
        log.append([*rows, replace(exchange(9), loop="other")])
        found = log.named("voice", [rows[2].id, rows[0].id, "nobody's", exchange(9).id, "\x00"])
        assert sorted(found, key=lambda row: row.id) == [rows[0], rows[2]]
        assert log.named("voice", []) == []
        assert {row.loop for row in log.named(None, [rows[0].id, exchange(9).id])} == {"voice", "other"}
        log.forget(request_ids=[rows[0].id])
        assert log.named("voice", [rows[0].id]) == []

    def test_ids_that_begin_with_a_name_and_a_colon_are_found(self, log: TrafficLog) -> None:
        names = ["chat:c1", "chat:c1:2", "chat:c1:é\x00", "chat:c12", "chat:c1;", "chat:C1:2", "chat:%:2", "otel:c1:2"]
        log.append([replace(exchange(n), id=name, loop=("voice", "other")[n % 2]) for n, name in enumerate(names)])
        assert log.derived(["chat:c1", "nobody's"]) == {"chat:c1:2", "chat:c1:é\x00"}
        assert log.derived(["chat:%"]) == {"chat:%:2"}
        assert log.derived([]) == set()

    def test_a_stream_reads_on_where_a_page_ended_even_within_one_moment(self, log: TrafficLog) -> None:
        rows = [exchange(n, at=float(n // PAGE), version=f"v{n % 2}") for n in range(2 * PAGE + 3)]
        log.append(rows)
        assert list(log.stream("voice")) == rows
        assert list(log.stream("voice", version="v1")) == rows[1::2]
        assert list(log.stream("voice", since=1.0)) == rows[PAGE:]

    def test_what_comes_while_one_reads_does_not_disturb(self, log: TrafficLog) -> None:
        rows = [exchange(n) for n in range(PAGE + 5)]
        log.append(rows)
        reading = log.stream("voice")
        first = list(islice(reading, 3))
        log.append([exchange(-1, id="early"), exchange(PAGE + 5)])
        log.forget(request_ids=[rows[-1].id])
        assert [*first, *reading] == [*rows[:-1], exchange(PAGE + 5)]

    def test_feedback_needs_an_answer(self, log: TrafficLog) -> None:
        log.append([exchange(1)])
        with pytest.raises(UnknownAnswer, match="voice-9"):
            log.add_feedback(Feedback("voice-9", 1.0, "up", None))
        assert log.reviewed("voice") == []

    def test_what_is_said_of_an_answer_adds_up(self, log: TrafficLog) -> None:
        log.append([exchange(1), exchange(2), exchange(3)])
        up, down = Feedback("voice-2", 5.0, "up", None, "first"), Feedback("voice-2", 9.0, "down", None, None, "late, rude")
        corrected = Feedback("voice-2", 7.0, None, '{"intent": "off"}', "why")
        for feedback in (down, corrected, up, corrected, Feedback("voice-1", 5.0, "down", None)):
            log.add_feedback(feedback)
        total = Feedback("voice-2", 9.0, "down", '{"intent": "off"}', "why", "late, rude")
        assert [(r.exchange, r.feedback) for r in log.reviewed("voice")] == [
            (exchange(1), Feedback("voice-1", 5.0, "down", None)),
            (exchange(2), total),
        ]
        assert [r.exchange.id for r in log.reviewed("voice", since=2)] == ["voice-2"]
        assert log.feedback_on(["voice-2", "voice-3"]) == {"voice-2": total}
        assert log.feedback_counts("voice", "v1") == FeedbackCounts(2, 2, 1)

    def test_feedback_counts_by_the_age_of_its_answer_and_no_sooner_than_it_arrives(self, log: TrafficLog) -> None:
        now, hour = moment(log), 3600.0
        log.append([exchange(1, at=now - 10 * hour), exchange(2, at=now + 5 * hour), exchange(3, at=now + 5 * hour, user="other")])
        for feedback in (
            Feedback("voice-1", now + 0.2 * hour, "down", None),
            Feedback("voice-1", now - 8.8 * hour, "up", "x"),
            Feedback("voice-2", now + 5 * hour, "up", None),
            Feedback("voice-2", now + 7.2 * hour, "down", None),
            Feedback("voice-3", now + 8.5 * hour, None, "x"),
        ):
            log.add_feedback(feedback)
        counts = {(each.hours, each.up, each.down, each.corrected) for each in log.feedback_ages("voice", 0.0, 1e12)}
        assert counts == {(0, 1, 0, 0), (1, 1, 0, 1), (2, 0, 1, 0), (3, 0, 0, 1), (10, 0, 1, 0)}
        since, until = now - 11 * hour, now + 6 * hour
        assert log.feedback_by_user("voice", "v1", since, until, 20 * hour) == (ByUser(2, 1.0), ByUser(2, 0.5))
        assert log.feedback_by_user("voice", "v1", since, until, 1.5 * hour) == (ByUser(1, 1.0), ByUser(1, 0.5))
        assert log.feedback_by_user("voice", "v1", since, until, 20 * hour, arrived=now + hour) == (ByUser(1, 0.0), ByUser(1, 0.0))

    def test_a_correction_counts_as_new_once(self, log: TrafficLog) -> None:
        """By its arrival: an import may bring corrections of any time, and a clock may be wrong."""
        log.append([exchange(1), exchange(2)])
        marks = [0.0]
        for events in (
            [Feedback("voice-1", 5.0, None, "x"), Feedback("voice-2", 5.0, None, "x")],
            [Feedback("voice-1", 8.0, "up", None), Feedback("voice-1", 4e9, None, "x"), Feedback("voice-2", 9.0, None, "y")],
        ):
            for feedback in events:
                log.add_feedback(feedback)
            marks.append(moment(log))
        found = [log.corrected("voice", since) for since in marks]
        assert [each.keys() for each in found] == [{"voice-1", "voice-2"}, {"voice-2"}, set()]
        assert marks[1] <= found[0]["voice-2"] == found[1]["voice-2"] <= marks[2]
        assert log.corrected("voice", 0.0, asked_since=exchange(2).at).keys() == {"voice-2"}
        log.add_feedback(Feedback("voice-2", 1.0, None, "older"))
        assert log.corrected("voice", marks[-1]) == {}, "the newest correction counts, whenever an older one comes"

    def test_answers_are_read_in_the_order_of_their_arrival(self, log: TrafficLog) -> None:
        """Neither a row dated in the future nor an import of old ones hides what comes after it."""
        first = [exchange(1, at=4e9), exchange(2), exchange(3, status=502)]
        log.append(first)
        mark = moment(log)
        later = [exchange(4, at=50.0), exchange(5, at=7.0), exchange(6, at=60.0, loop="other")]
        log.append(later)
        found = list(log.arrivals("voice"))
        assert [each.exchange for each in found] == [*first[:2], *later[:2]]
        assert [each.stored_at for each in found] == sorted(each.stored_at for each in found)
        assert [each.exchange for each in log.arrivals("voice", mark)] == later[:2]
        assert [each.exchange for each in log.arrivals("voice", mark, asked_since=8.0)] == later[:1]
        assert list(log.arrivals("voice", moment(log))) == []
        log.append(first)
        assert list(log.arrivals("voice")) == found, "a row that is sent again arrived when it came first"

    def test_arrivals_are_read_on_where_a_page_ended_even_within_one_moment(self, log: TrafficLog) -> None:
        rows = [exchange(n, at=float(3 * PAGE - n)) for n in range(2 * PAGE + 3)]
        log.append(rows)
        assert [each.exchange for each in log.arrivals("voice")] == rows

    def test_what_was_served_is_added_up_by_version_and_minute_of_arrival_and_each_row_once(self, log: TrafficLog) -> None:
        start = moment(log)
        answered = partial(exchange, at=start, latency_ms=2000.0)
        log.append([answered(1), answered(2, tokens_in=None), answered(3, version="v2"), answered(4, status=502, tokens_out=None)])
        middle = moment(log)
        log.append([answered(5), answered(6, loop="other"), answered(1), exchange(7, at=start - 5000)])  # the last one as an import does
        end = moment(log)

        def added(since: float, until: float) -> dict[str, tuple[int, int, int, int, int, float]]:
            found: dict[str, list[ServedMinute]] = {}
            for each in log.served("voice", since, until):
                assert start - 60 < each.minute * 60 <= end
                found.setdefault(each.version, []).append(each)
            return {
                version: (
                    sum(each.answers for each in minutes), sum(each.failed for each in minutes), sum(each.uncounted for each in minutes),
                    sum(each.tokens_in for each in minutes), sum(each.tokens_out for each in minutes),
                    sum(each.engine_ms for each in minutes),
                )
                for version, minutes in found.items()
            }  # fmt: skip

        assert added(start, middle) == {"v1": (2, 1, 1, 14, 18, 6000.0), "v2": (1, 0, 0, 7, 9, 2000.0)}
        assert added(middle, end) == {"v1": (1, 0, 0, 7, 9, 2000.0)}
        assert added(start, end) == {"v1": (3, 1, 1, 21, 27, 8000.0), "v2": (1, 0, 0, 7, 9, 2000.0)}
        assert log.served("voice", end, end + 1) == []

    def test_of_feedback_of_one_time_what_is_stored_last_counts_and_a_repeat_is_not_stored(self, log: TrafficLog) -> None:
        """As that of tools which keep no times, which has the time of the answer."""
        log.append([exchange(1), exchange(2)])
        first = [Feedback("voice-1", 5.0, "down", "x", "b", "c"), Feedback("voice-2", 5.0, "up", None)]
        second = [Feedback("voice-1", 5.0, "up", "y", "a", "d"), Feedback("voice-2", 5.0, "down", "a")]
        assert all([log.add_feedback(feedback) for feedback in first])
        mark = moment(log)
        assert all([log.add_feedback(feedback) for feedback in second])
        assert not any([log.add_feedback(feedback) for feedback in first])
        assert [r.feedback for r in log.reviewed("voice")] == second
        assert log.feedback_counts("voice", "v1") == FeedbackCounts(2, 1, 2)
        assert log.feedback_by_user("voice", "v1", 0.0, 9.0)[0] == ByUser(1, 0.5)
        assert log.corrected("voice", mark).keys() == {"voice-1", "voice-2"}

    def test_a_batch_lands_whole_or_not_at_all(self, log: TrafficLog) -> None:
        with pytest.raises(Exception, match="(?i)not.null"):
            log.append([exchange(1), exchange(2, answer=None)])
        assert log.exchanges("voice") == []
        log.append([exchange(1)])
        assert log.count("voice") == 1

    def test_threads_write_and_read_at_once(self, log: TrafficLog) -> None:
        errors: list[Exception] = []

        def work(name: int) -> None:
            try:
                for n in range(20):
                    log.append([exchange(n, id=f"{name}-{n}")])
                    log.add_feedback(Feedback(f"{name}-{n}", 1.0, "up", None))
                    log.count("voice")
            except Exception as error:  # noqa: BLE001  a thread's failure must reach the test
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (errors, log.count("voice"), len(log.reviewed("voice"))) == ([], 80, 80)

    def test_a_forgotten_user_is_gone_from_every_loop_and_nobody_else_is(self, log: TrafficLog) -> None:
        rows = [exchange(1, user="a"), exchange(2, user="b"), exchange(3, user="a", loop="triage")]
        log.append(rows)
        for row in rows:
            log.add_feedback(Feedback(row.id, 9.0, "up", None))
        assert log.forget(user="a") == ["triage-3", "voice-1"]
        assert (log.exchanges("voice"), log.exchanges("triage"), log.reviewed("triage")) == ([rows[1]], [], [])
        assert [r.exchange.id for r in log.reviewed("voice")] == ["voice-2"]
        assert log.forgotten() == log.forgotten("a") == {"triage-3", "voice-1"}
        assert log.forget(user="a") == []
        log.forget(request_ids=["voice-1", "voice-2"])  # again, without the user
        assert (log.forgotten("a"), log.forgotten("b"), len(log.forgotten())) == ({"triage-3", "voice-1"}, set(), 3)
        log.forget(user="b", request_ids=["voice-2"])
        assert log.forgotten("b") == {"voice-2"}

    def test_a_users_exchanges_of_all_loops_come_oldest_first(self, log: TrafficLog) -> None:
        log.append([exchange(n, user="a", at=float(n % 3)) for n in range(PAGE + 5)])
        log.append(
            [exchange(0, user="a", loop="triage", at=-1.0), exchange(1, user="b", loop="triage"), exchange(2, user="", loop="triage")]
        )
        found = list(log.of_user("a"))
        assert [row.at for row in found] == sorted(row.at for row in found)
        assert (found[0].id, len({row.id for row in found}), {row.user for row in found}) == ("triage-0", PAGE + 6, {"a"})
        assert [[row.id for row in log.of_user(name)] for name in ("b", "", "c")] == [["triage-1"], [], []]

    def test_forgetting_in_one_loop_leaves_the_other_alone(self, log: TrafficLog) -> None:
        log.append([exchange(1, user="a"), exchange(2, user="a", loop="triage")])
        assert log.forget("voice", "a", ["triage-2", "voice-7"]) == ["voice-1", "voice-7"]
        assert (log.count("voice"), log.count("triage")) == (0, 1)

    def test_named_requests_are_forgotten_whoever_sent_them(self, log: TrafficLog) -> None:
        log.append([exchange(n) for n in range(5)])
        assert log.forget(request_ids=["voice-1", "voice-3"]) == ["voice-1", "voice-3"]
        assert [e.id for e in log.exchanges("voice")] == ["voice-0", "voice-2", "voice-4"]

    def test_what_was_forgotten_does_not_come_back(self, log: TrafficLog) -> None:
        log.append([exchange(1)])
        log.forget(request_ids=["voice-1", "voice-2"])  # the second is still on its way
        assert log.append([exchange(1), exchange(2), exchange(3)]) == 1
        assert [e.id for e in log.exchanges("voice")] == ["voice-3"]
        with pytest.raises(UnknownAnswer, match="voice-1"):
            log.add_feedback(Feedback("voice-1", 1.0, "up", None))

    def test_forgetting_nobody_is_a_mistake(self, log: TrafficLog) -> None:
        log.append([exchange(1)])
        with pytest.raises(ValueError, match="nothing to forget"):
            log.forget("voice")
        assert (log.count("voice"), log.forgotten()) == (1, set())

    @pytest.mark.parametrize("user", ["", "  ", "\n"])
    def test_an_empty_user_forgets_nobody(self, log: TrafficLog, user: str) -> None:
        log.append([exchange(1, user=""), exchange(2, user=user, loop="triage")])
        for ids in ([], ["voice-1"]):
            with pytest.raises(InvalidInput, match="user to forget is empty"):
                log.forget(user=user, request_ids=ids)
        assert (log.count("voice"), log.count("triage"), log.forgotten()) == (1, 1, set())

    def test_removed_rows_are_gone_with_their_feedback_and_are_not_remembered(self, log: TrafficLog) -> None:
        rows = [exchange(n, version="v1", well_formed=True) for n in range(6)]
        log.append([*rows, exchange(7, loop="triage")])
        for row in rows[:4]:
            log.add_feedback(Feedback(row.id, row.at + 5, "down", '{"intent": "off"}'))
        assert log.remove("voice", {rows[0].id: 1, rows[1].id: 1, rows[5].id: 0, "triage-7": 0, "nobody's": 0}) == 3
        assert (log.exchanges("voice"), log.count("triage"), log.forgotten()) == (rows[2:5], 1, set())
        assert [each.exchange for each in log.reviewed("voice")] == rows[2:4]
        assert log.feedback_counts("voice", "v1") == FeedbackCounts(2, 2, 2)
        assert (len(log.corrected("voice")), sum(each.count for each in log.outcomes("voice", ["v1"]))) == (2, 3)
        assert (log.time_of_newest("voice", "v1", 1), log.time_of_newest("voice", "v1", 4)) == (4.0, None)
        assert log.feedback_on([rows[0].id]) == {}
        with pytest.raises(UnknownAnswer, match="voice-0"):
            log.add_feedback(Feedback("voice-0", 1.0, "up", None))
        assert log.append(rows) == 3, "only what was forgotten cannot come back"
        assert log.feedback_on([rows[0].id]) == {}

    def test_a_row_that_somebody_said_something_about_meanwhile_is_not_removed(self, log: TrafficLog) -> None:
        log.append([exchange(1), exchange(2)])
        log.add_feedback(Feedback("voice-1", 5.0, "up", None))
        known = {name: len(events) for name, events in log.feedback_events(["voice-1"]).items()} | {"voice-2": 0}
        log.add_feedback(Feedback("voice-1", 6.0, "down", None))
        assert log.remove("voice", known) == 1
        assert [row.id for row in log.exchanges("voice")] == ["voice-1"]
        assert log.feedback_on(["voice-1"])["voice-1"].rating == "down"

    def test_feedback_that_comes_while_rows_are_removed_is_refused_or_kept(self, log: TrafficLog) -> None:
        log.append([exchange(n) for n in range(300)])
        taken: list[str] = []

        def say() -> None:
            for n in range(300):
                try:
                    log.add_feedback(Feedback(f"voice-{n}", 1.0, "up", None))
                except UnknownAnswer:
                    continue
                taken.append(f"voice-{n}")

        thread = threading.Thread(target=say)
        thread.start()
        for n in range(300):
            log.remove("voice", {f"voice-{n}": 0})
        thread.join()
        assert {row.id for row in log.exchanges("voice")} == set(taken) == set(log.feedback_events([f"voice-{n}" for n in range(300)]))

    def test_all_feedback_events_are_there_in_their_order(self, log: TrafficLog) -> None:
        log.append([exchange(1), exchange(2), exchange(3)])
        said = [Feedback("voice-1", 9.0, "up", None), Feedback("voice-1", 5.0, None, TEXTS[0]), Feedback("voice-1", 9.5, "up", None)]
        other = Feedback("voice-2", 1.0, "down", None)
        for each in (said[0], other, *said[1:]):
            log.add_feedback(each)
        assert log.feedback_events(["voice-1", "voice-2", "voice-3", "nobody's"]) == {"voice-1": said, "voice-2": [other]}
        assert log.feedback_events([]) == {}

    def test_days_have_all_rows_and_about_their_size(self, log: TrafficLog) -> None:
        text = "how much is the fish " * 50
        rows = [exchange(n, at=at, prompt=text, messages=text, answer=text) for n, at in enumerate([-DAY, 5.0, DAY - 1, DAY, 9.5 * DAY])]
        log.append([*rows, exchange(1, loop="triage")])
        days = log.days("voice")
        assert [(each.day, each.rows) for each in days] == [(0, 3), (1, 1), (9, 1)]
        for each in days:
            assert 0.05 < each.bytes / (3 * len(text) * each.rows) < 1.5, "a server may compress"
        assert (log.days("nobody"), log.first_time("nobody"), log.first_time("voice", 1.0)) == ([], None, 5.0)

    def test_the_size_of_many_rows_is_estimated_from_some(self, log: TrafficLog) -> None:
        log.append([exchange(n, loop="other") for n in range(2000)])
        log.append([exchange(n) for n in range(4000)])
        rows, size = log.sampled("voice", 0.0, 1e9, 0.25)
        assert 800 < rows < 1200
        everything = log.sampled("voice", 0.0, 1e9, 1.0)
        assert everything[0] == 4000
        assert size / rows == pytest.approx(everything[1] / everything[0], rel=0.05)

    def test_space_of_removed_rows_can_be_used_again(self, log: TrafficLog) -> None:
        rows = [exchange(n, answer=f"{n} {random.Random(n).random()} " * 100) for n in range(2000)]
        for start in range(0, 2000, 500):
            log.append(rows[start : start + 500])
        full, sizes = log.size(), []
        assert full.bytes > 500_000
        for turn in range(5):
            known = "" if turn == 0 else f"{turn - 1} "
            assert log.remove("voice", {f"{known}{row.id}": 0 for row in rows[:1900]}) == 1900
            log.reclaim()
            log.append([replace(row, id=f"{turn} {row.id}") for row in rows[:1900]])
            sizes.append(log.size().bytes)
        assert sizes[-1] < 1.2 * sizes[1]
        assert sizes[-1] < 2 * full.bytes
        assert (log.count("voice"), log.exchanges("voice", 1900.0)) == (2000, rows[1900:])

    def test_processes_share_one_new_log(self, open_log: OpenLog, log: TrafficLog) -> None:
        pipes = [SPAWN.Pipe(duplex=False) for _ in range(2)]
        writers = [SPAWN.Process(target=write, args=(open_log, str(n), 25, done)) for n, (_, done) in enumerate(pipes)]
        for writer in writers:
            writer.start()
        log.append([exchange(n) for n in range(50)])
        for writer in writers:
            writer.join(60)
        assert [writer.exitcode for writer in writers] == [0, 0]
        assert log.count("voice") == 150

    def test_killed_writer_loses_nothing_it_acknowledged(self, open_log: OpenLog, log: TrafficLog) -> None:
        heard, done = SPAWN.Pipe(duplex=False)
        writer = SPAWN.Process(target=write, args=(open_log, "w", 100_000, done))
        writer.start()
        done.close()
        acknowledged = [heard.recv() for _ in range(50)]
        writer.kill()
        writer.join(10)
        with contextlib.suppress(EOFError):
            while True:
                acknowledged.append(heard.recv())
        assert acknowledged == list(range(len(acknowledged)))
        stored = {e.id for e in log.exchanges("voice")}
        assert {f"w-{n}-{part}" for n in acknowledged for part in "ab"} <= stored
        assert len(stored) % 2 == 0
        assert log.append([exchange(1)]) == 1

    def test_answers_of_a_candidate_in_shadow_come_back_and_are_no_traffic(self, log: TrafficLog) -> None:
        rows = [exchange(n, user="u") for n in range(3)]
        log.append(rows)
        answers = [
            shadow_answer(0, answer=TEXTS[0], error=TEXTS[1], user=TEXTS[2]),
            shadow_answer(1, status=502, first_token_ms=None, tokens_in=None, tokens_out=None, well_formed=None, refused=None, agrees=None),
            shadow_answer(2, production_first_token_ms=None, production_tokens_out=None, production_well_formed=None, agrees=False),
        ]
        assert log.append_shadow([*answers, shadow_answer(9)]) == 3, "there is no exchange 9"
        assert log.append_shadow([replace(answers[0], answer="another"), replace(answers[0], version="v3")]) == 1
        assert log.append_shadow([]) == 0
        assert log.shadow_answers("voice", "v2", 0.0, 10) == answers[::-1]
        assert log.shadow_answers("voice", "v2", 1.0, 1) == [answers[2]]
        assert log.shadow_answers("other", "v2", 0.0, 10) == log.shadow_answers("voice", "v1", 0.0, 10) == []
        assert (log.exchanges("voice"), log.count("voice"), log.named(None, ["voice-0"])) == (rows, 3, rows[:1])
        assert {each.version for each in log.outcomes("voice", ["v1", "v2", "v3"])} == {"v1"}
        assert {each.version for each in log.served("voice", 0.0, float("inf"))} <= {"v1"}
        assert [each.exchange for each in log.arrivals("voice")] == rows

    def test_a_copy_goes_with_its_exchange(self, log: TrafficLog) -> None:
        log.append([exchange(n, user=f"u{n}") for n in range(4)])
        log.append_shadow([shadow_answer(n, version=version) for n in range(4) for version in ("v2", "v3")])
        assert log.remove("voice", {"voice-0": 0, "voice-1": 1}) == 1, "feedback on the other one came meanwhile"
        log.forget(user="u1")
        log.forget(request_ids=["voice-2"])
        assert [each.request_id for version in ("v2", "v3") for each in log.shadow_answers("voice", version, 0.0, 9)] == ["voice-3"] * 2
        assert log.append_shadow([shadow_answer(2)]) == 0, "what is forgotten does not come back"

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], max_examples=40)
    @given(_SHADOW, st.sampled_from([0.0, 1.0, 1.5]), st.sampled_from([1.0, 2.0]), st.sampled_from([None, 10.0]))
    def test_pairs_are_counted_as_reading_each_would(
        self, log: TrafficLog, given: list[dict], since: float, window: float, limit: float | None
    ) -> None:
        name = f"shadow {next(_NAMES)}"
        rows = [shadow_answer(n, name, **changes) for n, changes in enumerate(given)]
        log.append([exchange(n, name) for n in range(len(rows))])
        assert log.append_shadow(rows) == len(rows)
        lapses = (Lapse.SLOW, Lapse.LATE, Lapse.LONG)
        limits = {} if limit is None else {key: limit for each in lapses for key in (("v2", each), ("v1", each))}
        limits |= (
            {("v2", Lapse.LATE): 5.0} if limit is None else {("v2", Lapse.LATE): 5.0, ("v1", Lapse.LATE): 5.0, ("v1", Lapse.LONG): 9.0}
        )
        pair = Pair("v2", "v1", limits)
        mine = [row for row in rows if (row.version, row.production) == ("v2", "v1") and row.at >= since]
        counts, discordant = {}, dict[tuple[PairLapse, str, int], list[tuple[float, bool]]]()
        for lapse in PairLapse:
            told = [(row, lapsed) for row in mine if (lapsed := pair_lapsed(row, lapse, limits)) is not None]
            values = [lapsed for _, lapsed in told]
            counts[lapse] = PairCounts(len(told), sum(c for c, _ in values), sum(p for _, p in values), sum(c and p for c, p in values))
            for row, (candidate, production) in told:
                if candidate != production:
                    key = lapse, row.user, int((row.at - since) / window)
                    discordant.setdefault(key, []).append((row.at, candidate))
        good = sum(row.status == 200 and row.well_formed is True for row in mine)
        compared = [row.agrees for row in mine if row.agrees is not None]
        assert log.shadow_counts(name, pair, since) == ShadowCounts(len(mine), good, len(compared), sum(compared), counts)
        found = log.discordant(name, pair, since, window)
        assert len({(each.lapse, each.user, each.window) for each in found if each.user}) == sum(bool(each.user) for each in found)
        for each in found:
            seen = discordant[each.lapse, each.user, each.window]
            first = min(at for at, _ in seen)
            if each.user:
                assert (first, each.candidate) in seen
            else:
                assert each.count == sum(side is each.candidate for _, side in seen)
        assert {(each.lapse, each.user, each.window) for each in found} == set(discordant)
        assert sum(each.count for each in found if not each.user) == sum(len(each) for key, each in discordant.items() if not key[1])
