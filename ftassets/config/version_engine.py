"""Which settings of an engine a version is served with, and which loops do not fit on one server together."""

from collections.abc import Mapping

from ftassets.config.loop import LoopConfig, Serving
from ftassets.domain.release.capacity import crowded
from ftassets.domain.release.version import VersionManifest

_OURS = Serving()


def serving_of(manifest: VersionManifest, loops: Mapping[str, LoopConfig]) -> Serving:
    """Settings of the version's loop; of an untuned base, which belongs to none, those of the first loop with this base."""
    if manifest.loop is not None and manifest.loop in loops:
        return loops[manifest.loop].serving
    same_base = (loop.serving for loop in loops.values() if loop.base_model == manifest.base_model)
    return next(same_base, _OURS)


def without_room(loops: Mapping[str, LoopConfig]) -> dict[str, str]:
    """Loops whose vLLM server has no room for the adapters of all loops on it, with the reason."""
    return crowded(
        {
            name: (f"{loop.base_model} {loop.serving.adapter_server}", loop.serving.vllm.max_loras)
            for name, loop in loops.items()
            if loop.serving.adapter_server
        }
    )
