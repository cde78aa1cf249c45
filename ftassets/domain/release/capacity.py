"""How many adapters one server has room for: three versions of each loop on it count."""

from collections.abc import Mapping

VERSIONS = 3  # of a loop, at a time: production, candidate, and standby or a staged one


def crowded(loops: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """The loops whose server has no room for all on it, with the reason; `loops` has each one's server and its `max_loras`."""
    found = {}
    for name, (server, most) in loops.items():
        sharing = sorted(other for other, (theirs, _) in loops.items() if theirs == server)
        if VERSIONS * len(sharing) > most:
            found[name] = (
                f"{', '.join(sharing)} share one vLLM server with serving.vllm.max_loras: {most}, and need {VERSIONS * len(sharing)}, "
                f"{VERSIONS} versions a loop: raise max_loras in each, or give one of them another server"
            )
    return found
