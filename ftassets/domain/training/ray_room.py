"""For how many workers of a training a Ray cluster has room."""

from collections.abc import Mapping, Sequence

from ftassets.config.loop import RayCluster
from ftassets.wording import amount


def room(cluster: RayCluster, nodes: Sequence[Mapping[str, float]]) -> int:
    """How many of the workers fit on idle nodes, by the resources of each node and the placement that is asked for."""
    wanted = {name: need for name, need in cluster.resources_per_worker.items() if need > 0}
    fits = [int(min((node.get(name, 0.0) / need + 1e-9 for name, need in wanted.items()), default=cluster.workers)) for node in nodes]
    if cluster.placement == "STRICT_PACK":
        found = max(fits, default=0)
    elif cluster.placement == "STRICT_SPREAD":
        found = sum(count > 0 for count in fits)
    else:
        found = sum(fits)
    return min(found, cluster.workers)


def room_in_words(cluster: RayCluster, nodes: Sequence[Mapping[str, float]]) -> str:
    """What there is room for, and what to do if that is not enough."""
    each = ", ".join(f"{name} {need:g}" for name, need in cluster.resources_per_worker.items())
    asked = f"{amount(cluster.workers, 'worker')} with {each} each ({cluster.placement})"
    found = room(cluster, nodes)
    if found == cluster.workers:
        return f"room for {asked} on {amount(len(nodes), 'node')}"
    return (
        f"room for {found} of {asked} on {amount(len(nodes), 'node')}: lower train.ray.workers or resources_per_worker, or add nodes. A "
        "training waits for them: ignore this if the cluster adds nodes by itself"
    )
