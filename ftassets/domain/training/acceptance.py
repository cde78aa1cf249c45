"""The blocking checks of a trained version, decided from its manifest, so that whoever uses it later decides the same."""

from ftassets.domain.acceptance import Check
from ftassets.domain.release.version import ADAPTER, MERGED, VersionManifest

LEARNED, COMPLETE = "loss_fell", "artefact_complete"
BLOCKING = {
    LEARNED: "The loss is lower at the end; a training that continues from an adapter may end at up to twice its first loss.",
    COMPLETE: "Adapter and merged copy are there as safetensors, every byte as the manifest says.",
}
PARTS = (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors", f"{MERGED}/config.json")
CONTINUED = 2.0  # times its first loss that a training may end with if it continues from an adapter, which starts low


def version_checks(manifest: VersionManifest) -> dict[str, Check]:
    """One verdict for each name of BLOCKING. Whether the files are those of the manifest is for the caller to verify."""
    missing = [part for part in PARTS if part not in manifest.files]
    files = f"missing: {', '.join(missing)}" if missing else "adapter and merged copy as safetensors, every byte as in the manifest"
    return {LEARNED: _learned(manifest), COMPLETE: Check(passed=not missing, sentence=files)}


def _learned(manifest: VersionManifest) -> Check:
    first, last = manifest.metrics.get("first_loss"), manifest.metrics.get("last_loss")
    if first is None or last is None:
        return Check(passed=False, sentence="the manifest has no losses")
    fell = last < first or (manifest.parent is not None and last <= CONTINUED * first)  # False if a loss is NaN
    return Check(passed=fell, sentence=f"loss {first:.3f} at the start, {last:.3f} at the end")
