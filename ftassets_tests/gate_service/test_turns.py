"""One evaluation at a time, and none beyond its time."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from ftassets.backends.evaluator.base import EvaluationFailed
from ftassets.config.home import Home
from ftassets.gate_service.contract import BadRequest, EvaluationJob, GateAnswer
from ftassets.gate_service.turns import KEY, OutOfTime, QueueFull, Turns, run_process
from ftassets.testing.releases import loop_config

ANSWER = GateAnswer(
    passed=True, f1_score=1.0, latency_ms_p99=None, message="All hold.", verdicts=[], loop="support", version="a" * 64,
    golden_commit="b" * 40, compared_with="c" * 64,
)  # fmt: skip


def job(root: Path, number: int = 0, wanted_f1: float | None = None) -> EvaluationJob:
    """A request of its own, or with `wanted_f1` one that is equal to others with it."""
    return EvaluationJob(
        id=f"00000000-0000-4000-8000-{number:012}", home=root, loop=loop_config(), version="a" * 64, golden_commit="b" * 40,
        newest_golden=True, wanted_f1=wanted_f1 or 0.5 + number / 100,
    )  # fmt: skip


def stand_in(folder: Path, body: str) -> tuple[str]:
    """A process of a few lines; `work` is the folder of its job."""
    path = folder / "stand_in.py"
    path.write_text(f"import os, pathlib, subprocess, sys, time\nwork = pathlib.Path(sys.argv[1]).parent\n{body}\n")
    return (str(path),)


def test_requests_are_evaluated_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    running, order = 0, []

    async def run(job: EvaluationJob) -> GateAnswer:
        nonlocal running
        running += 1
        assert running == 1
        order.append(job.id[-1])
        await asyncio.sleep(0.01)
        running -= 1
        return ANSWER

    async def ask() -> None:
        turns = Turns(run)
        await asyncio.gather(*(turns.evaluate(job(tmp_path, number)) for number in range(5)))

    asyncio.run(ask())
    assert order == list("01234")


def test_what_finds_the_queue_full_is_told_so_and_the_queue_empties_again(tmp_path: Path) -> None:
    async def run(job: EvaluationJob) -> GateAnswer:
        await asyncio.sleep(0.05)
        return ANSWER

    async def ask() -> tuple[list, GateAnswer]:
        turns = Turns(run, waiting=2)
        together = await asyncio.gather(*(turns.evaluate(job(tmp_path, n)) for n in range(5)), return_exceptions=True)
        return together, await turns.evaluate(job(tmp_path))

    together, later = asyncio.run(ask())
    assert [type(found) for found in together] == [GateAnswer] * 3 + [QueueFull] * 2
    assert later is ANSWER


def test_time_in_the_queue_counts_and_a_failure_lets_the_next_one_through(tmp_path: Path) -> None:
    async def run(job: EvaluationJob) -> GateAnswer:
        if job.id[-1] == "0":
            raise EvaluationFailed("out of memory")
        await asyncio.sleep(60)
        return ANSWER

    async def ask() -> list:
        turns = Turns(run, limit=0.2)
        return await asyncio.gather(*(turns.evaluate(job(tmp_path, n)) for n in range(3)), return_exceptions=True)

    failed, ended, waited = asyncio.run(ask())
    assert isinstance(failed, EvaluationFailed)
    assert isinstance(ended, OutOfTime)
    assert isinstance(waited, OutOfTime)
    assert str(ended).startswith("the evaluation was ended")
    assert str(waited).startswith("its turn did not come")


class Slow:
    """Runs that end when told to; `ended` are the ids of those that were cancelled."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, job: EvaluationJob) -> GateAnswer:
        self.begun.append(job.id[-1])
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append(job.id[-1])
            raise
        return ANSWER


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_equal_requests_share_one_evaluation(tmp_path: Path) -> None:
    async def ask() -> tuple[Slow, list[GateAnswer]]:
        run = Slow()
        turns = Turns(run, waiting=0)
        asked = [asyncio.create_task(turns.evaluate(job(tmp_path, number, 0.5))) for number in range(3)]
        await settled()
        with pytest.raises(QueueFull, match="1 evaluations are under way"):
            await turns.evaluate(job(tmp_path, 7))
        run.go.set()
        found = await asyncio.gather(*asked)
        await turns.evaluate(job(tmp_path, 4, 0.5))
        return run, found

    run, found = asyncio.run(ask())
    assert found == [ANSWER] * 3
    assert run.begun == ["0", "4"], "a finished one is not kept"


def test_work_whose_callers_left_is_ended_and_frees_its_place(tmp_path: Path) -> None:
    async def ask() -> Slow:
        run = Slow()
        turns = Turns(run, waiting=2)
        first, second, queued, last = [
            asyncio.create_task(turns.evaluate(each))
            for each in (job(tmp_path, 0, 0.5), job(tmp_path, 1, 0.5), job(tmp_path, 2), job(tmp_path, 3))
        ]
        await settled()
        first.cancel()
        queued.cancel()
        await settled()
        assert run.ended == [], "another waits for it"
        second.cancel()
        again = asyncio.create_task(turns.evaluate(job(tmp_path, 4, 0.5)))  # in the same moment: it does not join what ends
        await settled()
        assert run.ended == ["0"]
        assert run.begun == ["0", "3"], "nobody waits for the second"
        run.go.set()
        await asyncio.gather(last, again)
        assert not turns._evaluations
        return run

    assert asyncio.run(ask()).begun == ["0", "3", "4"]


def test_callers_are_bounded_too_and_one_out_of_time_does_not_end_what_others_wait_for(tmp_path: Path) -> None:
    async def ask() -> None:
        run = Slow()
        turns = Turns(run, limit=0.3, callers=2)
        first = asyncio.create_task(turns.evaluate(job(tmp_path, 0, 0.5)))
        await asyncio.sleep(0.15)
        second = asyncio.create_task(turns.evaluate(job(tmp_path, 1, 0.5)))
        await settled()
        with pytest.raises(QueueFull, match="2 requests wait"):
            await turns.evaluate(job(tmp_path, 2, 0.5))
        with pytest.raises(OutOfTime, match="there is no answer yet after 0 s; others wait"):
            await first
        run.go.set()
        assert await second is ANSWER
        assert run.begun == ["0"]

    asyncio.run(ask())


def test_a_process_beyond_its_time_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = stand_in(
        tmp_path,
        "below = subprocess.Popen(['sleep', '300'])\n"
        f"pathlib.Path({str(tmp_path)!r}, 'pids').write_text(f'{{os.getpid()}} {{below.pid}}')\n"
        "time.sleep(300)",
    )

    async def ask() -> None:
        await Turns(lambda job: run_process(job, child), limit=1.5).evaluate(job(tmp_path))

    with pytest.raises(OutOfTime, match="was ended after 2 s"):
        asyncio.run(ask())
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
    assert not list(Home(tmp_path).root.glob("work/*"))


def test_the_process_leaves_its_answer_and_no_files_and_never_sees_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a key nobody else needs")
    child = stand_in(tmp_path, f"assert {KEY!r} not in os.environ\n(work / 'answer.json').write_text({ANSWER.model_dump_json()!r})")
    assert asyncio.run(run_process(job(tmp_path), child)) == ANSWER
    assert not os.listdir(tmp_path / "work")


@pytest.mark.parametrize(
    ("code", "said", "kind", "text"),
    [
        (2, "changed files", BadRequest, "changed files"),
        (1, "no GPU", EvaluationFailed, "no GPU"),
        (2, None, EvaluationFailed, "exit code 2"),
    ],
)
def test_how_a_process_ended_is_passed_on(tmp_path: Path, code: int, said: str | None, kind: type[Exception], text: str) -> None:
    words = f"(work / 'job.failed').write_text({said!r})\n" if said else ""
    with pytest.raises(kind, match=text):
        asyncio.run(run_process(job(tmp_path), stand_in(tmp_path, f"{words}sys.exit({code})")))
