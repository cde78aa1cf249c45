"""Merge an adapter trained elsewhere into its base, in a process of its own: `python -m ftassets.workers.training.adopt JOB.json`."""

if __name__ == "__main__":
    from ftassets.entry import start

    start("ftassets.workers.training.adopt")

import json
import shutil
import sys
from pathlib import Path

from ftassets.config.home import Home
from ftassets.domain.release.adoption import RESULT, AdoptionJob, AdoptionRefused
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.durable import write_durably
from ftassets.workers.chat_template import FOLD_SYSTEM
from ftassets.workers.process import Report, work_off
from ftassets.workers.training.base_models import ensure_base
from ftassets.workers.training.foreign_adapter import check_fit, copy, read_config, refuse
from ftassets.workers.training.methods.base import merge_adapter
from ftassets.workers.training.sft import publish_version


def adopt(job: AdoptionJob, report: Report) -> dict[str, str]:
    """Publish adapter and merged copy below `job.versions`; returns and writes `{"digest": ...}`.

    Raises AdoptionRefused when the folder is not an adapter of the loop's base, and BaseModelMissing.
    """
    config = read_config(job.adapter)
    refuse(job.adapter, config, job.base_model)
    base_digest = ensure_base(job.base_model, job.versions, Home.from_env().cache)
    base = job.versions / base_digest / MERGED
    _same_template(job.adapter, base)
    staging = job.work / "version"
    shutil.rmtree(staging, ignore_errors=True)
    copy(job.adapter, config, staging / ADAPTER)
    report("merging and reloading")
    check_fit(base, staging / ADAPTER)
    recipe = {"method": "lora", "lora_r": config["r"], "lora_alpha": config["lora_alpha"], "lora_dropout": config.get("lora_dropout", 0.0)}
    lineage = "adopted: trained elsewhere, its data is not known"
    merge_adapter(base, staging, base)
    result = {"digest": publish_version(job, staging, ADAPTER, base_digest, lineage=lineage, recipe=recipe)}
    write_durably(job.work / RESULT, json.dumps(result))
    return result


def _same_template(adapter: Path, base: Path) -> None:
    """An adapter is served with its base's chat template: one trained with another would see prompts it does not know."""
    own, served = adapter / "chat_template.jinja", base / "chat_template.jinja"
    known = served.read_text().strip() if served.exists() else ""
    # the base's may begin with lines of ours, which give it a system role
    if own.exists() and known not in (own.read_text().strip(), FOLD_SYSTEM + own.read_text().strip()):
        raise AdoptionRefused(f"{own} is another chat template than the base's: adopt it into a loop whose base has the same one")


def main() -> int:
    """Do the job of the file that the one argument names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m ftassets.workers.training.adopt JOB.json")
    return work_off(Path(sys.argv[1]), AdoptionJob, adopt)
