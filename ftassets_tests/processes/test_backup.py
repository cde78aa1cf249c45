"""A home is stored while it is used, and made again from what was stored."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftassets.backends.control.audit import Head, Sealer, faults
from ftassets.backends.control.base import Locked
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.journal import Journal, read_state
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.main import app
from ftassets.config import profiles
from ftassets.config.home import Home
from ftassets.config.profiles import CONTROL_URL, TRAFFIC_URL
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.errors import InvalidInput
from ftassets.processes import backup
from ftassets.processes.backup import BackupDamaged, back_up, names, newest, restore, verify
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.postgres_server import PostgresServer
from ftassets.testing.releases import attest, make_version, released
from ftassets.testing.tiny_model import make_tiny_model

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a released version, a dataset, requests, keys, and what is of this machine alone."""
    home = Home(tmp_path / "home")
    released(home, "one")
    home.user_secret()
    GitDatasetStore(home.datasets).publish("run-1", {"support/seed.parquet": b"rows"}, "seed", {"loop": "support"})
    SqliteTrafficLog(home.traffic_db).append([exchange(n) for n in range(20)])
    control = FilesControl(home.root)
    control.append("gateway/journal.jsonl", b'{"number": 1}')
    for path in ("work/scratch", "processes/up.json", "gateway/address.json", "training/support/checkpoint-1/weights"):
        (home.root / path).parent.mkdir(parents=True, exist_ok=True)
        (home.root / path).write_text("of this machine")
    (home.root / "mlartifacts" / "empty").mkdir(parents=True)
    return home


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def contents(home: Home) -> dict[str, bytes]:
    """All files but databases and locks."""
    paths = (path for path in home.root.rglob("*") if path.is_file() and ".db" not in path.name and path.suffix != ".lock")
    return {path.relative_to(home.root).as_posix(): path.read_bytes() for path in paths}


def test_a_home_comes_back_as_it_was_with_its_keys(home: Home, target: Path) -> None:
    before, secret, rows = contents(home), home.user_secret(), SqliteTrafficLog(home.traffic_db).exchanges("voice")
    made = back_up(home, target, "correct horse")
    assert made.with_keys
    checked = verify(target, passphrase="correct horse")
    assert (checked.name, checked.releases, checked.versions) == (made.name, 1, 1)
    shutil.rmtree(home.root)
    found = restore(home, target, passphrase="correct horse")
    assert (found.releases, found.versions, found.with_keys) == (1, 1, True)
    local = {"work/scratch", "processes/up.json", "gateway/address.json", "training/support/checkpoint-1/weights"}
    after = contents(home)
    del after["audit/chain.jsonl"]  # which the backup itself brought up to date
    assert after == {path: content for path, content in before.items() if path not in local}
    assert home.user_secret() == secret
    assert (home.keys / "release.pem").stat().st_mode & 0o777 == 0o600
    assert home.keys.stat().st_mode & 0o777 == 0o700
    assert (home.root / "mlartifacts" / "empty").is_dir()
    assert SqliteTrafficLog(home.traffic_db).exchanges("voice") == rows
    assert GitDatasetStore(home.datasets).read("main", "support/seed.parquet") == b"rows"
    assert attest(home, "support", make_version(home, "two")).exists(), "the key signs on"


def test_a_backup_has_the_end_of_the_audit_chain(home: Home, target: Path) -> None:
    back_up(home, target)
    stored = newest(target)
    assert stored is not None
    assert stored.audit is not None
    head, control, signer = Head(*stored.audit), FilesControl(home.root), FolderSigner(home.keys)
    assert (head.number > 0, faults(control, signer, {"a backup": head})) == (True, [])
    control.delete("audit/chain.jsonl")
    assert faults(control, signer, {"a backup": head}) != []


def test_nothing_is_released_while_chain_and_releases_are_copied(home: Home, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked, stored = dict[str, bool](), backup._stored

    def looking(store: object, target: Path, root: Path, path: str, known: object) -> object:
        try:
            with Sealer().sealing(FilesControl(root), FolderSigner(home.keys), 1.0, timeout=0.0):
                locked[path.partition("/")[0]] = False
        except Locked:
            locked[path.partition("/")[0]] = True
        return stored(store, target, root, path, known)

    monkeypatch.setattr(backup, "_stored", looking)
    back_up(home, target)
    assert (locked["audit"], locked["releases"], locked["versions"]) == (True, True, False)


def test_private_keys_are_nowhere_in_a_backup_in_clear(home: Home, target: Path) -> None:
    hidden = [(home.keys / name).read_bytes().strip() for name in ("release.pem", "user.salt")]
    back_up(home, target)
    back_up(home, target, "correct horse")
    stored = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
    assert all(secret not in stored for secret in hidden)
    assert b"BEGIN PUBLIC KEY" in stored
    with pytest.raises(BackupDamaged, match="the passphrase is not the one"):
        verify(target, passphrase="wrong")
    shutil.rmtree(home.root)
    with pytest.raises(InvalidInput, match="give --passphrase-file"):
        restore(home, target)
    assert restore(home, target, without_keys=True).releases == 1, "what was signed verifies without the private key"
    assert not (home.keys / "release.pem").exists()


def test_only_what_is_new_is_stored_again(home: Home, target: Path) -> None:
    (home.root / "mlartifacts" / "large").write_bytes(os.urandom(9 * 2**20))
    first = back_up(home, target)
    log = SqliteTrafficLog(home.traffic_db)
    log.append([exchange(99)])
    second = back_up(home, target)
    assert first.new_bytes > 9 * 2**20
    assert second.new_bytes < 2**20
    assert second.bytes >= first.bytes
    assert len(names(target)) == 2
    shutil.rmtree(home.root)
    restore(home, target, first.name[:21])
    assert SqliteTrafficLog(home.traffic_db).count("voice") == 20


def test_old_backups_and_what_only_they_have_are_removed(home: Home, target: Path) -> None:
    large = home.root / "mlartifacts" / "large"
    large.write_bytes(os.urandom(2**20))
    back_up(home, target)
    large.unlink()
    made = back_up(home, target, keep=1)
    assert (names(target), made.removed_bytes >= 2**20) == ([made.name], True)
    verify(target)


def test_requests_are_stored_while_a_backup_is_made(home: Home, target: Path) -> None:
    log, stop, slowest = SqliteTrafficLog(home.traffic_db, patience=5.0), threading.Event(), [0.0]

    def write() -> None:
        number = 100
        while not stop.is_set():
            begin = time.monotonic()
            assert log.append([exchange(number, prompt="x" * 5000)]) == 1
            slowest[0] = max(slowest[0], time.monotonic() - begin)
            number += 1
        stored.append(number)

    stored: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    made = [back_up(home, target) for _ in range(3)]
    stop.set()
    writer.join()
    assert stored, "no request failed"
    shutil.rmtree(home.root)
    for each in made:
        restore(home, target, each.name)
        rows = sorted(int(row.id.partition("-")[2]) for row in SqliteTrafficLog(home.traffic_db).exchanges("voice"))
        assert rows == [*range(20), *range(100, 100 + len(rows) - 20)], "the log as it was at one moment"
        with sqlite3.connect(home.traffic_db) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        shutil.rmtree(home.root)


def test_a_backup_that_is_killed_leaves_the_ones_before(home: Home, target: Path) -> None:
    first = back_up(home, target)
    for number in range(200):
        (home.root / "mlartifacts" / f"new-{number}").write_bytes(os.urandom(2000))
    ended = 0
    for delay in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        child: Any = FORK.Process(target=back_up, args=(home, target))
        child.start()
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert first.name in names(target)
        verify(target, first.name)
        ended += len(names(target)) > 1
    assert ended < 6, "some were killed at work"
    assert verify(target, back_up(home, target).name).files > first.files
    assert not list(target.glob(".copy-*"))


@pytest.mark.parametrize("what", ["chunk", "gone", "manifest", "release", "version"])
def test_what_was_changed_is_named_and_nothing_is_restored(home: Home, target: Path, what: str) -> None:
    if what == "release":
        [path] = (home.releases / "support").glob("*.dsse.json")
        path.write_bytes(path.read_bytes().replace(b'"payload": "', b'"payload": "A'))
    elif what == "version":
        [path] = home.versions.glob("*/merged/model.safetensors")
        path.write_text("other weights")
        state = EndpointState(production=path.parent.parent.name)
        Journal(FilesControl(home.root)).record("support", "start", "ben", "first", state, 1.0)
    name = back_up(home, target).name
    digest = json.loads((target / "backups" / f"{name}.json").read_bytes())["files"][0]["digest"]
    chunk = target / "chunks" / digest[:2] / digest
    if what == "chunk":
        chunk.write_bytes(b"x")
    elif what == "gone":
        chunk.unlink()
    elif what == "manifest":
        (target / "backups" / f"{name}.json").write_text("{}")
    words = {"chunk": "was changed", "gone": "cannot be read", "manifest": "was changed", "release": "does not verify", "version": "model"}
    with pytest.raises(BackupDamaged, match=words[what]):
        verify(target)
    if what == "chunk":
        chunk.write_bytes(b"x")  # which is set aside now
    shutil.rmtree(home.root)
    with pytest.raises(BackupDamaged, match=words[what]):
        restore(home, target)
    assert not home.root.exists()


def test_a_chunk_that_was_changed_is_set_aside_and_stored_again_by_the_next_backup(home: Home, target: Path) -> None:
    first = back_up(home, target).name
    files = json.loads((target / "backups" / f"{first}.json").read_bytes())["files"]
    digests = [file["digest"] for file in files if not file["path"].endswith(".db")][:2]
    chunks = [target / "chunks" / digest[:2] / digest for digest in digests]
    for chunk in chunks:
        chunk.write_bytes(b"x")
    with pytest.raises(BackupDamaged, match=r"renamed to .*\.bad.*; .*renamed to .*which stores it again"):
        verify(target)
    assert [(chunk.exists(), chunk.with_name(f"{chunk.name}.bad").exists()) for chunk in chunks] == [(False, True)] * 2
    back_up(home, target)
    assert verify(target, first).name == first


def test_a_version_whose_base_left_the_cache_is_named_and_the_others_are_restored(
    home: Home, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = [path.name for path in home.versions.iterdir()]
    linked = make_version(home, "linked")
    cache = home.root.parent / "cache"
    (home.versions / linked / "merged").rename(cache)
    (home.versions / linked / "merged").symlink_to(cache)
    assert back_up(home, target).incomplete == []
    shutil.rmtree(cache)
    monkeypatch.setenv("FTASSETS_HOME", str(home.root))
    stored = CliRunner().invoke(app, ["backup", str(target), "--keep", "1"])
    assert (stored.exit_code, f"not whole in it: version {linked[:12]}: merged/model.safetensors" in stored.stderr) == (1, True)
    assert len(names(target)) == 2
    shutil.rmtree(home.root)
    found = restore(home, target)
    assert (found.versions, len(found.incomplete), linked[:12] in found.incomplete[0]) == (1, 1, True)
    assert (home.versions / whole / "merged" / "model.safetensors").exists()
    Journal(FilesControl(home.root)).record("support", "start", "ben", "first", EndpointState(production=linked), 1.0)
    back_up(home, target)
    shutil.rmtree(home.root)
    with pytest.raises(BackupDamaged, match="an endpoint needs it: version"):
        restore(home, target)


def test_a_mount_point_is_refused_before_anything_is_copied(home: Home, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(home, target)
    shutil.rmtree(home.root)
    home.root.mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == home.root)  # only root may mount
    with pytest.raises(InvalidInput, match="is a mount point"):
        restore(home, target)
    assert not home.root.with_name("home.restoring").exists()


def test_nothing_is_written_over_and_nothing_into_the_home(home: Home, target: Path) -> None:
    with pytest.raises(InvalidInput, match="is in the home"):
        back_up(home, home.root / "backups")
    with pytest.raises(InvalidInput, match="has no backup"):
        verify(target)
    back_up(home, target)
    with pytest.raises(InvalidInput, match="is not empty and is left as it is"):
        restore(home, target)
    with pytest.raises(InvalidInput, match="there is no home"):
        back_up(Home(target / "nowhere"), target)


@pytest.fixture
def on_servers(home: Home, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of the database that has log and control of the home, with a released version in production and requests."""
    url = postgres.account()
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.setenv("FTASSETS_HOME", str(home.root))
    for variable in (TRAFFIC_URL, CONTROL_URL):
        monkeypatch.setenv(variable, url)
    for variable in ("LAKEFS_ENDPOINT", "QDRANT_URL", "MLFLOW_TRACKING_URI"):  # MLflow leaves its own behind in a process that used it
        monkeypatch.delenv(variable, raising=False)
    shutil.rmtree(home.releases)
    Journal(profiles.control(home)).record("support", "start", "ben", "first", EndpointState(production=released(home, "two")), 1.0)
    shutil.rmtree(home.releases)  # which control has
    profiles.traffic_log(home).append([exchange(n) for n in range(5)])
    return url


def test_log_and_control_in_postgresql_come_back_with_the_home(on_servers: str, home: Home, target: Path) -> None:
    log, tables = profiles.traffic_log(home), profiles.databases()
    rows, state = log.exchanges("voice"), read_state(profiles.control(home), "support")
    made = CliRunner().invoke(app, ["backup", str(target), "--json"])
    said = json.loads(made.stdout)
    assert (said["databases"], len(said["outside"])) == (["control", "traffic_log"], 1), made.stderr
    second = back_up(home, target)
    assert second.new_bytes < said["bytes"] / 2, "tables that did not change are hardly stored again"
    assert list(verify(target).databases) == ["control", "traffic_log"]
    log.append([exchange(99)])
    shutil.rmtree(home.root)
    refused = CliRunner().invoke(app, ["restore", str(target)])
    assert (refused.exit_code, "has rows, and nothing is written over" in refused.stderr, home.root.exists()) == (1, True, False)
    for each in tables:
        each.drop()
    restored = CliRunner().invoke(app, ["restore", str(target)])
    assert restored.exit_code == 0, restored.stderr
    assert "1 signed statement and 2 versions verify; without keys, with the tables of control, with the tables of traffic_log" in " ".join(
        restored.stdout.split()
    )
    assert (log.exchanges("voice"), read_state(profiles.control(home), "support")) == (rows, state)
    assert not list(home.root.glob("*.dump"))


def test_tables_are_gone_again_if_the_home_cannot_be_made(on_servers: str, home: Home, target: Path) -> None:
    state = read_state(profiles.control(home), "support")
    assert state is not None
    [production] = state.running
    (home.versions / production / "merged" / "model.safetensors").write_text("other weights")
    back_up(home, target)
    shutil.rmtree(home.root)
    for each in profiles.databases():
        each.drop()
    with pytest.raises(BackupDamaged, match="an endpoint needs it: version"):
        restore(home, target)
    for each in profiles.databases():
        assert not each.dump(target / "none")


def test_without_databases_a_home_comes_back_next_to_its_tables(
    on_servers: str, home: Home, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(home, target)
    shutil.rmtree(home.root)
    assert restore(home, target, with_databases=False).releases == 1, "those of the table that was left alone"
    shutil.rmtree(home.root)
    for variable in (TRAFFIC_URL, CONTROL_URL, "FTASSETS_PROFILE"):
        monkeypatch.delenv(variable)
    with pytest.raises(InvalidInput, match="the backup has the control of a PostgreSQL server: set FTASSETS_PROFILE"):
        restore(home, target)


@pytest.mark.models
def test_a_restored_version_answers_byte_for_byte_as_before(home: Home, tmp_path: Path, target: Path) -> None:
    """Disk gone: the same answers at temperature 0, and every statement verifies."""
    staging = make_tiny_model(tmp_path / "tiny")
    parts = {path.name: path for path in staging.iterdir()}
    digest = make_version(home, "tiny", parts=[f"merged/{name}" for name in parts if name != "model.safetensors"])
    folder = home.versions / digest
    for name, path in parts.items():
        shutil.copyfile(path, folder / "merged" / name)
    digest = _resealed(home, folder)
    attest(home, "support", digest)
    yes = Approval(loop="support", version=digest, report_digest="e" * 64, name="ben", role="lead", reason="good", issued_at=1)
    Releases(FilesControl(home.root), FolderSigner(home.keys)).write("support", digest, "approval", approval_statement(yes))
    before = _answers(home.versions / digest / "merged")
    back_up(home, target, "correct horse")
    shutil.rmtree(home.root)
    found = restore(home, target, passphrase="correct horse")
    assert (found.releases, found.versions) == (3, 2)
    assert _answers(home.versions / digest / "merged") == before


def _resealed(home: Home, folder: Path) -> str:
    """The version of a folder whose files were replaced, under its new digest."""
    from ftassets.backends.artifacts.version_folder import file_digests, publish_below
    from ftassets.domain.release.version import VersionManifest

    manifest = VersionManifest.parse((folder / "manifest.json").read_bytes()).model_copy(update={"files": file_digests(folder)})
    return publish_below(home.versions, folder, manifest)


def _answers(model: Path) -> list[list[int]]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model, local_files_only=True)
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, local_files_only=True)
    with torch.inference_mode():
        return [
            loaded.generate(**tokenizer(text, return_tensors="pt"), do_sample=False, max_new_tokens=24)[0].tolist()
            for text in ("turn on the kitchen light", "set a timer")
        ]
