"""The configuration as supervisord itself reads it, in folders of any name."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from ftassets.errors import ConfigurationError
from ftassets.processes.supervisord_conf import code_server, environment, group, path_problem, program, supervisord

ODD = "my #1 'q' \"x\" ü 100% ;home"


def test_supervisord_reads_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = tmp_path / ODD / "processes"
    for folder in ("logs", "programs"):
        (processes / folder).mkdir(parents=True)
    started = [f"/{ODD}/python", "-P", "-m", "dagster", "-d", f"/{ODD}/src"]
    for name, value in environment(started, f"/{ODD}").items():
        monkeypatch.setenv(name, value)
    arguments = ["-m", "ftassets.gateway", "--host", "it's 100%"]
    sections = [supervisord(processes), program("gateway", arguments), code_server("code"), group("ftassets", ["gateway", "code"])]
    (processes / "supervisord.conf").write_text("\n".join(sections))
    (processes / "programs" / "model.conf").write_text(program("model", ["-m", "serve"], autorestart="unexpected"))
    monkeypatch.chdir(processes)

    options = ServerOptions()
    options.realize(["-c", "supervisord.conf"])
    assert options.configroot.supervisord.logfile == "logs/supervisord.log"
    assert options.configroot.supervisord.server_configs[0]["file"] == os.path.realpath(processes / "supervisor.sock") or (
        len(os.fsencode(processes)) > 70
    )
    found = {each.name: each for group in options.process_group_configs for each in group.process_configs}
    guard = ["setpriv", "--pdeathsig", "KILL"]

    def command(name: str) -> list[str]:
        words = shlex.split(found[name].command)
        return words[3:] if words[:3] == guard else words

    assert command("gateway") == [sys.executable, "-P", *arguments]
    assert command("model") == [sys.executable, "-P", "-m", "serve"]
    assert command("code") == ["nice", "-n", "10", *started], "runs yield to those that answer users"
    assert (found["code"].directory, found["gateway"].directory) == (f"/{ODD}", None)
    assert {each.stdout_logfile for each in found.values()} == {f"logs/{name}.log" for name in ("gateway", "code", "model")}


@pytest.mark.parametrize("name", ["a*b", "a?b", "[a]", "a\nb"])
def test_a_home_that_would_be_read_as_a_pattern_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the path of the home .* in it: set FTASSETS_HOME to a folder without$"):
        supervisord(tmp_path / name / "processes")
    assert path_problem(tmp_path / ODD / "processes") is None


def test_an_argument_that_would_be_cut_off_is_refused() -> None:
    for argument in ("a #b", "a\t;b", "a\nb"):
        with pytest.raises(ConfigurationError, match="supervisord would cut off"):
            program("gateway", [argument])
    assert "a#b;c" in program("gateway", ["a#b;c"])
