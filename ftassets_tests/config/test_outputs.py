"""What commands write where people say: nothing that is there is lost, and no input ever."""

import os
from pathlib import Path
from typing import Any

import pytest
import typer

from ftassets.cli.main import app
from ftassets.config.outputs import check_new_file, check_new_folder, replacing, write_file
from ftassets.errors import InvalidInput


def commands(group: Any) -> dict[str, Any]:
    """All commands by their whole name."""
    found = {}
    for name, command in group.commands.items():
        inner = commands(command) if hasattr(command, "commands") else {"": command}
        found |= {f"{name} {rest}".strip(): one for rest, one in inner.items()}
    return found


def test_every_command_that_writes_where_one_says_has_force() -> None:
    options = {name: {each.name for each in command.params} for name, command in commands(typer.main.get_command(app)).items()}
    writing = {name for name, names in options.items() if "out" in names}
    assert {"curate", "export", "label export", "review export"} <= writing
    assert [name for name in sorted(writing) if "force" not in options[name]] == []


def test_a_file_with_content_needs_force_and_an_empty_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    check_new_file(path)
    path.touch()
    check_new_file(path)
    path.write_text("half filled")
    with pytest.raises(InvalidInput, match="exists and is left as it is"):
        check_new_file(path)
    check_new_file(path, force=True)
    with pytest.raises(InvalidInput, match="is a folder"):
        check_new_file(tmp_path, force=True)


def test_a_folder_with_files_needs_force(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "new")
    check_new_folder(tmp_path)
    (tmp_path / "a").touch()
    with pytest.raises(InvalidInput, match="is not empty"):
        check_new_folder(tmp_path)
    check_new_folder(tmp_path, force=True)
    with pytest.raises(InvalidInput, match="is a file"):
        check_new_folder(tmp_path / "a", force=True)


@pytest.mark.parametrize("link", ["the file itself", "a link to it", "a second name", "a folder that holds it", "a link to that folder"])
def test_no_input_is_written_over_even_with_force(tmp_path: Path, link: str) -> None:
    source = tmp_path / "in" / "seed.jsonl"
    source.parent.mkdir()
    source.write_text("rows")
    target = tmp_path / "target"
    if link == "the file itself":
        target = source
    elif link == "a link to it":
        target.symlink_to(source)
    elif link == "a second name":
        os.link(source, target)
    elif link == "a folder that holds it":
        target = source.parent
    else:
        target.symlink_to(source.parent)
    check = check_new_folder if target.is_dir() else check_new_file
    with pytest.raises(InvalidInput, match="written over the input"):
        check(target, force=True, inputs=[source])
    assert source.read_text() == "rows"


def test_what_is_in_a_folder_that_is_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "home" / "traffic.db").write_text("rows")
    with pytest.raises(InvalidInput, match="written over the input"):
        check_new_file(tmp_path / "home" / "traffic.db", force=True, inputs=[tmp_path / "home"])
    with pytest.raises(InvalidInput, match="written over the input"):
        check_new_folder(tmp_path / "home" / "data", force=True, inputs=[tmp_path / "home"])
    check_new_file(tmp_path / "home" / "new.jsonl", inputs=[tmp_path / "home"])


def test_a_folder_with_a_link_to_another_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "out" / "train").symlink_to(tmp_path / "others")
    with pytest.raises(InvalidInput, match="is a link to another folder"):
        check_new_folder(tmp_path / "out", force=True)


def test_a_replaced_name_leaves_what_it_meant_as_it_was(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("rows")
    (tmp_path / "link").symlink_to(mine)
    os.link(mine, tmp_path / "second")
    (tmp_path / ".link.partial").symlink_to(mine)
    for name in ("link", "second", "new/file"):
        with replacing(tmp_path / name) as file:
            file.write(b"result")
        assert (tmp_path / name).read_text() == "result"
        assert not (tmp_path / name).is_symlink()
    assert mine.read_text() == "rows"
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "link") as file:
        file.write(b"half of it" * (1 // 0))
    assert (tmp_path / "link").read_text() == "result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine", "new", "second"]


def test_a_file_is_written_through_a_link_and_with_the_rights_of_any_new_file(tmp_path: Path) -> None:
    link, plain = tmp_path / "link", tmp_path / "plain"
    link.symlink_to(tmp_path / "there")
    write_file(link, "text")
    plain.touch()
    assert link.is_symlink()
    assert (tmp_path / "there").read_text() == "text"
    assert (tmp_path / "there").stat().st_mode == plain.stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "plain", "there"]
    write_file(Path("/dev/null"), "text")
    write_file(tmp_path / "none" / "file", "text")
    assert (tmp_path / "none" / "file").read_text() == "text"
