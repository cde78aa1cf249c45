"""Stores that are gone while Dagster runs work on them: the run fails, nothing is lost, and the next one does it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.components.fine_tune_loop import build_loop
from ftassets.components.resources import resources
from ftassets.config.home import Home
from ftassets.config.profiles import backend, traffic_log
from ftassets.domain.chat import vector_space
from ftassets.drill.copied_loop import CopiedLoop, Running
from ftassets.drill.lost_stores import away
from ftassets.testing.hash_embedder import HashEmbedder

ROWS = 20


def dataset_store_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The dataset store cannot be read or written: the golden set is not published; it is once the store is back."""

    def published(running: Running) -> int:
        store = backend(running.home, "dataset_store")
        return sum(name.startswith(f"{copy.loop.name}/golden") for name in store.list("main"))

    return _fails_then_works(copy, ("golden_set",), lambda home: home.datasets, published, 1)


def vector_store_down(copy: CopiedLoop) -> tuple[bool, str]:
    """The vector store cannot be written: no query counts as embedded; all are once it is back."""

    def embedded(running: Running) -> int:
        store = backend(running.home, "vector_store")
        space = vector_space(HashEmbedder().id, copy.loop.dataset.context)
        ids = [each.id for each in traffic_log(running.home).exchanges(copy.loop.name)]
        return len(store.find(copy.loop.name, space, ids))

    return _fails_then_works(copy, ("query_embeddings",), lambda home: home.vectors, embedded, ROWS)


def _fails_then_works(
    copy: CopiedLoop, nodes: tuple[str, ...], store: Callable[[Home], Path], count: Callable[[Running], int], wanted: int
) -> tuple[bool, str]:
    with copy.serving() as running:
        running.ask(ROWS)
        path = store(running.home)
        path.mkdir(exist_ok=True)
        with away(path):
            failed, why = _materialized(copy, running, nodes)
        served = {reply.status_code for reply in running.ask(ROWS)}
        if not path.exists() or not any(path.iterdir()):
            shutil.rmtree(path, ignore_errors=True)  # as it was before its first use
        worked, _ = _materialized(copy, running, nodes)
        found = count(running)
        held = not failed and worked and found >= wanted and served == {200}
        return held, f"the run failed: {why}; {found} stored once the store was back"


def _materialized(copy: CopiedLoop, running: Running, nodes: tuple[str, ...]) -> tuple[bool, str]:
    """Whether a run of these nodes succeeded, and why not."""
    selected = dg.AssetSelection.assets(*(node(copy.loop.name, name) for name in nodes))
    job = dg.define_asset_job("drill", selection=selected)
    parts = resources(running.home) | {"embedder_of": lambda settings: HashEmbedder(), "serving": running.serving_api}
    definitions = dg.Definitions.merge(build_loop(copy.loop), dg.Definitions(resources=parts, executor=dg.in_process_executor, jobs=[job]))
    result = definitions.resolve_job_def("drill").execute_in_process(instance=running.instance, raise_on_error=False)
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    first = next((error.cause or error for error in errors if error), None)
    return result.success, first.message.strip() if first else ""
