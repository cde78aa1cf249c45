"""The blocking checks of a trained version, decided from its manifest, so that whoever uses it later decides the same."""

from ftassets.domain.acceptance import Check
from ftassets.domain.release.version import FULL, VersionManifest, wanted_parts

LEARNED, COMPLETE = "loss_fell", "artefact_complete"
BLOCKING = {
    LEARNED: "The loss is lower at the end; a training that continues from an adapter may end at up to twice its first loss.",
    COMPLETE: "Adapter (unless all weights were trained) and merged copy are there as safetensors, every byte as the manifest says.",
}
CONTINUED = 2.0  # times its first loss that a training may end with if it continues from an adapter, which starts low


def version_checks(manifest: VersionManifest) -> dict[str, Check]:
    """One verdict for each name of BLOCKING. Whether the files are those of the manifest is for the caller to verify."""
    missing = [part for part in wanted_parts(manifest.kind) if part not in manifest.files]
    whole = "merged copy as safetensors" if manifest.kind == FULL else "adapter and merged copy as safetensors"
    files = f"missing: {', '.join(missing)}" if missing else f"{whole}, every byte as in the manifest"
    return {LEARNED: _learned(manifest), COMPLETE: Check(passed=not missing, sentence=files)}


def _learned(manifest: VersionManifest) -> Check:
    first, last = manifest.metrics.get("first_loss"), manifest.metrics.get("last_loss")
    if first is None or last is None:
        return Check(passed=False, sentence="the manifest has no losses")
    fell = last < first or (manifest.parent is not None and last <= CONTINUED * first)  # False if a loss is NaN
    return Check(passed=fell, sentence=f"loss {first:.3f} at the start, {last:.3f} at the end")
