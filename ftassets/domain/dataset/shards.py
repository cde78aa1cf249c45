"""How the rows of a dataset are spread over files that stay: a new version touches the files whose rows changed, and no other."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from ftassets.domain.acceptance import Check
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import identity
from ftassets.domain.dataset.rows import Example
from ftassets.domain.formats import Stored

Shards = Mapping[str, Iterable[Example]]  # path of a shard -> its rows in the order in which they are read; read twice at most
_GONE = -1


class Shard(BaseModel):
    """One file: path below the dataset's folder, number of rows, SHA-256 (hex) of its bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    rows: int
    digest: str


class Index(Stored):
    """What a dataset consists of. Its size grows with the number of shards, not with the number of rows.

    `shards` lists the files of each split in reading order, `balance` the share of each class that training may use,
    `recipe` the settings the dataset was made with, `content_hash` the rows whatever files they lie in. `checks` are the verdicts
    of the blocking checks, which were decided before the dataset was published; without them it is not accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "dataset_index"

    shards: dict[str, list[Shard]]
    balance: dict[str, float]
    recipe: dict[str, JsonValue]
    content_hash: str
    checks: dict[str, Check]


@dataclass(frozen=True)
class Plan:
    """What happens to each file; `rewrite` and `new` hold what the file has afterwards."""

    keep: list[str] = field(default_factory=list)
    rewrite: dict[str, list[Example]] = field(default_factory=dict)
    new: dict[str, list[Example]] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)


def plan(previous: Mapping[str, Shards], wanted: Mapping[str, Iterable[Example]], name: str) -> Plan:
    """From the shards of each split to shards that hold exactly the rows wanted in it.

    A row that is the same stays in its shard; one that changed (same id, same split) takes the place of its old self; new rows
    go to `{split}/{name}.parquet`. A shard none of whose rows left or changed is kept as it is, one that is empty is removed.
    """
    made = Plan()
    for split in dict.fromkeys([*previous, *wanted]):
        _plan_split(made, previous.get(split, {}), list(wanted.get(split, ())), f"{split}/{name}.parquet")
    return made


def _plan_split(made: Plan, shards: Shards, wanted: Sequence[Example], path: str) -> None:
    """Rows are named by their place in `wanted`, so that of the shards' own rows none is kept in memory."""
    places: dict[Example, int] = {}
    still = array("q", bytes(8 * len(wanted)))  # by place, how often the row is wanted yet: a row that is wanted twice is kept twice
    for place, row in enumerate(wanted):
        still[places.setdefault(row, place)] += 1
    after: dict[str, array[int]] = {}
    for shard, rows in shards.items():
        after[shard] = array("q")
        for row in rows:
            place = places.get(row, _GONE)
            if place != _GONE and not still[place]:
                place = _GONE
            if place != _GONE:
                still[place] -= 1
            after[shard].append(place)
    touched = {shard for shard, found in after.items() if _GONE in found}
    changed = {wanted[place].id: place for place, count in enumerate(still) if count}
    for shard in touched:
        kept = array("q")
        for place, row in zip(after[shard], shards[shard], strict=True):
            if place == _GONE and row.id in changed:
                place = changed.pop(row.id)  # noqa: PLW2901
                still[place] -= 1
            if place != _GONE:
                kept.append(place)
        after[shard] = kept
    if fresh := [place for place, count in enumerate(still) for _ in range(count)]:
        after.setdefault(path, array("q")).extend(fresh)  # an earlier attempt may have left a shard of this name
        touched.add(path)
    for shard, found in after.items():
        if not found:
            made.remove.append(shard)
        elif shard not in touched:
            made.keep.append(shard)
        else:
            (made.rewrite if shard in shards else made.new)[shard] = [wanted[place] for place in found]


def content_hash(splits: Mapping[str, Iterable[Example]]) -> str:
    """SHA-256 (hex) over the sorted digests of the rows with their split; neither files nor order matter.

    Fields that are not set do not count, so that a field added to Example later changes no hash; a request of one message counts as its
    text, so that the step from texts to conversations changed none either.
    """
    return digest_of(sorted(digest_of([split, _counted(row)]) for split, rows in splits.items() for row in rows))


def _counted(row: Example) -> dict[str, Any]:
    return {**row.model_dump(exclude={"messages", "tools"}, exclude_none=True), "prompt": identity(row)}
