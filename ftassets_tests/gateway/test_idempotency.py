"""Kept answers: for how long, and how many."""

import asyncio

import pytest

from ftassets.gateway.idempotency import Answers, Claim, Kept
from ftassets.gateway.problems import Problem


async def claimed(answers: Answers, key: str, body: bytes = b"x") -> Claim:
    found = await answers.ask((key,), body)
    assert isinstance(found, Claim), found
    return found


def test_an_answer_is_kept_for_its_time_and_an_open_claim_longer() -> None:
    now = [0.0]

    async def run() -> None:
        answers = Answers(lambda: now[0], seconds=10)
        (await claimed(answers, "a")).keep(b"answer", {"h": "v"})
        open_claim = await claimed(answers, "b")
        now[0] = 9.9
        assert await answers.ask(("a",), b"x") == Kept(b"answer", {"h": "v"})
        now[0] = 10.1
        await claimed(answers, "a")
        waiting = asyncio.create_task(answers.ask(("b",), b"x"))
        await asyncio.sleep(0)
        open_claim.drop()
        open_claim.keep(b"late", {})
        assert isinstance(await waiting, Claim), "whoever waited answers now"
        with pytest.raises(Problem, match="another request"):
            await answers.ask(("b",), b"y")

    asyncio.run(run())


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    async def run() -> None:
        answers = Answers(most=25_000)
        for number in range(6):
            (await claimed(answers, str(number))).keep(b"x" * 5_000, {})
        assert answers._bytes <= 25_000
        kept = [isinstance(await answers.ask((str(number),), b"x"), Kept) for number in range(6)]
        assert kept == [False, False, True, True, True, True]

    asyncio.run(run())
