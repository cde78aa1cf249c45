"""Backups of a home while its processes run, in a folder that shares what does not change; and a home made from one.

A backup is one file `backups/NAME.json`, which is written last; the bytes are chunks `chunks/AB/SHA256`, each stored once. A process that
is killed leaves chunks that no backup names, which the next one uses or removes, and all earlier backups as they were.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from filelock import FileLock, Timeout

import ftassets
from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, parse_manifest, read_manifest, verify_folder
from ftassets.backends.control.audit import sealing
from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import loops_with_state, read_state
from ftassets.backends.control.releases import FOLDER, SUFFIXES, Releases
from ftassets.backends.postgres.base import DatabaseTables
from ftassets.backends.signer.base import SignatureInvalid
from ftassets.config.home import Home
from ftassets.config.profiles import control, databases, home_control, verifier
from ftassets.domain.backup import CHUNK, PASSES, SECRETS, Backup, BackupFile, is_left_out, pass_of
from ftassets.domain.beginnings import the_one
from ftassets.domain.canonical import canonical_json
from ftassets.durable import file_digest, sync_folder, write_durably
from ftassets.errors import FtassetsError, InvalidInput, in_one_line
from ftassets.wording import amount

_SQLITE = b"SQLite format 3\0"
_CHUNKS, _BACKUPS = "chunks", "backups"
_BUSY_SECONDS = 60.0  # that a copy of a database waits for a writer
_RESTORING, _COPY, _DUMP = ".restoring", ".copy-", ".dump"


class BackupDamaged(FtassetsError):
    """A backup is incomplete, was changed, or cannot be opened with this passphrase; the message names what."""


@dataclass(frozen=True)
class Made:
    """A backup that was made: its name, files and bytes in all, bytes that were new, bytes of old backups that were removed, seconds.

    `databases` are the capabilities whose tables it has from a server. `incomplete` says of each version what the backup does not have of
    it.
    """

    name: str
    files: int
    bytes: int
    new_bytes: int
    removed_bytes: int
    seconds: float
    with_keys: bool
    databases: Sequence[str]
    outside: Sequence[str]
    incomplete: Sequence[str]


@dataclass(frozen=True)
class Verified:
    """What a backup or a restored home was found to be: number of files, releases whose signature is right, versions whose bytes are.

    `incomplete` says what is missing or wrong of the other versions, none of which an endpoint's state names.
    """

    name: str
    at: float
    files: int
    bytes: int
    releases: int
    versions: int
    with_keys: bool
    seconds: float
    databases: Sequence[str] = ()
    incomplete: Sequence[str] = ()


def back_up(
    home: Home,
    target: Path,
    passphrase: str | None = None,
    keep: int | None = None,
    outside: Sequence[str] = (),
    with_databases: bool = True,
) -> Made:
    """Store the home in the folder; with `keep` only so many of its newest backups stay, unless it is incomplete.

    Requests go on meanwhile.

    Databases are copied by SQLite's own backup, all at one moment each; a file that did not change since the last backup is not read.
    With `with_databases` what the profile has in PostgreSQL is copied too, by pg_dump.
    Raises InvalidInput for a folder in the home or without a home, OSError, BackupDamaged if another backup runs, and what `DatabaseTables`
    raise: nothing is stored then.
    """
    begin, at = time.monotonic(), time.time()
    if not home.root.is_dir():
        raise InvalidInput(f"there is no home {home.root}: set FTASSETS_HOME")
    if target.resolve().is_relative_to(home.root):
        raise InvalidInput(f"{target} is in the home, and would be lost with it: name a folder of another disk")
    with _alone(target):
        for left in target.glob(f"{_COPY}*"):
            shutil.rmtree(left)  # of a backup that was killed
        before = newest(target)
        known = {file.path: file for file in before.files} if before else {}
        store = _Chunks(target)
        files, empty = list[BackupFile](), list[str]()

        def copy(number: int) -> None:
            empty.clear()
            for path in sorted(path for path in _paths(home.root, empty) if pass_of(path) == number):
                with suppress(FileNotFoundError):  # a file that was removed meanwhile
                    files.append(_stored(store, target, home.root, path, known.get(path)))

        *names_others, last = PASSES
        with sealing(control(home), verifier(home), at) as head:  # no release is signed meanwhile: it would name a later end of the chain
            dumps = _dumped(store, target, databases()) if with_databases else ()  # before what they name
            for number in names_others:
                copy(number)
        copy(last)
        sealed, salt = _sealed(home, passphrase) if passphrase else (None, None)
        store.sync()
        made = Backup(
            at=at,
            audit=(head.number, head.digest),
            release=ftassets.__version__,
            files=tuple(files),
            empty=tuple(empty),
            databases=dumps,
            sealed=sealed,
            salt=salt,
            outside=tuple(outside),
        )
        content = canonical_json(made.document())
        name = f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%S%f}-{hashlib.sha256(content).hexdigest()[:12]}"
        write_durably(target / _BACKUPS / f"{name}.json", content)
        incomplete = _incomplete(target, files)
        removed = _prune(target, keep) if keep and not incomplete else 0  # an earlier one may be the last that has it whole
    seconds = time.monotonic() - begin
    return Made(
        name=name,
        files=len(files),
        bytes=made.size,
        new_bytes=store.new_bytes,
        removed_bytes=removed,
        seconds=seconds,
        with_keys=sealed is not None,
        databases=[_capability(dump) for dump in dumps],
        outside=made.outside,
        incomplete=incomplete,
    )


def names(target: Path) -> list[str]:
    """Names of the backups in a folder, oldest first."""
    return sorted(path.stem for path in (target / _BACKUPS).glob("*.json") if not path.name.startswith("."))


def verify(target: Path, name: str | None = None, passphrase: str | None = None) -> Verified:
    """Read every byte of a backup (the newest unless named by its beginning), and check releases and versions in it as a gateway does.

    A chunk with other bytes than its name says is renamed to `DIGEST.bad`, so that the next backup stores it again.
    Raises BackupDamaged, InvalidInput if there is no such backup.
    """
    begin = time.monotonic()
    name, found = _read(target, name)
    if passphrase is not None:
        _opened(found, passphrase)
    digests, faults = dict[str, str](), list[str]()
    for file in (*found.files, *found.databases):
        digests[file.path] = file.digest
        try:
            for _ in _bytes(target, file):
                pass
        except BackupDamaged as error:
            faults += _set_aside(target, file) or [str(error)]
    if faults:
        raise BackupDamaged("; ".join(dict.fromkeys(faults)))
    with tempfile.TemporaryDirectory() as folder:
        small = Home(Path(folder))
        for file in found.files:
            manifest = file.path.startswith("versions/") and file.path.endswith("/manifest.json")
            if manifest or file.path.startswith("releases/") or (file.path.startswith("keys/") and file.path.endswith(".pem")):
                _write(target, small.root, file)
        versions = _versions_in(small, digests)
        releases = _releases_in(Releases(home_control(small), verifier(small)), home_control(small).names(FOLDER))
    dumps, seconds = [_capability(dump) for dump in found.databases], time.monotonic() - begin
    return Verified(name, found.at, len(found.files), found.size, releases, versions, found.sealed is not None, seconds, dumps)


def restore(
    home: Home,
    target: Path,
    name: str | None = None,
    passphrase: str | None = None,
    without_keys: bool = False,
    with_databases: bool = True,
) -> Verified:
    """Make the home from a backup (the newest unless named), which is checked on the way; it appears in one step, whole.

    A version that is not whole is restored as far as it goes, and named, unless an endpoint's state names it. With `with_databases` the
    tables that the backup has from servers are made first, in databases without a row of them, and are gone again if the home cannot be
    made.
    Raises InvalidInput if there is a home already, it is a mount point, or the backup has keys and neither a passphrase nor
    `without_keys` is given, BackupDamaged, OSError, and what `DatabaseTables` raise.
    """
    begin = time.monotonic()
    if home.root.exists() and any(home.root.iterdir()):
        raise InvalidInput(f"{home.root} is not empty and is left as it is: move it away, or set FTASSETS_HOME to a new folder")
    if os.path.ismount(home.root):
        raise InvalidInput(
            f"{home.root} is a mount point, and the home appears in one step by a rename: set FTASSETS_HOME to a folder in it"
        )
    name, found = _read(target, name)
    if found.sealed and passphrase is None and not without_keys:
        raise InvalidInput("the backup has the home's keys: give --passphrase-file, or --without-keys to go on with new ones")
    opened = _opened(found, passphrase) if found.sealed and passphrase is not None else {}
    tables = _tables_for(found) if with_databases else {}
    place = home.root.with_name(f"{home.root.name}{_RESTORING}")
    if place.exists():
        shutil.rmtree(place)  # of a restore that was killed
    place.mkdir(parents=True)
    for path in found.empty:
        (place / path).mkdir(parents=True, exist_ok=True)
    for file in found.files:
        _write(target, place, file)
    for path, content in opened.items():
        _private(place / path, content)
    if (place / "keys").exists():
        (place / "keys").chmod(0o700)
    loaded = list[DatabaseTables]()
    try:
        for dump, of in tables.items():
            _write(target, place, dump)
            of.load(place / dump.path)
            loaded.append(of)
            (place / dump.path).unlink()
        releases, versions, incomplete = _checked(Home(place), name)
        for top, _, _ in os.walk(place, topdown=False):
            sync_folder(Path(top))
        if home.root.exists():
            home.root.rmdir()
        place.rename(home.root)
    except BaseException:
        for of in loaded:
            of.drop()
        raise
    sync_folder(home.root.parent)
    wrong, dumps, seconds = tuple(incomplete.values()), [each.name for each in loaded], time.monotonic() - begin
    return Verified(name, found.at, len(found.files), found.size, releases, versions, bool(opened), seconds, dumps, wrong)


def _checked(made: Home, name: str) -> tuple[int, int, dict[str, str]]:
    """Number of signed statements and of whole versions of a restored home, and what is wrong with others. Raises BackupDamaged."""
    stores, versions, incomplete = control(made), 0, dict[str, str]()
    releases = _releases_in(Releases(stores, verifier(made)), stores.names(FOLDER))
    for folder in sorted(made.versions.glob("*/manifest.json")):
        try:
            verify_folder(folder.parent)
        except VersionDamaged as error:
            incomplete[folder.parent.name] = str(error)
        else:
            versions += 1
    if incomplete and (needed := _running(stores) & incomplete.keys()):
        raise BackupDamaged(f"backup {name}: an endpoint needs it: {incomplete[min(needed)]}; take another backup")
    return releases, versions, incomplete


class _Chunks:
    """Chunks of a folder, each stored once under its digest."""

    def __init__(self, target: Path) -> None:
        self._folder = target / _CHUNKS
        self._folder.mkdir(parents=True, exist_ok=True)
        self._touched = {self._folder}
        self.new_bytes = 0

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            os.replace(partial, path)
            self._touched.add(path.parent)
            self.new_bytes += len(content)
        return digest

    def sync(self) -> None:
        for folder in self._touched:
            sync_folder(folder)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def _paths(root: Path, empty: list[str]) -> Iterator[str]:
    """Files of a home that a backup holds; `empty` gets its empty folders. Links are followed: a base's files are in the cache."""
    for top, folders, found in os.walk(root, followlinks=True):
        below = Path(top).relative_to(root).as_posix()
        if not folders and not found and not is_left_out(f"{below}/x"):
            empty.append(below)
        for name in found:
            path = name if below == "." else f"{below}/{name}"
            if not is_left_out(path) and Path(top, name).is_file():  # no sockets
                yield path


def _stored(store: _Chunks, target: Path, root: Path, path: str, known: BackupFile | None) -> BackupFile:
    """Store a file, unless it is the one of the backup before."""
    with (root / path).open("rb") as file:
        found = os.fstat(file.fileno())
        stamp = (found.st_size, found.st_mtime_ns, found.st_ino)
        is_database = file.read(len(_SQLITE)) == _SQLITE
        if not is_database and known is not None and known.stamp == stamp and all(map(store.has, known.chunks)):
            return known
        if not is_database:
            file.seek(0)
            return _chunked(store, path, found.st_mode & 0o777, iter(lambda: file.read(CHUNK), b""), stamp)
    with _copied(root / path, target) as copy, copy.open("rb") as file:
        return _chunked(store, path, found.st_mode & 0o777, iter(lambda: file.read(CHUNK), b""), None)


def _chunked(store: _Chunks, path: str, mode: int, content: Iterator[bytes], stamp: tuple[int, int, int] | None) -> BackupFile:
    whole, chunks, size = hashlib.sha256(), list[str](), 0
    for chunk in content:
        whole.update(chunk)
        size += len(chunk)
        chunks.append(store.put(chunk))
    return BackupFile(path=path, mode=mode, size=size, digest=whole.hexdigest(), chunks=tuple(chunks), stamp=stamp)


@contextmanager
def _copied(database: Path, target: Path) -> Iterator[Path]:
    """A copy of a database as it was at one moment, in the folder of the backups; writers are not held up."""
    with tempfile.TemporaryDirectory(prefix=_COPY, dir=target) as folder:
        copy = Path(folder) / database.name
        source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        with closing(source), closing(sqlite3.connect(copy)) as made:
            source.backup(made)  # in one step, which reads one snapshot
        yield copy


def _read(target: Path, name: str | None) -> tuple[str, Backup]:
    known = names(target)
    if not known:
        raise InvalidInput(f"{target} has no backup: make one with ftassets backup {target}")
    name = known[-1] if name is None else the_one(name, known, "backup")
    content = (target / _BACKUPS / f"{name}.json").read_bytes()
    if not name.endswith(hashlib.sha256(content).hexdigest()[:12]):
        raise BackupDamaged(f"{name}.json was changed after it was written: take another backup of {target}")
    try:
        return name, Backup.parse(content)
    except ValueError as error:
        raise BackupDamaged(f"{name}.json cannot be read: {in_one_line(error)}") from error


def newest(target: Path) -> Backup | None:
    """The newest backup that can be read, None without one."""
    found, _ = newest_named(target)
    return found[1] if found else None


def newest_named(target: Path) -> tuple[tuple[str, Backup] | None, list[str]]:
    """The newest backup that can be read with its name, None without one; and why newer ones cannot be."""
    unreadable = list[str]()
    for name in reversed(names(target)):
        try:
            return _read(target, name), unreadable
        except BackupDamaged as error:
            unreadable.append(str(error))
    return None, unreadable


def _bytes(target: Path, file: BackupFile) -> Iterator[bytes]:
    """The chunks of a file. Raises BackupDamaged when one is missing or was changed."""
    whole = hashlib.sha256()
    for digest in file.chunks:
        path = target / _CHUNKS / digest[:2] / digest
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BackupDamaged(f"{path}, a part of {file.path}, cannot be read ({error.strerror}): take another backup") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise BackupDamaged(f"{path}, a part of {file.path}, was changed: take another backup, and check the disk")
        whole.update(content)
        yield content
    if whole.hexdigest() != file.digest:
        raise BackupDamaged(f"{file.path} is not what was stored: take another backup")


def _set_aside(target: Path, file: BackupFile) -> list[str]:
    """Rename the chunks of a file that have other bytes than their names say; a sentence for each."""
    said = []
    for digest in file.chunks:
        path = target / _CHUNKS / digest[:2] / digest
        try:
            if file_digest(path) == digest:
                continue
            path.replace(path.with_name(f"{digest}.bad"))
        except OSError:  # not there, or a disk that is read only
            continue
        said.append(
            f"{path}, a part of {file.path}, was changed, and is renamed to {digest[:12]}*.bad: check the disk, then run ftassets backup "
            f"{target}, which stores it again if the home still has it"
        )
    return said


def _write(target: Path, root: Path, file: BackupFile) -> None:
    path = root / file.path
    if not path.resolve().is_relative_to(root.resolve()):
        raise BackupDamaged(f"{file.path} would be written outside of the home: somebody changed the backup")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as out:
        os.fchmod(out.fileno(), file.mode)
        for chunk in _bytes(target, file):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def _private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sealed(home: Home, passphrase: str) -> tuple[str, str]:
    """The home's secrets, encrypted, and the salt of their key."""
    found = {path: (home.root / path).read_text() for path in SECRETS if (home.root / path).exists()}
    salt = secrets.token_bytes(16)
    return _cipher(passphrase, salt).encrypt(json.dumps(found).encode()).decode(), base64.b64encode(salt).decode()


def _opened(found: Backup, passphrase: str) -> dict[str, bytes]:
    if found.sealed is None or found.salt is None:
        raise InvalidInput("the backup has no keys, it was made without a passphrase: leave --passphrase-file out")
    try:
        content: Mapping[str, str] = json.loads(_cipher(passphrase, base64.b64decode(found.salt)).decrypt(found.sealed.encode()))
    except InvalidToken as error:
        raise BackupDamaged("the keys cannot be decrypted: the passphrase is not the one with which the backup was made") from error
    return {path: text.encode() for path, text in content.items() if path in SECRETS}


def _cipher(passphrase: str, salt: bytes) -> Fernet:
    """AES-128-CBC with HMAC-SHA-256 under a key by scrypt (RFC 7914; n = 2^15, r = 8, p = 1: 32 MiB, a tenth of a second)."""
    return Fernet(base64.urlsafe_b64encode(Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase.encode())))


def _versions_in(home: Home, digests: Mapping[str, str]) -> int:
    """Number of versions whose files have the digests of their manifests. Raises BackupDamaged."""
    count = 0
    for path in sorted(home.versions.glob("*/manifest.json")):
        try:
            manifest = read_manifest(path.parent)
        except VersionDamaged as error:
            raise BackupDamaged(str(error)) from error
        for name, digest in manifest.files.items():
            if digests.get(f"versions/{path.parent.name}/{name}") != digest:
                raise BackupDamaged(f"version {path.parent.name[:12]}: {name} is not the file of its manifest, or not in the backup")
        count += 1
    return count


def _incomplete(target: Path, files: Sequence[BackupFile]) -> list[str]:
    """Of each version in a backup that lacks a file of its manifest, or has another one, a sentence."""
    digests, said = {file.path: file.digest for file in files}, []
    for file in files:
        top, _, rest = file.path.partition("/")
        version, _, name = rest.partition("/")
        if (top, name) != ("versions", MANIFEST):
            continue
        try:
            manifest = parse_manifest(b"".join(_bytes(target, file)), version)
        except (VersionDamaged, BackupDamaged) as error:
            said.append(str(error))
            continue
        if wrong := [each for each, digest in manifest.files.items() if digests.get(f"versions/{version}/{each}") != digest]:
            more = f" and {amount(len(wrong) - 1, 'other file')}" if len(wrong) > 1 else ""
            said.append(f"version {version[:12]}: {wrong[0]}{more} is missing or was changed: train again, or bring the file back")
    return said


def _running(stores: Control) -> set[str]:
    """Versions that the state of an endpoint names. Raises StateDamaged: then nothing tells which may be incomplete."""
    loops = {*loops_with_state(stores), *stores.names(FOLDER)}
    return set[str]().union(*(state.running for loop in loops if (state := read_state(stores, loop)) is not None))


def _releases_in(releases: Releases, loops: Iterable[str]) -> int:
    """Number of signed statements of loops, all of which a trusted key signed. Raises BackupDamaged."""
    count = 0
    for loop in sorted(loops):
        for kind in SUFFIXES:
            for version in releases.versions(loop, kind):
                try:
                    releases.read(loop, version, kind)
                except SignatureInvalid as error:
                    raise BackupDamaged(f"the {kind} of version {version[:12]} of {loop} does not verify: {error}") from error
                count += 1
    return count


def _dumped(store: _Chunks, target: Path, tables: Iterable[DatabaseTables]) -> tuple[BackupFile, ...]:
    """Store copies of tables, as far as there are any; they pass through the folder of the backups."""
    found = []
    with tempfile.TemporaryDirectory(prefix=_COPY, dir=target) as folder:
        for of in tables:
            path = Path(folder) / f"{of.name}{_DUMP}"
            if not of.dump(path):
                continue
            with path.open("rb") as file:
                found.append(_chunked(store, path.name, 0o600, iter(lambda file=file: file.read(CHUNK), b""), None))  # type: ignore[misc]
            path.unlink()
    return tuple(found)


def _tables_for(found: Backup) -> dict[BackupFile, DatabaseTables]:
    """Where the tables of a backup go. Raises InvalidInput if that is not set, or not empty."""
    known = {of.name: of for of in databases()}
    for dump in found.databases:
        if (name := _capability(dump)) not in known:
            raise InvalidInput(
                f"the backup has the {name} of a PostgreSQL server: set FTASSETS_PROFILE and the URL of a database (deploy/README.md), "
                "or give --without-databases"
            )
        known[name].check_empty()
    return {dump: known[_capability(dump)] for dump in found.databases}


def _capability(dump: BackupFile) -> str:
    return dump.path.removesuffix(_DUMP)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    target.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(target / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise BackupDamaged(f"another backup to {target} is running: wait until it has ended") from error


def _prune(target: Path, keep: int) -> int:
    """Remove all but the newest backups, then what no backup names; bytes that are gone."""
    for name in names(target)[:-keep]:
        (target / _BACKUPS / f"{name}.json").unlink()
    sync_folder(target / _BACKUPS)
    try:
        needed = set().union(*(_read(target, name)[1].chunks for name in names(target)))
    except BackupDamaged:
        return 0  # nothing tells what the damaged one needs
    removed = 0
    for path in (target / _CHUNKS).glob("*/*"):
        if path.name not in needed:
            removed += path.stat().st_size
            path.unlink()
    return removed
