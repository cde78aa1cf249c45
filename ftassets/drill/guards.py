"""All faults of a drill, cheap ones first, and running them."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ftassets.config.loop import LoopConfig
from ftassets.drill.bad_canaries import failing_canary, worse_canary
from ftassets.drill.bad_releases import edited_attestation, expired_attestation
from ftassets.drill.bad_rows import golden_row_in_the_seed, poisoned_feedback
from ftassets.drill.bad_versions import adapter_that_does_nothing, another_tokenizer, slower_model
from ftassets.drill.copied_loop import CopiedLoop, copied
from ftassets.drill.drifting_traffic import drift
from ftassets.drill.guard_outcome import Outcome
from ftassets.drill.killed_processes import gateway_killed, model_server_killed
from ftassets.drill.lost_stores import artifacts_down, control_down, full_disk, keys_down, traffic_log_down
from ftassets.drill.lost_stores_of_runs import dataset_store_down, vector_store_down
from ftassets.errors import InvalidInput, in_one_line

Fault = Callable[[CopiedLoop], tuple[bool, str]]
_ALL: tuple[Fault, ...] = (
    golden_row_in_the_seed,
    poisoned_feedback,
    adapter_that_does_nothing,
    edited_attestation,
    expired_attestation,
    another_tokenizer,
    slower_model,
    failing_canary,
    worse_canary,
    model_server_killed,
    artifacts_down,
    control_down,
    keys_down,
    dataset_store_down,
    vector_store_down,
    gateway_killed,
    traffic_log_down,
    full_disk,
    drift,
)
GUARDS: dict[str, Fault] = {fault.__name__: fault for fault in _ALL}


def chosen(names: Iterable[str]) -> list[str]:
    """The guards of these names, all without any. Raises InvalidInput, which names what there is."""
    asked = list(names)
    if unknown := [name for name in asked if name not in GUARDS]:
        raise InvalidInput(f"there is no guard {', '.join(unknown)}: it is one of {', '.join(GUARDS)}")
    return [name for name in GUARDS if name in asked or not asked]


@contextmanager
def _quiet() -> Iterator[None]:
    """Faults are logged as errors, which a drill expects: they are not shown."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def drill(loop: LoopConfig, names: Iterable[str]) -> Iterator[Outcome]:
    """Inject each fault into a copy of the loop; a fault that ends in an error did not hold. What runs and servers log is not shown."""
    with copied(loop) as copy, _quiet():
        for name in names:
            begin = time.monotonic()
            try:
                held, seen = GUARDS[name](copy)
            except Exception as error:
                held, seen = False, f"the drill failed: {type(error).__name__}: {in_one_line(error)}"
            yield Outcome(name, held, seen, time.monotonic() - begin)
