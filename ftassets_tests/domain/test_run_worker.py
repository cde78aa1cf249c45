"""When the worker of a run is taken to be gone: never by a process number of another place."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.run_worker import BEAT, SILENCE, Evidence, Place, Process, Word, judge

HERE = Place("laptop", "m1", "boot1", "pid:[1]")
WORKER = Process(77, "5000", HERE)
PARTS = (["laptop", "pod"], ["m1", "m2", ""], ["boot1", "boot2"], ["a", "b"])
PLACES = st.builds(Place, *(st.sampled_from(each) for each in PARTS))
EVIDENCE = st.builds(
    Evidence,
    here=PLACES,
    silent=st.floats(0, 4 * SILENCE),
    begun=st.booleans(),
    worker=st.none() | st.builds(Process, st.just(77), st.sampled_from(["5000", "6000"]), PLACES),
    found=st.sampled_from([None, "5000", "6000"]),
    launcher=st.sampled_from([None, *Word]),
    own_start=st.booleans(),
    foreign_step=st.booleans(),
)


@pytest.mark.parametrize(("found", "word"), [("5000", Word.ALIVE), (None, Word.GONE), ("6000", Word.GONE)])
def test_here_the_process_decides_and_not_a_later_one_of_its_number(found: str | None, word: Word) -> None:
    assert judge(Evidence(HERE, 10 * SILENCE, worker=WORKER, found=found)).word is word


def test_a_restart_of_the_machine_ends_a_worker_at_once() -> None:
    finding = judge(Evidence(replace(HERE, boot="boot2", namespace="pid:[9]"), 0.0, worker=WORKER))
    assert finding.word is Word.GONE
    assert "laptop, which executed it, was restarted since" in finding.reason


@pytest.mark.parametrize(
    "here",
    [
        replace(HERE, namespace="pid:[2]"),  # another container of the machine, or the same one started again
        replace(HERE, host="pod", namespace="pid:[2]"),
        replace(HERE, machine="m2", boot="boot2"),  # another machine of the same name
        replace(HERE, host="other"),
    ],
)
def test_elsewhere_only_silence_or_the_launcher_tells(here: Place) -> None:
    seen = Evidence(here, SILENCE - 1, worker=WORKER)
    assert judge(seen).word is Word.UNKNOWN
    assert judge(replace(seen, silent=SILENCE)).word is Word.GONE
    assert judge(replace(seen, silent=SILENCE, launcher=Word.ALIVE)).word is Word.ALIVE
    assert judge(replace(seen, launcher=Word.GONE)).word is Word.GONE
    assert judge(replace(seen, silent=SILENCE, foreign_step=True)).word is Word.UNKNOWN


def test_containers_without_a_machine_id_are_not_taken_for_one_machine() -> None:
    old = Process(1, "1", Place("app", "", "boot1", "pid:[1]"))
    assert judge(Evidence(Place("app", "", "boot2", "pid:[2]"), 0.0, worker=old)).word is Word.UNKNOWN


def test_a_slow_start_is_only_judged_where_a_start_is_quick() -> None:
    pending = Evidence(HERE, 10 * SILENCE, begun=False, launcher=Word.UNKNOWN, own_start=False)  # a pod that waits for a GPU
    assert judge(pending).word is Word.UNKNOWN
    assert judge(replace(pending, launcher=None, own_start=True)).word is Word.GONE


@given(EVIDENCE)
def test_no_run_is_ended_while_something_speaks_for_it(seen: Evidence) -> None:
    finding = judge(seen)
    assert finding.reason
    worker = seen.worker
    if worker and worker.place == seen.here:
        assert (finding.word is Word.ALIVE) == (seen.found == worker.started)
    elif worker and worker.place.machine == seen.here.machine and worker.place.boot != seen.here.boot:
        pass  # the machine may have been restarted, whatever a launcher says
    elif seen.launcher is Word.ALIVE:
        assert finding.word is Word.ALIVE
    elif seen.launcher is not Word.GONE and (seen.silent < SILENCE or seen.foreign_step):
        assert finding.word is Word.UNKNOWN


@given(EVIDENCE)
def test_a_dead_run_is_found_in_bounded_time(seen: Evidence) -> None:
    dead = replace(seen, silent=SILENCE, found=None, launcher=None, own_start=True, foreign_step=False)
    assert judge(dead).word is Word.GONE


def test_a_worker_that_lives_is_heard_in_time() -> None:
    assert 2 * BEAT < SILENCE  # one line may be late
