"""How far a candidate moved from the base and from production on general prompts, measured with every report."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ftassets.assets._shared.dataset_files import table_rows
from ftassets.backends.artifacts.answers import answers_file
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import version_folder, version_key
from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import question
from ftassets.domain.evaluation.forgetting import REFERENCES, Forgetting, divergences
from ftassets.domain.evaluation.jobs import ForgettingJob, Prompt
from ftassets.domain.release.version import MERGED, VersionManifest


@cache
def general_prompts() -> tuple[Prompt, ...]:
    """What everybody may ask a model, in several languages; a task's own requests are not among them."""
    lines = Path(__file__).with_name("general_prompts.txt").read_text(encoding="utf-8").splitlines()
    return tuple(Prompt(id=f"general-{number}", messages=question(line)) for number, line in enumerate(lines, start=1))


def forgetting_job(artifacts: Artifacts, versions: Mapping[str, str], work: Path) -> ForgettingJob | None:
    """What the evaluation process is to compare; None without the weights of base or candidate. `versions` is role -> digest."""
    here = {role: digest for role, digest in versions.items() if artifacts.exists(version_key(digest, MERGED))}
    if not {"base", "candidate"} <= here.keys():
        return None
    others = {role: here[role] for role in REFERENCES if role in here}
    job = ForgettingJob(
        base=version_folder(artifacts, here["base"]) / MERGED,
        candidate=version_folder(artifacts, here["candidate"]) / MERGED,
        others={role: version_folder(artifacts, digest) / MERGED for role, digest in others.items()},
        prompts=list(general_prompts()),
        output=Path(),
        work=work,
    )
    asked = {"candidate": here["candidate"], "others": others, "prompts": [prompt.prompt for prompt in job.prompts], "tokens": job.tokens}
    return job.model_copy(update={"output": answers_file(artifacts, f"{digest_of(asked)}.forgetting.parquet")})


def read_forgetting(output: Path, manifest: VersionManifest, roles: Mapping[str, object]) -> Forgetting:
    """What the process found about a candidate; `roles` were compared, others have no weights here."""
    kl = divergences(table_rows(output, "answers"), general_prompts())
    why = {
        role: "its tokens have other numbers than the base's" if role in roles else "its weights are not here"
        for role in REFERENCES
        if role not in kl
    }
    if not kl:
        why = {role: "the base's chat template takes no question without a system prompt" for role in REFERENCES}
    replay = manifest.training.get("replay") if manifest.parent else None
    return Forgetting(file=output.name, kl=kl, why=why, replay=replay)
