"""Which code runs here: the digest of the package's files, and the git commit they were checked out from."""

import importlib.metadata
from pathlib import Path

from ftassets.domain.canonical import digest_of
from ftassets.durable import file_digest

PACKAGE = Path(__file__).parent


def code_identity() -> dict[str, str | None]:
    """`code_version`, `code_digest` (SHA-256 over the package's modules) and `code_commit`, None outside a checkout.

    The digest also tells apart what was changed since the commit.
    """
    modules = {path.relative_to(PACKAGE).as_posix(): file_digest(path) for path in sorted(PACKAGE.rglob("*.py"))}
    return {"code_version": importlib.metadata.version("ftassets"), "code_digest": digest_of(modules), "code_commit": _commit()}


def _commit() -> str | None:
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        with Repo(str(PACKAGE.parent)) as repo:  # not discovered upwards: an installed package is not its neighbour's code
            return repo.head().decode()
    except (NotGitRepository, KeyError):
        return None
