"""How far a candidate moved away from other models on general prompts, which need no label.

The Kullback-Leibler divergence KL(other || candidate) of the distributions of the next token over the whole vocabulary, at each place of
the untuned base's own greedy answer and behind it: the mean over places, in nats a token (Kullback and Leibler 1951). It is 0 for the
same model. It says that answers change, not that they get worse: sets with labels show that.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from ftassets.domain.evaluation.jobs import Prompt

REFERENCES = ("base", "production")  # what a candidate is compared with


class Forgetting(BaseModel):
    """What was found, as a report keeps it.

    `kl` is role -> nats a token, one number a prompt; a role that cannot be compared is in `why` instead. `replay` is how many known rows
    the candidate's training repeated for each new one, None where nothing says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str  # name among the stored answers
    kl: dict[str, list[float]]
    why: dict[str, str] = {}
    replay: float | None = None


def divergences(rows: Iterable[Mapping[str, Any]], prompts: Sequence[Prompt]) -> dict[str, list[float]]:
    """Stored rows of role, id and kl as role -> values in the order of the prompts. Raises KeyError when one is missing."""
    of_role: dict[str, dict[str, float]] = {}
    for row in rows:
        of_role.setdefault(row["role"], {})[row["id"]] = row["kl"]
    return {role: [values[prompt.id] for prompt in prompts] for role, values in of_role.items()}
