"""The event loop that the gateway runs on."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import uvicorn

_YOUNG = 10_000  # objects until the collector looks at new ones: a request makes some hundred, and nearly all of them end by themselves


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the program to its end on uvloop where it is installed. What was imported is not searched for garbage again."""
    gc.freeze()
    gc.set_threshold(_YOUNG)
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(main)
