"""How the rows of a dataset are spread over files that stay: a new version touches the files whose rows changed, and no other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from ftassets.domain.acceptance import Check
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import identity
from ftassets.domain.dataset.rows import Example
from ftassets.domain.formats import Stored

Shards = dict[str, list[Example]]  # path of a shard -> its rows, in the order in which they are read


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
    """What happens to each file; `rewrite` and `new` hold what the file has afterwards, `keep` what it has anyway."""

    keep: Shards = field(default_factory=dict)
    rewrite: Shards = field(default_factory=dict)
    new: Shards = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)


def plan(previous: Mapping[str, Shards], wanted: Mapping[str, Iterable[Example]], name: str) -> Plan:
    """From the shards of each split to shards that hold exactly the rows wanted in it.

    A row that is the same stays in its shard; one that changed (same id, same split) takes the place of its old self; new rows
    go to `{split}/{name}.parquet`. A shard none of whose rows left or changed is kept as it is, one that is empty is removed.
    """
    made = Plan()
    for split in dict.fromkeys([*previous, *wanted]):
        _plan_split(made, previous.get(split, {}), wanted.get(split, ()), f"{split}/{name}.parquet")
    return made


def _plan_split(made: Plan, shards: Shards, wanted: Iterable[Example], path: str) -> None:
    open_rows = Counter(wanted)  # counted: a row that is wanted twice is kept twice
    stays: set[tuple[str, int]] = set()
    for shard, rows in shards.items():
        for place, row in enumerate(rows):
            if open_rows[row]:
                open_rows[row] -= 1
                stays.add((shard, place))
    changed = {row.id: row for row in open_rows.elements()}
    after: Shards = {}
    for shard, rows in shards.items():
        after[shard] = []
        for place, row in enumerate(rows):
            if (shard, place) in stays:
                after[shard].append(row)
            elif row.id in changed:
                new = changed.pop(row.id)
                open_rows[new] -= 1
                after[shard].append(new)
    if fresh := list(open_rows.elements()):
        after[path] = after.get(path, []) + fresh  # an earlier attempt may have left a shard of this name
    for shard, rows in after.items():
        if not rows:
            made.remove.append(shard)
        elif shard not in shards:
            made.new[shard] = rows
        else:
            (made.keep if rows == shards[shard] else made.rewrite)[shard] = rows


def content_hash(splits: Mapping[str, Iterable[Example]]) -> str:
    """SHA-256 (hex) over the sorted digests of the rows with their split; neither files nor order matter.

    Fields that are not set do not count, so that a field added to Example later changes no hash; a request of one message counts as its
    text, so that the step from texts to conversations changed none either.
    """
    return digest_of(sorted(digest_of([split, _counted(row)]) for split, rows in splits.items() for row in rows))


def _counted(row: Example) -> dict[str, Any]:
    return {**row.model_dump(exclude={"messages", "tools"}, exclude_none=True), "prompt": identity(row)}
