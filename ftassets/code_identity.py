"""Which code runs here: the digest of the package's files, the git commit they were checked out from, and what is installed."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ftassets.domain.canonical import digest_of
from ftassets.domain.release.bills import Package
from ftassets.durable import file_digest

PACKAGE = Path(__file__).parent


def code_identity() -> dict[str, str | None]:
    """`code_version`, `code_digest` (SHA-256 over the package's modules) and `code_commit`, None outside a checkout.

    The digest also tells apart what was changed since the commit.
    """
    modules = {path.relative_to(PACKAGE).as_posix(): file_digest(path) for path in sorted(PACKAGE.rglob("*.py"))}
    return {"code_version": importlib.metadata.version("ftassets"), "code_digest": digest_of(modules), "code_commit": _commit()}


def installed_packages() -> list[Package]:
    """All Python packages of this environment, with what each needs of the others here; extras are not counted.

    One whose metadata are missing or cannot be read is left out.
    """
    found: dict[str, Package] = {}
    for each in importlib.metadata.distributions():
        try:
            made = _package(each)
        except (
            OSError,
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
        ):  # no file METADATA, or not UTF-8: each library fails its own way
            continue
        if made is not None:
            found.setdefault(made.name, made)  # the first on the path is the one that is imported
    return sorted(found.values())


def _package(each: importlib.metadata.Distribution) -> Package | None:
    """None if it states no name or no version."""
    name, version = _field(each, "Name"), _field(each, "Version")
    if not name or not version:
        return None
    stated = next((line for line in _field(each, "License").splitlines() if line.strip()), "")
    classes = [text.rpartition(" :: ")[2] for text in each.metadata.get_all("Classifier") or [] if text.startswith("License ::")]
    licence = ", ".join(classes) or stated.strip()[:100]
    return Package(canonicalize_name(name), version, _field(each, "License-Expression"), licence, tuple(_needs(each)))


def _field(package: importlib.metadata.Distribution, name: str) -> str:
    """A field of the metadata; empty if it is not there, which the two libraries that read metadata say differently."""
    return package.metadata[name] or "" if name in package.metadata else ""


def _needs(package: importlib.metadata.Distribution) -> Iterator[str]:
    for text in package.requires or []:
        try:
            need = Requirement(text)
        except InvalidRequirement:
            continue
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield canonicalize_name(need.name)


def _commit() -> str | None:
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        with Repo(str(PACKAGE.parent)) as repo:  # not discovered upwards: an installed package is not its neighbour's code
            return repo.head().decode()
    except (NotGitRepository, KeyError):
        return None
