"""What a model server may load without the gateway: what is released for the loop, and nothing beside it."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ftassets.backends.control.releases import Releases
from ftassets.backends.control.serve_gate import serve_gate
from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.config.profiles import control, verifier
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.testing.releases import attest, make_version

WEIGHTS = "adapter/adapter_model.safetensors"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def objections(home: Home, folder: Path, loop: str = "support", part: str = "", at: float | None = None) -> str:
    found = serve_gate(folder, loop, Releases(control(home), verifier(home)), at or time.time(), part)
    assert found.open is not bool(found.objections)
    return "; ".join(found.objections)


@pytest.fixture
def loaded(home: Home, tmp_path: Path) -> Path:
    """The copy of a released version on a model server's disk, under a name of the server's own."""
    digest = make_version(home, "a", "support", parts=[WEIGHTS])
    attest(home, "support", digest)
    return Path(shutil.copytree(home.versions / digest, tmp_path / "mnt"))


def test_a_released_version_may_be_loaded_with_public_keys_alone(home: Home, loaded: Path, tmp_path: Path) -> None:
    pod = Home(tmp_path / "pod")
    shutil.copytree(home.releases, pod.releases)
    pod.keys.mkdir()
    for key in home.keys.glob("*.pub.pem"):
        shutil.copy(key, pod.keys)
    assert not objections(pod, loaded)
    assert sorted(path.name for path in pod.root.iterdir()) == ["keys", "releases"], "nothing is written"


def edited(folder: Path) -> None:
    (folder / WEIGHTS).write_text("b")


def extra(folder: Path) -> None:
    (folder / "adapter" / "chat_template.jinja").write_text("{{ messages }}")


def hidden(folder: Path) -> None:
    (folder / "adapter" / "manifest.json").write_text("{}")


def missing(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def linked_file(folder: Path) -> None:
    kept = folder.parent / "elsewhere"
    (folder / WEIGHTS).rename(kept)
    (folder / WEIGHTS).symlink_to(kept)  # the same bytes, for now


def linked_folder(folder: Path) -> None:
    kept = folder.parent / "elsewhere"
    (folder / "merged").rename(kept)
    (folder / "merged").symlink_to(kept)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "adapter" / "more.safetensors")


def pickled(folder: Path) -> None:
    (folder / "adapter" / "adapter_model.bin").write_bytes(b"\x80\x04.")


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def other_settings(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"temperature": 0.0', '"temperature": 1.5'))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (edited, f"{WEIGHTS} is missing, changed"),
        (extra, "adapter/chat_template.jinja is missing, changed or not of the version"),
        (hidden, "adapter/manifest.json is missing, changed or not of the version"),
        (missing, f"{WEIGHTS} is missing"),
        (linked_file, "is a link: copy the version with its files"),
        (linked_folder, "merged is a link"),
        (pipe, "is no regular file"),
        (pickled, "only safetensors"),
        (no_manifest, "not a version that can be checked"),
        (other_settings, "the generation settings are not the attested ones"),
    ],
)
def test_other_files_than_the_released_ones_may_not(home: Home, loaded: Path, change: Callable[[Path], None], why: str) -> None:
    change(loaded)
    assert why in objections(home, loaded)


def test_a_link_to_the_whole_folder_may_not(home: Home, loaded: Path) -> None:
    link = loaded.with_name("current")
    link.symlink_to(loaded)
    assert f"{link} is a link" in objections(home, link)


def test_of_a_part_only_its_own_bytes_are_read(home: Home, loaded: Path) -> None:
    (loaded / "merged" / "model.safetensors").write_text("b")
    assert "merged/model.safetensors is missing, changed" in objections(home, loaded)
    assert not objections(home, loaded, part="adapter")
    edited(loaded)
    assert f"{WEIGHTS} is missing, changed" in objections(home, loaded, part="adapter")


def test_a_release_for_another_loop_may_not(home: Home, loaded: Path) -> None:
    assert "there is no release of version" in objections(home, loaded, "billing")
    shutil.copytree(home.releases / "support", home.releases / "billing")
    assert "the attestation is for loop 'support', not 'billing'" in objections(home, loaded, "billing")


def test_an_expired_release_may_not(home: Home, loaded: Path) -> None:
    assert "the attestation has expired" in objections(home, loaded, at=time.time() + 7200)


def test_a_release_by_a_revoked_or_unknown_key_may_not(home: Home, loaded: Path, tmp_path: Path) -> None:
    signer = FolderSigner(home.keys)
    old = signer.key_id
    signer.revoke(old, "laptop lost")
    assert f"its key {old[:12]} was revoked: laptop lost" in objections(home, loaded)
    stranger = Home(tmp_path / "stranger")
    shutil.copytree(home.releases, stranger.releases)
    assert "cannot be trusted (there is no key to trust" in objections(stranger, loaded)
    FolderSigner(stranger.keys).sign(b"{}")
    assert "not signed by the release key" in objections(stranger, loaded)


def test_a_verdict_that_did_not_pass_may_not(home: Home, loaded: Path) -> None:
    [envelope] = (home.releases / "support").glob("*.dsse.json")
    attest(home, "support", envelope.name.removesuffix(".dsse.json"), verdict="FAIL")
    assert "a verdict other than PASS" in objections(home, loaded)


def test_what_needs_an_approval_has_one_of_this_version_and_report(home: Home, loaded: Path) -> None:
    [envelope] = (home.releases / "support").glob("*.dsse.json")
    digest = envelope.name.removesuffix(".dsse.json")
    attest(home, "support", digest, needs_approval=True)
    assert "its approval does not count (there is no approval" in objections(home, loaded)
    for report, said in (("f" * 64, "for report ffffffffffff, not"), ("e" * 64, "")):
        approval = Approval(
            loop="support", version=digest, report_digest=report, name="anna", role="lead", reason="good", issued_at=int(time.time())
        )
        Releases(control(home), FolderSigner(home.keys)).write("support", digest, "approval", approval_statement(approval))
        assert said in objections(home, loaded)
    assert not objections(home, loaded)
