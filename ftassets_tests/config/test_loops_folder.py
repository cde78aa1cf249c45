"""Where commands find the loops: named, in the Dagster project, or where `ftassets up` last found them."""

from pathlib import Path

import pytest
import yaml

from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS, UnknownLoop
from ftassets.config.loops_folder import VARIABLE, NoLoops, loops_folder, record, recorded
from ftassets.errors import ConfigurationError
from ftassets.testing.releases import loop_config
from ftassets_tests import ROOT
from ftassets_tests.config.test_dagster_project import write


def put_loop(folder: Path, name: str) -> Path:
    """A loop file in a folder of its own; returns the folder."""
    attributes = loop_config(name).model_dump(mode="json", exclude_unset=True)
    (folder / name).mkdir(parents=True)
    (folder / name / "defs.yaml").write_text(yaml.safe_dump({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
    return folder


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in no project."""
    place = tmp_path / "nowhere"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.delenv(VARIABLE, raising=False)
    return place


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write(tmp_path / "project")
    put_loop(root / "src/shop/defs", "theirs")
    return root


def test_the_named_folder_counts_more_than_the_project_and_that_more_than_the_last_up(
    home: Home, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoLoops, match="no loop here: the working directory is in no Dagster project. `ftassets init NAME` writes a loop"):
        loops_folder(home)
    record(home, put_loop(tmp_path / "last", "last"))
    assert list(loops_folder(home).loops) == ["last"]
    assert loops_folder(home).project is None
    for inside in (project, project / "src/shop"):
        monkeypatch.chdir(inside)
        found = loops_folder(home)
        assert (list(found.loops), found.path) == (["theirs"], project / "src/shop/defs")
        assert found.project is not None
        assert found.project.root == project
    monkeypatch.chdir(tmp_path)
    put_loop(tmp_path / "named", "named")
    for named in ("named", str(tmp_path / "named")):
        monkeypatch.setenv(VARIABLE, named)
        assert (list(loops_folder(home).loops), loops_folder(home).path) == (["named"], tmp_path / "named")
    monkeypatch.setenv(VARIABLE, "")
    assert list(loops_folder(home).loops) == ["last"]


def test_a_project_without_loops_is_passed_over(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "project")
    (root / "src/shop/defs/table").mkdir()
    (root / "src/shop/defs/table/defs.yaml").write_text("type: dagster_dbt.DbtProjectComponent\nattributes: {name: support}\n")
    monkeypatch.chdir(root)
    with pytest.raises(NoLoops, match=rf"no loop below {root}/src/shop/defs \(the Dagster project {root}\)\. `ftassets init"):
        loops_folder(home)
    record(home, put_loop(tmp_path / "last", "last"))
    assert list(loops_folder(home).loops) == ["last"]


def test_a_project_without_its_folder_of_definitions_is_told_so(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "src/shop/defs").rename(project / "src/shop/moved")
    monkeypatch.chdir(project)
    with pytest.raises(NoLoops, match=rf"no loop here: the Dagster project {project} has no folder {project}/src/shop/defs\."):
        loops_folder(home)


def test_the_loops_of_the_package_are_found_only_by_name(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(NoLoops, match="there is no loop here"):
        loops_folder(home)
    monkeypatch.setenv(VARIABLE, "ftassets/loops")
    found = loops_folder(home)
    assert found.path == LOOPS
    assert found.project is not None
    assert found.project.module == "ftassets.definitions"


def test_a_part_of_a_project_is_not_the_project(home: Home, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_loop(project / "src/shop/defs", "second")
    monkeypatch.setenv(VARIABLE, str(project / "src/shop/defs/theirs"))
    found = loops_folder(home)
    assert (list(found.loops), found.project) == (["theirs"], None)


def test_what_is_wrong_with_the_folder_is_said_with_its_place(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(home, put_loop(tmp_path / "last", "last"))
    with pytest.raises(UnknownLoop, match=rf"no loop 'x' below {tmp_path}/last \(where `ftassets up` last found them\); there is: last$"):
        loops_folder(home).named("x")
    (tmp_path / "last").rename(tmp_path / "moved")
    with pytest.raises(NoLoops, match=rf"were in {tmp_path}/last, which is gone\. `ftassets init"):
        loops_folder(home)
    home.loops_file.write_text("[")
    with pytest.raises(
        ConfigurationError, match=r"loops.json cannot be used \(JSONDecodeError\): delete it and name the loops with --loops"
    ):
        recorded(home)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nonesuch"))
    with pytest.raises(ConfigurationError, match="nonesuch cannot be read: No such file or directory"):
        loops_folder(home)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "home"))
    with pytest.raises(NoLoops, match=rf"no loop below {tmp_path}/home \(named by --loops or FTASSETS_LOOPS\)"):
        loops_folder(home)
