"""No command shows a traceback for anything a user can cause: each error is one sentence on stderr and exit code 1."""

import importlib
import inspect
import json
import os
import pkgutil
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import ftassets
from ftassets.backends.registry import mlflow
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli import loops
from ftassets.cli.main import app
from ftassets.config import loop_files
from ftassets.config.home import Home
from ftassets.config.profiles import TRAFFIC_URL
from ftassets.errors import FtassetsError
from ftassets.exits import DEBUG
from ftassets.testing.releases import make_version
from ftassets_tests import ROOT
from ftassets_tests.config.test_profiles import SETTINGS

LOOP = "support_triage"
GOLDEN = loop_files.LOOPS / LOOP / "golden.jsonl"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    for name in (*SETTINGS, "FTASSETS_PROFILE", TRAFFIC_URL, DEBUG):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / "home")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str) -> str:
    """What the command says on stderr when it ends with exit code 1."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, ""), (result.output, result.exception)
    assert "Traceback" not in result.stderr
    assert "a bug in ftassets" not in result.stderr
    assert result.stderr.strip()
    return result.stderr


def every_class() -> Iterator[type[FtassetsError]]:
    for module in pkgutil.walk_packages(ftassets.__path__, "ftassets."):
        if not module.name.startswith("ftassets.loops") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[FtassetsError]] = [FtassetsError]
    while waiting:
        kind = waiting.pop()
        waiting += [child for child in kind.__subclasses__() if child.__module__.startswith("ftassets.")]
        yield kind


def made(kind: type[FtassetsError]) -> FtassetsError:
    """An error of a class; those that build their message take other arguments."""
    special: dict[str, tuple[Any, ...]] = {
        "DamagedArray": (3, 1, "no comma after it", "{"), "MergeConflict": (["a path"],), "Problem": (404, "it is not there", "code"),
    }  # fmt: skip
    if kind.__name__ in special:
        return kind(*special[kind.__name__])
    needed = [
        parameter
        for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    return kind(*("what happened, and what to do", *(500 for _ in needed[1:])))


def test_every_class_of_the_tree_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = list(every_class())
    assert len(classes) > 50
    for kind in classes:
        error = made(kind)

        def fail(_: object, error: FtassetsError = error) -> None:
            raise error

        monkeypatch.setattr("ftassets.cli.commands.status.describe", fail)
        for arguments in (["status"], ["status", "--json"]):
            assert refused(*arguments) == f"{error}\n", kind


def test_wrong_usage_is_exit_code_2_and_a_bug_says_how_to_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("rollback").exit_code == 2
    assert run("nonesuch").exit_code == 2
    assert run("up", "--port", "70000").exit_code == 2
    assert run("curate", "/nonesuch.jsonl", "--out", "x").exit_code == 2

    def broken(_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("ftassets.cli.commands.status.describe", broken)
    result = run("status")
    assert (result.exit_code, "Traceback" in result.output) == (1, False)
    assert result.stderr.startswith("ZeroDivisionError: by zero (a bug in ftassets")
    monkeypatch.setenv(DEBUG, "1")
    assert "Traceback" in run("status").stderr


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ftassets.cli.commands.status.describe", interrupted)
    result = run("status")
    assert (result.exit_code, result.output.strip()) == (130, "")


def test_the_version_is_one_line() -> None:
    assert run("--version").stdout == f"ftassets {ftassets.__version__}\n"


USES_PROFILE = [
    ["plan", LOOP],
    ["keys", "list"],
    ["forget", "--user", "x"],
    ["export", LOOP, "--out", "x"],
    ["label", "import", LOOP, str(GOLDEN)],
    ["approve", LOOP, "--name", "x", "--reason", "x"],
    ["adopt", LOOP, "--adapter", "x", "--reason", "x"],
    ["compare", "a", "b"],
    ["drift", LOOP],
    ["recompute", LOOP, "aa"],
    ["import-traffic", LOOP, str(GOLDEN)],
]


@pytest.mark.parametrize("arguments", USES_PROFILE, ids=lambda arguments: arguments[0])
def test_an_unknown_profile_is_named(arguments: list[str], monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    (home.reports / LOOP).mkdir(parents=True)
    (home.reports / LOOP / f"eval-{'a' * 64}.json").write_text("{}")
    monkeypatch.setenv("FTASSETS_PROFILE", "moon")
    assert "FTASSETS_PROFILE is 'moon'; there is: embedded, production, kubernetes" in refused(*arguments)


def test_doctor_and_status_work_with_an_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "moon")
    monkeypatch.setenv("FTASSETS_HOEM", "x")
    assert run("status").exit_code == 0  # what it shows is in the home
    found = run("doctor", "--json")
    assert found.exit_code == 1
    wrong = {finding["subject"]: finding["text"] for finding in json.loads(found.stdout)["findings"] if not finding["ok"]}
    assert "moon is not known" in wrong["profile"]
    assert "did you mean FTASSETS_HOME?" in wrong["FTASSETS_HOEM"]


def test_production_without_its_variables_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    assert "FTASSETS_PROFILE=production needs LAKEFS_ENDPOINT, " in refused("export", LOOP, "--out", "x")
    assert "FTASSETS_PROFILE=production needs MLFLOW_TRACKING_URI in" in refused("compare", "a", "b")


def test_what_is_in_the_home_needs_no_variable_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    assert run("keys", "list").output.startswith("no keys yet")
    assert "'abc' names no stored decision; nothing is stored: give a file" in refused("replay", "abc")
    assert "it has no human_review gate" in refused("review", "import", LOOP, str(GOLDEN), "--name", "anna")


@pytest.fixture
def servers_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SETTINGS, "FTASSETS_PROFILE": "production"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ftassets.backends.dataset_store.base.RETRY_PAUSES", ())
    monkeypatch.setattr("ftassets.backends.dataset_store.lakefs.PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(mlflow, "RETRY_PAUSES", ())


@pytest.mark.usefixtures("servers_down")
@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_server_that_is_down_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LAKEFS_ENDPOINT" in refused("forget", "--user", "x", "--request", "r1")
    assert "LAKEFS_ENDPOINT" in refused("export", LOOP, "--out", "x")
    assert "MLFLOW_TRACKING_URI" in refused("compare", "a", "b")
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me:s3cr3t@127.0.0.1:9/traffic")
    assert "127.0.0.1:9/traffic cannot be used" in refused("import-traffic", LOOP, str(GOLDEN))
    monkeypatch.setenv(TRAFFIC_URL, "postgresql+psycopg2://me:s3cr3t@127.0.0.1/traffic")
    said = refused("import-traffic", LOOP, str(GOLDEN))
    assert f"{TRAFFIC_URL} is not a URL such as" in said
    assert "s3cr3t" not in said


@pytest.mark.usefixtures("servers_down")
def test_an_extra_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRAFFIC_URL, "postgresql://me:s3cr3t@127.0.0.1:9/traffic")
    monkeypatch.setattr("ftassets.backends.postgres.pool.find_spec", lambda name: None)
    assert "pip install 'ftassets[postgres]'" in refused("import-traffic", LOOP, str(GOLDEN))
    for module in [name for name in sys.modules if name.startswith(("ftassets.demo", "hassil"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "hassil", None)
    assert "pip install 'ftassets[demo]'" in refused("demo", "--exit")


BAD_LOOPS = {
    "bad YAML": (b"type: [", "is not valid YAML"),
    "two documents, one broken": (b"a: 1\n---\n\t- x", "is not valid YAML"),
    "not UTF-8": (b"type: \xff", "is not UTF-8 text (byte 6)"),
    "a field too many": (b"type: ftassets.FineTuneLoop\nattributes: {name: x, s3cr3t: 1}", "s3cr3t: Extra inputs are not permitted"),
    "no attributes": (b"type: ftassets.FineTuneLoop\nattributes:", "Input should be a valid dictionary"),
    "an unset variable": (b"type: ftassets.FineTuneLoop\nattributes: {name: '{{ env.NONESUCH }}'}", "variable NONESUCH, which is not set"),
    "a broken template": (
        b"type: ftassets.FineTuneLoop\nattributes: {name: '{{ 1 / 0 }}'}",
        "name: the template cannot be rendered (ZeroDivisionError)",
    ),
    "a folder": (None, "Is a directory"),
}


@pytest.mark.parametrize("case", BAD_LOOPS)
def test_an_unreadable_loop_file_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, words = BAD_LOOPS[case]
    path = tmp_path / "loops" / "mine" / "defs.yaml"
    path.parent.mkdir(parents=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    monkeypatch.setenv("FTASSETS_LOOPS", str(tmp_path / "loops"))
    for arguments in (
        ["status"],
        ["plan", "mine"],
        ["pause", "mine", "--reason", "x"],
        ["curate", str(GOLDEN), "--out", "x", "--config", str(path)],
    ):
        said = refused(*arguments)
        assert words in said
        assert str(path) in said
    found = run("doctor")
    assert (found.exit_code, "Traceback" in found.output, words in found.output) == (1, False, True)


def test_an_input_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"prompt": "caf\xe9"}\n')
    assert f"{path} is not UTF-8 text" in refused("label", "import", LOOP, str(path))
    assert f"{path} is not UTF-8 text" in refused("review", "import", LOOP, str(path), "--name", "anna")


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    for arguments in (
        ["pause", LOOP, "--reason", "x"],
        ["plan", LOOP],
        ["export", LOOP, "--out", "x"],
        ["compare", "a", "b"],
        ["keys", "rotate"],
        ["up"],
    ):
        assert f"{tmp_path / 'home'} is not a folder: set FTASSETS_HOME to a folder" in refused(*arguments), arguments


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert str(tmp_path / "taken") in refused("curate", str(GOLDEN), "--out", str(tmp_path / "taken" / "x"), "--no-vectors")
    assert str(tmp_path / "taken") in refused("label", "export", LOOP, "--out", str(tmp_path / "taken" / "x")).replace("\n", "")


DAMAGES = {
    "traffic.db": (["plan", LOOP], b"no database, but long enough to be read as the header of one " * 4, "traffic.db"),
    "datasets.git/HEAD": (["export", LOOP, "--out", "x"], b"", "datasets.git"),
    f"vectors/{LOOP}/embedder.json": (["forget", "--request", "r1"], b"{", "vectors"),
    "mlflow.db": (["compare", "a", "b"], b"no database, but long enough to be read as the header of one " * 4, "database"),
    "keys/x.pub.pem": (["keys", "list"], b"no key", "x.pub.pem"),
    "keys/release.pem": (["keys", "rotate"], b"no key", "release.pem"),
    f"reports/{LOOP}/decision-{'a' * 64}.json": (["replay", "a"], b"[" * 100_000, "not a decision"),
    "gateway/address.json": (["rollback", LOOP, "--reason", "x"], b"[]", "ftassets up"),
}


@pytest.mark.parametrize("file", DAMAGES)
def test_a_damaged_file_of_the_home_is_named(file: str, home: Home) -> None:
    arguments, content, words = DAMAGES[file]
    path = home.root / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    if arguments[0] == "forget":  # of a request that is known, so that vectors are looked at
        SqliteTrafficLog(home.root / "traffic.db").forget(request_ids=[arguments[-1]])
    result = run(*arguments)
    assert (result.exit_code, "Traceback" in result.output, "a bug" in result.output) == (1, False, False), result.output
    assert words in result.stderr


def test_a_key_file_that_cannot_be_read_is_named_and_the_others_are_shown(home: Home) -> None:
    key = run("keys", "rotate").stdout.split()[0]
    (home.keys / "folder.pub.pem").mkdir()
    (home.keys / "link.pub.pem").symlink_to("nonesuch")
    (home.keys / "text.pub.pem").write_text("no key")
    listed = run("keys", "list")
    assert (listed.exit_code, f"{key}  active" in listed.stdout) == (1, True)
    found = run("doctor", "--json")
    assert found.exit_code == 1
    said = {finding["subject"]: finding["text"] for finding in json.loads(found.stdout)["findings"]}
    assert "signs, 1 known" in said["signing key"]
    for name in ("folder", "link", "text"):
        assert f"{name}.pub.pem" in said[f"key {name}"]
        assert f"{name}.pub.pem" in listed.stderr
    assert {each["key_id"] for each in json.loads(run("keys", "list", "--json").stdout) if each["unreadable"]} == {"folder", "link", "text"}


def test_a_damaged_manifest_or_report_is_named(home: Home) -> None:
    first, second = make_version(home, "one", LOOP), make_version(home, "two", LOOP)
    report = home.reports / LOOP / f"eval-{'a' * 64}.json"
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"candidate": first}))
    assert f"{report} is not an eval report of this release" in refused("compare", first, second)
    (home.versions / second / "manifest.json").write_text("{")
    assert f"version {second[:12]} has no readable manifest" in refused("compare", first, second)


@pytest.mark.parametrize("arguments", ["--version", "--help", "", "status --help", f"plan {LOOP} --requests 1000", "status --json"])
def test_a_full_disk_below_stdout_is_one_sentence(arguments: str) -> None:
    command = f"{sys.executable} -m ftassets.cli {arguments} > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), cwd=ROOT, check=False)
    if arguments:  # without any the help goes to stderr
        assert (done.returncode, done.stderr) == (1, "No space left on device\n")
    else:
        assert "Traceback" not in done.stderr


def test_wrong_usage_is_exit_code_2_also_when_stderr_is_full() -> None:
    command = f"{sys.executable} -m ftassets.cli nosuch 2> /dev/full"
    assert subprocess.run(["bash", "-c", command], env=environment(), cwd=ROOT, check=False).returncode == 2


NUMBERS = {
    "too much traffic": (["plan", LOOP, "--requests", "1e308"], "1e+308 requests a day cannot be planned with"),
    "no traffic": (["plan", LOOP, "--requests", "-1"], "-1 requests a day cannot be planned with"),
    "no number of requests": (["plan", LOOP, "--requests", "nan"], "nan requests a day cannot be planned with"),
    "no gain": (["plan", LOOP, "--requests", "1000", "--effect", "nan"], "nan"),
    "no share": (["plan", LOOP, "--requests", "1000", "--discordance", "nan"], "nan"),
    "too many digits": (["drift", LOOP, "--window", f"{'9' * 5000}d"], "this duration is too long"),
    "no duration": (["drift", LOOP, "--window", "s3cr3t"], "this is not a duration"),
    "no changes": (["advise", str(GOLDEN), "--changes", "nan", "--json"], "--changes must be a number from 0"),
    "fewer requests": (["advise", str(GOLDEN), "--requests", "-1"], "--requests must be a number from 0"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_cannot_be_used_is_one_sentence(case: str) -> None:
    arguments, words = NUMBERS[case]
    said = refused(*arguments)
    assert words in said
    assert len(said) < 300
    assert "s3cr3t" not in said


NO_UTF8 = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    "arguments", [["pause", LOOP, "--reason", NO_UTF8], ["forget", "--user", NO_UTF8], ["export", LOOP, "--out", "x", "--commit", NO_UTF8]]
)
def test_an_argument_that_is_not_utf8_is_told(arguments: list[str]) -> None:
    assert "not UTF-8 text" in refused(*arguments)


def test_a_uri_that_is_none_is_named() -> None:
    assert "file://[x is not a file:// URI" in refused("adopt", LOOP, "--adapter", "file://[x", "--reason", "x")


def test_a_closed_pipe_is_no_error_of_ours() -> None:
    command = f"{sys.executable} -m ftassets.cli plan {LOOP} --requests 1000 | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), cwd=ROOT, check=False)
    assert "Traceback" not in done.stderr


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def process(*arguments: str, **variables: str) -> str:
    """Last line that a real process writes to stderr before it ends with exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment(**variables), cwd=ROOT, check=False, timeout=120
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_real_processes_end_with_one_sentence(tmp_path: Path, home: Home) -> None:
    home.root.mkdir()
    (tmp_path / "loops" / "mine").mkdir(parents=True)
    (tmp_path / "loops" / "mine" / "defs.yaml").write_text("type: [")
    loops = ("--loops", str(loop_files.LOOPS))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "is 'moon'; there is: embedded" in process("ftassets.cli", "keys", "list", FTASSETS_PROFILE="moon")
        assert f"port {port} (gateway) cannot be used" in process("ftassets.cli", "up", "--gateway-port", port)
        assert f"port {port} (gateway) cannot be used" in process("ftassets.processes.up", *loops, "--gateway-port", port)
        assert f"port {port} on 127.0.0.1 cannot be used" in process("ftassets.gateway", "--port", port, "--admin-port", "0")
        assert "port 70000" in process("ftassets.gateway", "--port", "70000", "--admin-port", "0")
        bad = process("ftassets.gateway", "--port", "0", "--admin-port", "0", FTASSETS_LOOPS=str(tmp_path / "loops"))
        assert "defs.yaml is not valid YAML" in bad
        unused = {TRAFFIC_URL: "postgresql://me:s3cr3t@127.0.0.1:9/traffic"}
        assert "set the profile, or unset the URL" in process("ftassets.gateway", "--port", "0", "--admin-port", "0", **unused)
        assert "FTASSETS_GATE_KEY" in process("ftassets.cli", "gate-service", FTASSETS_GATE_KEY="")
        key = {"FTASSETS_GATE_KEY": "k" * 32}
        assert f"port {port} on 127.0.0.1 cannot be used" in process("ftassets.cli", "gate-service", "--port", port, **key)
        assert "nohost.invalid is not an address" in process("ftassets.cli", "gate-service", "--host", "nohost.invalid", **key)
    said = process("ftassets.cli", "up", "--port", "21810", "--gateway-port", "21810")
    assert said.startswith("port 21810 is given twice (--gateway-port and --port)")


@pytest.mark.skipif(shutil.which("setpriv") is None or os.getuid() != 0, reason="needs root and setpriv, to become another user")
def test_a_home_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    assert loops.app  # the command that makes the folder
    tmp_path.chmod(0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "ftassets.cli"]
    done = subprocess.run(
        [*command, "pause", LOOP, "--reason", "x"],
        capture_output=True, text=True, env=environment(FTASSETS_HOME="/proc/nobody/home"), cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done
