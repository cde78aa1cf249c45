"""The whole process tree, with real supervisord, real gateway and real model servers."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import load_manifest, publish
from ftassets.backends.model_client.latency import interleaved_latency
from ftassets.backends.serving.base import ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts
from ftassets.domain.chat import Asked
from ftassets.domain.release.version import VersionManifest
from ftassets.processes.backup import back_up, restore
from ftassets.processes.code_location import loading, silent_daemons
from ftassets.processes.supervisord_conf import supervisor_socket
from ftassets.processes.up import MARK, OPTIONS, UpFailed, down, end_strays, free_ports, running, up
from ftassets.testing.releases import attest, loop_config
from ftassets.testing.tiny_model import make_tiny_model
from ftassets_tests import ROOT
from ftassets_tests.config.test_dagster_project import write
from ftassets_tests.config.test_loops_folder import put_loop
from ftassets_tests.gateway.test_chat import wait_until


def tree(home: Home) -> dict[str, psutil.Process]:
    """Processes below this home's supervisord, by what they are."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) != str(home.root.resolve()):
                continue
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        for name, sign in (
            ("supervisord", "supervisor.supervisord"),
            ("gateway", "-m ftassets.gateway "),
            ("model", "serve merged"),
            ("code", "code-server start"),
            ("ui", "dagster_webserver"),
            ("daemon", "dagster._daemon"),
        ):
            if sign in line:
                found[name] = process
    return found


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "my #1 'q' ü 100% home")  # whatever a path may have


@pytest.fixture
def loops(tmp_path) -> Path:
    """A folder with one loop file."""
    folder = tmp_path / "loops" / "support"
    folder.mkdir(parents=True)
    attributes = loop_config().model_dump(mode="json", exclude_unset=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
    return folder.parent


@pytest.fixture
def clean(home) -> Iterator[Home]:
    yield home
    down(home)
    assert not tree(home)


def tiny_release(home: Home, name: str = "first") -> str:
    """A released version with the weights of a real, tiny model; those of two names are two versions."""
    staging = home.root / f"staging-{name}"
    make_tiny_model(staging / "merged")
    (staging / "name.txt").write_text(name)
    manifest = VersionManifest(
        kind="base",
        base_model="tiny",
        files=file_digests(staging),
        tokenizer_digest="0" * 64,
        generation={"temperature": 0.0, "max_tokens": 8},
    )
    digest = publish(artifacts(home), staging, manifest)
    attest(home, "support", digest)
    return digest


@pytest.mark.slow
def test_real_model_server_through_every_kill_and_the_loss_of_its_disk(clean, loops, tmp_path):
    home, ports = clean, free_ports()
    up(home, ports, code=None, loops=loops, foreground=False)
    digest, serving = tiny_release(home), GatewayServing(home)
    serving.start("support", digest, 100, 60, "test", "first")
    client = httpx.Client(base_url=f"http://127.0.0.1:{ports.gateway}", timeout=60, trust_env=False)

    def ask(prompt: str = "turn on", **fields) -> httpx.Response:
        messages = [{"role": "user", "content": prompt}]
        return client.post("/v1/chat/completions", json={"model": "support", "messages": messages, **fields})

    answer = ask()
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ftassets-version"] == digest
    streamed = ask(stream=True)
    assert streamed.text.endswith("data: [DONE]\n\n")
    whole, parts = SqliteTrafficLog(home.traffic_db).exchanges("support")
    assert (whole.answer, whole.tokens_out) == (parts.answer, parts.tokens_out)
    assert parts.first_token_ms <= parts.latency_ms
    times = interleaved_latency(
        {"candidate": serving.stage("support", digest, 60)}, [Asked.of("turn on"), Asked.of("turn off")], loop_config().task
    )
    assert all(0 < each.first_ms <= each.whole_ms for each in times["candidate"])

    # a prompt that would end the engine is refused, and the engine lives
    assert ask("z " * 5000).json()["error"]["code"] == "context_length_exceeded"
    assert ask("z " * 3700, max_tokens=100_000).status_code in (200, 400)
    assert ask().status_code == 200

    # nothing was written into the version, so its digest still holds
    assert file_digests(home.versions / digest) == load_manifest(artifacts(home), digest).files
    before = tree(home)
    assert before.keys() == {"supervisord", "gateway", "model"}

    # a gateway that comes back finds its model server
    before["gateway"].kill()
    wait_until(lambda: answers(ask), 30)
    after = tree(home)
    assert after["model"].pid == before["model"].pid
    assert after["gateway"].pid != before["gateway"].pid

    # a model server comes back by itself
    after["model"].kill()
    wait_until(lambda: tree(home).get("model", after["model"]).pid != after["model"].pid, 30)
    wait_until(lambda: answers(ask), 60)

    # supervisord takes its children along and everything comes back
    before = tree(home)
    before["supervisord"].kill()
    gone, alive = psutil.wait_procs(before.values(), timeout=5)
    assert not alive
    wait_until(lambda: answers(ask), 90)
    assert running(home)

    said = ask().json()["choices"]
    back_up(home, tmp_path / "disk", "correct horse")  # while it serves

    # weights that were changed on disk do not come back
    weights = home.versions / digest / "merged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    tree(home)["model"].kill()

    def refused() -> bool:
        status = ask().status_code  # why is for the log and the operator
        return status == 503 and "was changed" in (SqliteTrafficLog(home.traffic_db).exchanges("support")[-1].error or "")

    wait_until(refused, 60)

    assert down(home)
    assert not tree(home)
    assert running(home) is None
    with pytest.raises(ServingError, match="ftassets up"):
        serving.state("support")

    # the home is gone, and a restored one answers byte for byte what it answered
    shutil.rmtree(home.root)
    found = restore(home, tmp_path / "disk", passphrase="correct horse")
    assert (found.releases, found.versions, found.incomplete) == (1, 1, ())
    up(home, ports, code=None, loops=loops, foreground=False)
    wait_until(lambda: answers(ask), 90)
    again = ask()
    assert (again.json()["choices"], again.headers["x-ftassets-version"]) == (said, digest)


def engine(digest: str) -> psutil.Process | None:
    """The process that serves a version."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "serve merged" in " ".join(process.cmdline()) and process.cwd().endswith(digest):
                return process
    return None


@pytest.mark.slow
def test_production_answers_for_a_canary_whose_engine_is_killed_and_while_its_loop_file_is_broken(clean, loops):
    home, ports = clean, free_ports()
    file = loops / "support" / "defs.yaml"
    described = yaml.safe_load(file.read_text())
    described["attributes"]["rollout"] = {"server_patience": "45s"}
    file.write_text(yaml.safe_dump(described))
    up(home, ports, code=None, loops=loops, foreground=False)
    production, candidate, serving = tiny_release(home), tiny_release(home, "second"), GatewayServing(home)
    serving.start("support", production, 100, 60, "test", "first")
    serving.start("support", candidate, 50, 600, "test", "canary")
    client = httpx.Client(base_url=f"http://127.0.0.1:{ports.gateway}", timeout=60, trust_env=False)

    def ask(user: str = "") -> httpx.Response:
        body = {"model": "support", "messages": [{"role": "user", "content": "turn on"}], "user": user}
        return client.post("/v1/chat/completions", json=body)

    user = next(name for name in map(str, range(100)) if ask(name).headers["x-ftassets-version"] == candidate)
    engine(candidate).kill()
    wait_until(lambda: ask(user).headers.get("x-ftassets-fallback-for") == candidate, 10)
    wait_until(lambda: ask(user).headers.get("x-ftassets-version") == candidate, 90)  # it came back within its patience
    assert serving.state("support").candidate == candidate

    weights = home.versions / candidate / "merged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    engine(candidate).kill()
    wait_until(lambda: [each.action for each in serving.newest("support", 1)] == ["rollback"], 90)
    [last] = serving.newest("support", 1)
    assert (last.action, last.by, serving.state("support").rejected) == ("rollback", "gateway", (candidate,))
    said = "the candidate's model server has not answered for 45 s while production's does: "
    assert re.match(said + ".*(was changed|starting again after: its server ended)", last.reason)
    assert ask(user).headers["x-ftassets-version"] == production

    assert down(home)
    file.write_text(file.read_text().replace("golden_set", "goldenset"))
    up(home, ports, code=None, loops=loops, foreground=False)
    said = (home.processes / "logs" / "up.log").read_text()
    assert f"{file}:" in said
    assert "support is served as before, without reports, retrains and rollouts. Correct it and start `ftassets up` again" in said
    wait_until(lambda: answers(ask), 90)
    assert ask(user).headers["x-ftassets-version"] == production


def answers(ask) -> bool:
    try:
        return ask().status_code == 200
    except httpx.HTTPError:
        return False


def test_second_up_and_taken_ports_are_refused_in_one_sentence(clean, loops, tmp_path):
    ports = free_ports()
    up(clean, ports, code=None, loops=loops, foreground=False)
    for foreground in (True, False):
        with pytest.raises(UpFailed, match=rf"already runs in .* \(pid {running(clean).pid}\): stop that one first$"):
            up(clean, free_ports(), code=None, loops=loops, foreground=foreground)
    other = Home(tmp_path / "other")
    with pytest.raises(
        UpFailed, match=rf"^port {ports.gateway} \(gateway\) cannot be used .*: stop what uses it, or choose another with --gateway-port$"
    ):
        up(other, ports, code=None, loops=loops, foreground=False)
    assert running(clean)
    assert not running(other)


def test_missing_dagster_yaml_is_named(home, loops, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(UpFailed, match=rf"no dagster.yaml in {tmp_path}: unset DAGSTER_HOME, or set it to the folder that has one"):
        up(home, free_ports(), loops=loops, foreground=False)


def test_strays_of_an_earlier_life_are_ended_and_others_are_not(home):
    def sleeper(**environment) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, **environment})

    home.root.mkdir(parents=True)
    stray = sleeper(**{MARK: str(home.root.resolve())})
    bystanders = [sleeper(FTASSETS_HOME=str(home.root)), sleeper(**{MARK: "/somewhere/else"})]
    time.sleep(0.3)
    assert end_strays(home) == [stray.pid]
    stray.wait(5)
    for bystander in bystanders:
        assert bystander.poll() is None
        bystander.kill()
        bystander.wait()


def test_sockets_of_deep_homes_stay_short(tmp_path):
    shallow, deep = tmp_path / "processes", tmp_path / ("x" * 90) / "processes"
    assert supervisor_socket(Path("/srv/home/processes")) == Path("/srv/home/processes/supervisor.sock")
    assert len(str(supervisor_socket(deep))) < 90
    assert supervisor_socket(deep) != supervisor_socket(shallow)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_every_process(clean, loops, number):
    up(clean, free_ports(), code=None, loops=loops, foreground=False)
    found = running(clean)
    os.kill(found.pid, number)
    psutil.wait_procs([psutil.Process(found.pid)], timeout=30)
    assert not tree(clean)
    assert running(clean) is None


@pytest.mark.parametrize("signals", [1, 2])
def test_a_stop_waits_for_answers_under_way_and_says_so_and_a_second_signal_does_not_wait(clean, loops, signals):
    ports = free_ports()
    up(clean, ports, code=None, loops=loops, foreground=False)
    process, log = psutil.Process(running(clean).pid), clean.processes / "logs" / "up.log"
    body = b'{"model": "nonesuch", "messages": [{"role": "user", "content": "hello"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", ports.gateway), timeout=20) as client:
        client.sendall(head.encode() + body[:10])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: "requests under way: waiting up to 28 s for their answers; Ctrl-C again waits no longer" in log.read_text(), 10)
        time.sleep(1)
        assert process.is_running()
        if signals == 1:
            client.sendall(body[10:])
            assert client.recv(9999).startswith(b"HTTP/1.1 404 ")
        else:
            process.send_signal(signal.SIGTERM)
        gone, _ = psutil.wait_procs([process], timeout=10)
    assert gone
    assert not tree(clean)


PROJECT = """
import ftassets
import dagster as dg
from pathlib import Path
from shop.own import COLOUR

@dg.definitions
def defs():
    loops = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(loops, dg.Definitions(resources=ftassets.resources()))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_homes_run_beside_each_other_each_with_its_own_definitions(tmp_path):
    """One serves a project in a folder with an odd name and modules that shadow libraries; the definitions of the other are broken."""
    project = write(tmp_path / "my #1 project")
    put_loop(project / "src/shop/defs", "kitchen")
    for file in ("seed.jsonl", "golden.jsonl"):
        (project / "src/shop/defs/kitchen" / file).touch()
    for package in ("src/shop", "src/shop/defs"):
        (project / package / "__init__.py").touch()
    (project / "src/shop/own.py").write_text("COLOUR = 'red'")
    (project / "src/shop/definitions.py").write_text(PROJECT)
    other = tmp_path / "other"
    put_loop(other / "loops", "office")
    (other / "broken.py").write_text("raise KeyError('no such table')")
    for folder in (project, other):
        for name in ("gql.py", "queue.py", "supervisor.py"):
            (folder / name).write_text("raise SystemExit('a module of the working directory was imported')")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("FTASSETS_", "DAGSTER_"))}
    variables |= {"PYTHONPATH": f":{ROOT}", "PYTHONUNBUFFERED": "1"}
    started = []
    homes = [Home(folder / ".ftassets") for folder in (project, other)]
    try:
        for folder, more in ((project, []), (other, ["--loops", "loops", "--definitions", "broken"])):
            ports = free_ports()
            options = [str(word) for name, port in asdict(ports).items() for word in (OPTIONS[name], port)]
            with (tmp_path / f"{folder.name}.log").open("wb") as log:
                command = [sys.executable, "-P", "-m", "ftassets.cli", "up", *options, *more]
                started.append(subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT))

        def said(folder: Path) -> str:
            return (tmp_path / f"{folder.name}.log").read_text()

        wait_until(lambda: "Ctrl-C ends all" in said(project) and "Ctrl-C ends all" in said(other), 180)
        wait_until(lambda: "broken cannot be used: KeyError: 'no such table'" in said(other), 120)
        url = f"http://127.0.0.1:{running(homes[0]).ports.ui}"
        wait_until(lambda: loading(url, "my #1 project", ["kitchen"]).whole, 120)
        assert "cannot be used" not in said(project)
        assert said(other).index("no report, retrain or rollout can start: ") < said(other).index("Ctrl-C ends all"), "no word of success"
        for home, expected in zip(homes, ({"definitions": True, "Dagster daemon": True}, {"definitions": False}), strict=True):
            command, there = (
                [sys.executable, "-P", "-m", "ftassets.cli", "doctor", "--json"],
                {**variables, "FTASSETS_HOME": str(home.root)},
            )
            done = subprocess.run(command, cwd=tmp_path, env=there, text=True, capture_output=True, check=False)
            findings = {each["subject"]: each["ok"] for each in json.loads(done.stdout)["findings"]}
            assert {subject: findings.get(subject) for subject in expected} == expected, done.stdout
        assert silent_daemons(url) == []
        priorities = {name: process.nice() - psutil.Process().nice() for name, process in tree(homes[0]).items()}
        assert (priorities["gateway"], priorities["code"], priorities["daemon"]) == (0, 10, 10), "a run must not slow an answer"
        before = tree(homes[0])["code"]
        max(before.children(recursive=True), key=lambda each: each.memory_info().rss).kill()  # the definitions' own, as out of memory
        wait_until(lambda: "which is started again" in said(project), 120)
        wait_until(lambda: "are loaded now" in said(project) and loading(url, "my #1 project", ["kitchen"]).whole, 120)
        assert tree(homes[0])["code"].pid != before.pid
        tree(homes[0])["daemon"].suspend()  # it hangs: supervisord sees nothing of it
        wait_until(lambda: bool(silent_daemons(url, silence=45.0)), 120)
        for home, loop in zip(homes, ("kitchen", "office"), strict=True):  # from another folder, by what `up` recorded
            command = [sys.executable, "-P", "-m", "ftassets.cli", "status", "--json"]
            out = subprocess.check_output(command, cwd=tmp_path, env={**variables, "FTASSETS_HOME": str(home.root)}, text=True)
            found = json.loads(out)
            assert (found["gateway"], list(found["loops"])) == ("up", [loop])
        assert tree(homes[0]).keys() == tree(homes[1]).keys() == {"supervisord", "gateway", "code", "ui", "daemon"}
        assert tree(homes[0])["code"].cwd() == str(project)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
    assert not tree(homes[0])
    assert not tree(homes[1])
