"""Control: the contract on each backend, and what only files can show."""

from pathlib import Path

import pytest

from ftassets.backends.control.files import FilesControl
from ftassets.testing.contracts.control import KEY, LOG, ControlContract
from ftassets.testing.postgres_server import PostgresServer


class TestFiles(ControlContract):
    """Files below the home."""

    backend = "ftassets.backends.control.files:FilesControl"

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "home")

    def test_files_have_the_names_of_their_keys(self, control: FilesControl, place: str) -> None:
        control.write(KEY, b"{}")
        control.append(LOG, b"{}")
        assert Path(place, KEY).read_bytes() == b"{}"
        assert Path(place, LOG).read_bytes() == b"{}\n"

    def test_a_link_that_leads_nowhere_is_deleted(self, control: FilesControl, place: str) -> None:
        path = Path(place, KEY)
        path.parent.mkdir(parents=True)
        path.symlink_to("nowhere")
        control.delete(KEY)
        assert not path.is_symlink()

    def test_a_torn_last_line_is_left_out_and_then_cut_off(
        self, control: FilesControl, place: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        control.append(LOG, b"first")
        with Path(place, LOG).open("ab") as file:
            file.write(b'{"number": 2, "lo')
        assert control.lines(LOG) == [b"first"]
        assert control.ends(LOG) == (b"first", b"first")
        assert Path(place, LOG).read_bytes().endswith(b"lo"), "who only reads changes nothing"
        assert "is left out" in caplog.text
        control.append(LOG, b"second")
        assert control.lines(LOG) == [b"first", b"second"]
        assert "was cut off" in caplog.text

    def test_a_log_that_is_one_torn_line_begins_anew(self, control: FilesControl, place: str) -> None:
        Path(place, "gateway").mkdir(parents=True)
        Path(place, LOG).write_bytes(b"torn")
        assert control.lines(LOG) == []
        assert control.ends(LOG) is None
        control.append(LOG, b"first")
        assert Path(place, LOG).read_bytes() == b"first\n"

    @pytest.mark.parametrize("kind", ["document", "line"])
    def test_a_full_disk_leaves_what_was_there(self, control: FilesControl, place: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        control.write(KEY, b"old")
        control.append(LOG, b"old")
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(OSError, match="No space"):
                control.write(KEY, b"new") if kind == "document" else control.append(LOG, b"new")
        assert control.read(KEY) == b"old"
        assert control.lines(LOG) == [b"old"]
        assert not [path for path in Path(place).rglob(".*")]
        control.append(LOG, b"newer")
        assert control.lines(LOG) == [b"old", b"newer"]


class TestPostgres(ControlContract):
    """Rows of a database that machines share."""

    backend = "ftassets.backends.control.postgres:PostgresControl"

    @pytest.fixture
    def place(self, postgres: PostgresServer) -> str:
        return postgres.account()
