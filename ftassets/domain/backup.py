"""What a backup of a home holds: its files with their digests, in chunks that backups share; and what is left out of it."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.formats import Stored

CHUNK = 4 * 2**20  # bytes: of a database that grew, only the chunks that changed are stored again
SECRETS = ("keys/release.pem", "keys/user.salt", "keys/admin.token")
# of this machine and this hour: scratch, process ids, the address of a running gateway, checkpoints that `checkpoints/` has too
_LEFT_OUT = ("work/", "processes/", "training/", "gateway/address.json")
_ENDS = (".lock", "-wal", "-shm", "-journal", ".partial")  # of databases a copy is taken that needs none of these
# what names others is listed and copied before them, so that all it names is there: the audit chain, which names records of state, then
# state and databases, then statements and refs, then what is written once under a digest
_CHAIN = "audit/"
_STATE = ("gateway/", "budgets/", "rollouts/", "usage/")
_STATEMENTS = ("releases/", "keys/", "datasets.git/HEAD", "datasets.git/packed-refs", "datasets.git/refs/")
PASSES = (0, 1, 2, 3)


class BackupFile(BaseModel):
    """One file: path below the home, permissions, SHA-256 (hex) of its bytes and of each chunk.

    `stamp` is what told that it is the same file as in the backup before: size, time of change in nanoseconds, number of its inode.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    mode: int
    size: int = Field(ge=0)
    digest: str
    chunks: tuple[str, ...]
    stamp: tuple[int, int, int] | None = None


class Backup(Stored):
    """One backup. `at` is when it began, in epoch seconds: what a process wrote later may be missing.

    `sealed` are the secrets of the home, encrypted under a passphrase, with the salt of the key; both in base64, None without a
    passphrase. `empty` are folders without files, which git wants. `databases` are copies of tables on servers, named `CAPABILITY.dump`.
    `outside` says what of the loops' state it does not hold. `audit` is the end of the audit chain then: number and digest of its last
    entry.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "backup"

    at: float
    release: str
    files: tuple[BackupFile, ...]
    empty: tuple[str, ...] = ()
    databases: tuple[BackupFile, ...] = ()
    sealed: str | None = None
    salt: str | None = None
    outside: tuple[str, ...] = ()
    audit: tuple[int, str] | None = None

    @property
    def size(self) -> int:
        """Bytes of the home and of databases that it holds."""
        return sum(file.size for file in (*self.files, *self.databases))

    @property
    def chunks(self) -> set[str]:
        """Digests of all chunks it needs."""
        return {chunk for file in (*self.files, *self.databases) for chunk in file.chunks}


def is_left_out(path: str) -> bool:
    """Whether a file of a home is in no backup; secrets are, but only encrypted."""
    name = path.rpartition("/")[2]
    return name.startswith(".") or path.startswith(_LEFT_OUT) or path.endswith(_ENDS) or path in SECRETS


def pass_of(path: str) -> int:
    """In which of the passes over the home a file is copied."""
    if path.startswith(_CHAIN):
        return 0
    return 1 if path.startswith(_STATE) or path.endswith(".db") else 2 if path.startswith(_STATEMENTS) else 3
