"""The throw-away copy of a loop: its rules and rows, a temporary home, the backends of one machine, and servers without a model."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import requests

from ftassets.automation import rollout
from ftassets.backends.serving.base import Serving
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig, Notify
from ftassets.config.profiles import CONTROL_URL, TRAFFIC_URL, control, traffic_log, verifier
from ftassets.config.row_files import read_rows
from ftassets.domain.dataset.rows import Example
from ftassets.domain.dataset.written import GOLDEN, SEED
from ftassets.drill.faulty_server import Behaviour, engine
from ftassets.testing.releases import attest, make_version
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread

MOST_ROWS = 500  # of seed and golden set that are read: a drill asks whether a guard holds, not how good a model is
CLIENTS = 8
LEASE = 600.0  # seconds


@dataclass
class CopiedLoop:
    """What a fault is injected into. `folder` is removed at the end; each `serving` has a home of its own below it."""

    loop: LoopConfig
    folder: Path

    @cached_property
    def seed(self) -> list[Example]:
        """The first rows of the loop's seed. Raises RowsUnreadable."""
        return list(read_rows(self.loop.dataset.seed, SEED).rows[:MOST_ROWS])

    @cached_property
    def golden(self) -> list[Example]:
        """The first golden rows. Raises RowsUnreadable."""
        return list(read_rows(self.loop.golden_set, GOLDEN).rows[:MOST_ROWS])

    @contextmanager
    def serving(self) -> Iterator["Running"]:
        """A gateway with a production version that answers well."""
        home = Home(Path(tempfile.mkdtemp(dir=self.folder)) / "home")
        home.root.mkdir()
        behaviours: dict[str, Behaviour] = {}
        form, good = self.loop.task.form, [row.completion for row in self.golden]
        answer = next((each for each in good if form.well_formed(each)), good[0] if good else "ok")
        host = ThreadHost(lambda folder: engine(folder.name, behaviours, answer))
        try:
            with (
                run_gateway_in_thread(home, {self.loop.name: self.loop}, host) as (serving, url),
                dg.DagsterInstance.ephemeral() as instance,
            ):
                running = Running(self.loop, home, serving, url, host, instance, behaviours)
                running.production = running.released("production", Behaviour())
                running.start(running.production, 100)
                yield running
        finally:
            host.close()


@dataclass
class Running:
    """A gateway of the copy, and what it serves."""

    loop: LoopConfig
    home: Home
    serving_api: Serving
    url: str
    host: ThreadHost
    instance: dg.DagsterInstance
    behaviours: dict[str, Behaviour]
    production: str = ""
    session: threading.local = field(default_factory=threading.local)

    def released(self, content: str, behaviour: Behaviour, **stated: Any) -> str:
        """A version with a valid release, whose server behaves so; its digest."""
        digest = make_version(self.home, content, **stated)
        self.behaviours[digest] = behaviour
        attest(self.home, self.loop.name, digest)
        return digest

    def start(self, digest: str, weight: int) -> None:
        """Give a version traffic, in percent. Raises Refused."""
        self.serving_api.start(self.loop.name, digest, weight, LEASE, "drill", "drill")

    def host_url(self, digest: str) -> str:
        """Where the server of a version listens; it ends in /v1."""
        return f"{asyncio.run(self.host.running())[digest]}/v1"

    def state(self) -> Any:
        """Where traffic goes now."""
        return self.serving_api.state(self.loop.name)

    def ask(self, users: int, begin: int = 0) -> list[requests.Response]:
        """One request of each of so many users."""

        def one(number: int) -> requests.Response:
            body = {"model": self.loop.name, "user": f"user-{number}", "messages": [{"role": "user", "content": f"question {number}"}]}
            if not hasattr(self.session, "http"):
                self.session.http = requests.Session()
                self.session.http.trust_env = False
            return self.session.http.post(f"{self.url}/v1/chat/completions", json=body, timeout=30)

        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(one, range(begin, begin + users)))

    def tick(self) -> str:
        """One tick of the loop's rollout sensor; what it did, in words."""
        sensor = rollout.build(self.loop)
        resources: dict[str, Any] = {"control": control(self.home), "traffic_log": traffic_log(self.home), "signer": verifier(self.home)}
        resources["serving"] = self.serving_api
        needed = {name: resources[name] for name in sensor.required_resource_keys}
        result = sensor(dg.build_sensor_context(instance=self.instance, resources=needed))
        if isinstance(result, dg.SkipReason):
            return result.skip_message or ""
        requests_made = list(result.run_requests or ()) if isinstance(result, dg.SensorResult) else []
        return "; ".join(str(each.run_config["ops"][f"{self.loop.name}__endpoint"]["config"]["reason"]) for each in requests_made)


@contextmanager
def copied(loop: LoopConfig) -> Iterator[CopiedLoop]:
    """A copy of a loop in a temporary folder; meanwhile this process uses the backends of one machine, whatever the environment says."""
    changed = loop.model_copy(update={"mode": "auto", "notify": Notify(), "rollout": loop.rollout.model_copy(update={"shadow": None})})
    kept = {name: os.environ.get(name) for name in ("FTASSETS_PROFILE", "FTASSETS_HOME", TRAFFIC_URL, CONTROL_URL)}
    with tempfile.TemporaryDirectory(prefix="ftassets-drill-") as folder:
        try:
            for name in kept:
                os.environ.pop(name, None)
            os.environ["FTASSETS_HOME"] = f"{folder}/home"
            yield CopiedLoop(changed, Path(folder))
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
