"""A Ray cluster from outside: connecting to it, and what its nodes have."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ftassets.config.loop import RayCluster
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.errors import in_one_line
from ftassets.workers.process import Report, Terminated
from ftassets.workers.training.ray_worker import check_software, software

POLL = 1.0  # s
PATIENCE = 60.0  # s for one answer of the cluster
_REACH = 10.0  # s for its port to open


@contextmanager
def connected(
    cluster: RayCluster, report: Report = lambda _: None, stop_asked: Callable[[], bool] = lambda: False, within: float = 0.0
) -> Iterator[None]:
    """Connected to the cluster in the block; for `within` seconds it is tried again.

    Raises TrainingStopped when it cannot be reached or has another version, Terminated when it is lost or `stop_asked` returns true.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise TrainingStopped("train.ray needs Ray on this machine: pip install 'ftassets[ray]'") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    until = time.monotonic() + within
    while True:
        try:
            host, _, port = cluster.address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()  # Ray itself tries for half a minute
            handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
            ray.init(cluster.address, logging_level=logging.ERROR, log_to_driver=False)
            for number, handler in handlers.items():  # Ray's own would end this process without a checkpoint
                signal.signal(number, handler)
            break
        except (OSError, RuntimeError) as error:
            text = in_one_line(error)[:300]
            if "version" in text.lower() and "mismatch" in text.lower() or "Python" in text:
                raise TrainingStopped(f"Ray at {cluster.address} is of another version: {text}") from error
            if time.monotonic() > until:
                raise TrainingStopped(
                    f"the Ray cluster at {cluster.address} cannot be reached ({text}): check the address, and that port 10001 of its head "
                    "is open to this machine"
                ) from error
            if stop_asked():
                raise Terminated("the training was asked to end before the Ray cluster was reached") from error
            report(f"the Ray cluster at {cluster.address} does not answer yet")
            time.sleep(5 * POLL)
    try:
        yield
    except ModuleNotFoundError as error:
        raise TrainingStopped(
            f"the Ray cluster at {cluster.address} does not have this release of ftassets ({in_one_line(error)}): give its head and "
            "nodes the packages of this machine"
        ) from error
    except (RayError, ConnectionError) as error:
        if isinstance(cause := getattr(error, "cause", None), TrainingStopped):
            raise cause from error
        raise Terminated(
            f"the Ray cluster at {cluster.address} was lost ({in_one_line(error)[:200]}): its head or network failed"
        ) from error
    finally:
        ray.shutdown()


def need_same_software() -> None:
    """Raises TrainingStopped if a node of the connected cluster has other packages than this machine."""
    import ray

    ray.get(ray.remote(check_software).options(num_cpus=0).remote(software()), timeout=PATIENCE)


def resources_of_nodes() -> list[dict[str, float]]:
    """What each node of the connected cluster has in all, as Ray names it."""
    import ray

    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
