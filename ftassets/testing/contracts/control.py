"""What every store of control must do.

A backend joins by a subclass in a file of tests:

    class TestFiles(ControlContract):
        backend = "ftassets.backends.control.files:FilesControl"

        @pytest.fixture
        def place(self, tmp_path: Path) -> str:
            return str(tmp_path / "home")

`backend` names a callable that opens the store at a place, a text; so that processes of their own can open it too.
"""

import json
import pkgutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ftassets.backends.control.base import Control, Locked, Overtaken
from ftassets.errors import InvalidInput
from ftassets.testing.contracts.unsafe_keys import UNSAFE

KEY, LOG = "reports/support/latest.json", "gateway/journal.jsonl"
LINE = 20_000  # characters of each line that the writer to be killed appends


def opened(backend: str, place: str) -> Control:
    """The store of a backend at a place."""
    return pkgutil.resolve_name(backend)(place)


def counted(content: bytes | None) -> bytes:
    """A number, one larger."""
    return b"%d" % (int(content or b"0") + 1)


def write_until_killed(backend: str, place: str) -> None:
    """Append a numbered line, then write the number as a document, without end; says what is on the disk."""
    control, number = opened(backend, place), len(opened(backend, place).lines(LOG))
    while True:
        number += 1
        control.append(LOG, json.dumps({"number": number, "text": "x" * LINE}).encode())
        control.write(KEY, json.dumps({"number": number, "text": "y" * LINE}).encode())
        print(number, flush=True)


def hold(backend: str, place: str, key: str) -> None:
    """Hold a lock until the process ends."""
    with opened(backend, place).lock(key):
        print("held", flush=True)
        time.sleep(600)


class ControlContract:
    """Subclass it, name the backend, and give the fixture `place`."""

    backend: str

    @pytest.fixture
    def place(self) -> str:
        """Location of a new store, in the backend's notation."""
        raise NotImplementedError("give a fixture `place`")

    @pytest.fixture
    def control(self, place: str) -> Control:
        return opened(self.backend, place)

    def test_a_document_is_replaced_and_removed(self, control: Control, place: str) -> None:
        assert control.read(KEY) is None
        control.delete(KEY)
        for content in (b"", b"first", b"\x00\xff" * 1000):
            control.write(KEY, content)
            assert control.read(KEY) == content
            assert opened(self.backend, place).read(KEY) == content
        control.delete(KEY)
        assert control.read(KEY) is None

    def test_names_are_sorted_and_one_level_deep(self, control: Control) -> None:
        assert control.names("releases/support") == []
        for key in ("releases/support/b.json", "releases/support/a.json", "releases/support/replaced/1-a.json", "releases/other/c.json"):
            control.write(key, b"{}")
            control.update(key, lambda content: content)
        assert control.names("releases/support") == ["a.json", "b.json", "replaced"]
        assert control.names("releases") == ["other", "support"]
        control.delete("releases/support/a.json")
        assert control.names("releases/support") == ["b.json", "replaced"]

    def test_no_update_is_lost(self, control: Control, place: str) -> None:
        stores = [opened(self.backend, place) for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: stores[number % 4].update(KEY, counted), range(80)))
        assert control.read(KEY) == b"80"

    def test_no_update_of_several_processes_is_lost(self, control: Control, place: str) -> None:
        program = (
            "import sys; from ftassets.testing.contracts import control as c\n"
            "store = c.opened(*sys.argv[1:])\nfor _ in range(40): store.update(c.KEY, c.counted)"
        )
        writers = [subprocess.Popen([sys.executable, "-c", program, self.backend, place]) for _ in range(2)]
        assert [writer.wait(60) for writer in writers] == [0, 0]
        assert control.read(KEY) == b"80"

    def test_an_update_that_fails_or_leaves_it_changes_nothing(self, control: Control) -> None:
        control.update(KEY, lambda content: None)
        assert control.read(KEY) is None
        control.write(KEY, b"first")
        control.update(KEY, lambda content: None)
        with pytest.raises(ZeroDivisionError):
            control.update(KEY, lambda content: b"%d" % (1 // 0))
        assert control.read(KEY) == b"first"
        control.update(KEY, lambda content: b"second", timeout=1.0)
        assert control.read(KEY) == b"second"

    def test_lines_come_back_in_order(self, control: Control, place: str) -> None:
        assert control.lines(LOG) == []
        assert control.ends(LOG) is None
        wanted = [f"line {number} \u00e9".encode() for number in range(5)]
        for line in wanted:
            control.append(LOG, line)
            assert control.ends(LOG) == (wanted[0], line)
        assert control.lines(LOG) == wanted == opened(self.backend, place).lines(LOG)
        with pytest.raises(ValueError, match="one line"):
            control.append(LOG, b"two\nlines")
        assert control.lines(LOG) == wanted
        control.append(LOG, b"long" * 50_000)
        assert control.ends(LOG) == (wanted[0], b"long" * 50_000)

    def test_no_line_is_lost_when_several_append(self, control: Control, place: str) -> None:
        stores = [opened(self.backend, place) for _ in range(4)]
        wanted = [b"%d" % number * 2000 for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: stores[number % 4].append(LOG, wanted[number]), range(40)))
        assert sorted(control.lines(LOG)) == sorted(wanted)

    def test_only_what_is_behind_a_cursor_is_read(self, control: Control, place: str) -> None:
        assert control.lines_after(LOG) == ([], 0)
        first = control.append(LOG, b"one")
        second = control.append(LOG, b"two")
        assert control.lines_after(LOG) == ([b"one", b"two"], second)
        assert opened(self.backend, place).lines_after(LOG, first) == ([b"two"], second)
        control.append("gateway/other.jsonl", b"of another log")
        assert control.lines_after(LOG, second) == ([], second)

    def test_a_line_that_is_to_follow_another_is_refused_behind_a_newer_one(self, control: Control, place: str) -> None:
        first = control.append(LOG, b"one", after=0)
        with pytest.raises(Overtaken):
            control.append(LOG, b"also the first", after=0)
        second = opened(self.backend, place).append(LOG, b"two", after=first)
        with pytest.raises(Overtaken):
            control.append(LOG, b"also the second", after=first)
        assert control.lines_after(LOG) == ([b"one", b"two"], second)

    def test_of_those_who_add_at_once_each_has_read_all_before(self, control: Control, place: str) -> None:
        stores = [opened(self.backend, place) for _ in range(4)]

        def add(number: int) -> None:
            while True:
                lines, cursor = stores[number].lines_after(LOG)
                try:
                    stores[number].append(LOG, b"%d of %d" % (len(lines), number), after=cursor)
                    return
                except Overtaken:
                    continue

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: add(number % 4), range(40)))
        assert [int(line.split()[0]) for line in control.lines(LOG)] == list(range(40))

    def test_a_lock_is_held_by_one_at_a_time(self, control: Control, place: str) -> None:
        other = opened(self.backend, place)
        with control.lock("gateway/one"):
            with pytest.raises(Locked), other.lock("gateway/one", timeout=0):
                pass
            with other.lock("gateway/two", timeout=0):
                pass
        with other.lock("gateway/one", timeout=0):
            pass
        assert control.names("gateway") == []

    def test_a_lock_ends_with_its_process(self, control: Control, place: str) -> None:
        program = "import sys; from ftassets.testing.contracts.control import hold; hold(*sys.argv[1:])"
        holder = subprocess.Popen([sys.executable, "-c", program, self.backend, place, "gateway/one"], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(Locked), control.lock("gateway/one", timeout=0):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.communicate()
        with control.lock("gateway/one", timeout=10.0):
            pass

    @pytest.mark.parametrize("key", UNSAFE)
    def test_a_name_that_leads_elsewhere_is_refused(self, control: Control, key: str) -> None:
        for act in (
            lambda: control.read(key),
            lambda: control.write(key, b"x"),
            lambda: control.update(key, counted),
            lambda: control.delete(key),
            lambda: control.names(key),
            lambda: control.append(key, b"x"),
            lambda: control.lines(key),
            lambda: control.lock(key, timeout=0).__enter__(),
            lambda: control.uri(key),
        ):
            with pytest.raises(InvalidInput, match="cannot be the name"):
                act()

    def test_the_longest_name_works(self, control: Control) -> None:
        key = "f" * 199 + "/" + "x" * 200
        control.update(key, counted)
        assert (control.read(key), control.names("f" * 199)) == (b"1", ["x" * 200])
        control.delete(key)
        control.append(key, b"line")
        assert control.lines(key) == [b"line"]

    def test_a_person_is_told_where_it_is(self, control: Control) -> None:
        assert control.uri(KEY).endswith(KEY)

    def test_what_a_killed_writer_said_is_there(self, control: Control, place: str) -> None:
        program = "import sys; from ftassets.testing.contracts.control import write_until_killed; write_until_killed(*sys.argv[1:])"
        for attempt in range(4):
            writer = subprocess.Popen([sys.executable, "-c", program, self.backend, place], stdout=subprocess.PIPE)
            said: list[bytes] = []
            try:
                assert writer.stdout is not None
                while len(said) < 5:
                    said.append(writer.stdout.readline())
                time.sleep(0.003 * attempt)
            finally:
                writer.send_signal(signal.SIGKILL)
                said += writer.communicate()[0].splitlines()
            written = int(said[-1])
            lines = [json.loads(line) for line in opened(self.backend, place).lines(LOG)]
            assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
            assert len(lines) in (written, written + 1), "at most the line whose write was not confirmed"
            assert all(len(line["text"]) == LINE for line in lines)
            document = json.loads(control.read(KEY) or b"")
            assert document["number"] in (written, written + 1)
            assert document["text"] == "y" * LINE
