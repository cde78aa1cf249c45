"""Losses of TRL's own trainer of preferences, step by step, for the same rows and settings as a job of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.domain.chat import chat
from ftassets.domain.dataset.preferences import Pair
from ftassets.domain.dataset.rated import Rated
from ftassets.domain.release.version import MERGED
from ftassets.domain.training.job import TrainingJob


def trl_losses(job: TrainingJob, base_digest: str, rows: Sequence[Pair | Rated], folder: Path, **settings: Any) -> list[float]:
    """One loss a step. All rows are one batch, so that their order in an epoch does not matter."""
    import torch
    import trl
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert job.align is not None
    base = job.versions / base_digest / MERGED
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    config, trainer = (trl.DPOConfig, trl.DPOTrainer) if job.align.method == "dpo" else (trl.KTOConfig, trl.KTOTrainer)
    arguments = config(
        output_dir=str(folder),
        beta=job.align.beta,
        num_train_epochs=job.train.epochs,
        learning_rate=job.train.learning_rate,
        per_device_train_batch_size=len(rows),
        warmup_steps=job.train.warmup_ratio,
        lr_scheduler_type="cosine",
        max_grad_norm=job.train.max_grad_norm,
        max_length=None,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **settings,
    )
    made = trainer(
        model=PeftModel.from_pretrained(model, str(job.start_from), is_trainable=True),
        args=arguments,
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=Dataset.from_list([_row(row, job.task.system_prompt) for row in rows]),
    )
    made.train()
    return [entry["loss"] for entry in made.state.log_history if "loss" in entry]


def _row(row: Pair | Rated, system_prompt: str) -> dict[str, Any]:
    said = {
        name: [{"role": "assistant", "content": text}]
        for name, text in ((("chosen", row.chosen), ("rejected", row.rejected)) if isinstance(row, Pair) else (("completion", row.answer),))
    }
    return {"prompt": chat(system_prompt, row).messages, **said, **({"label": row.rating == "up"} if isinstance(row, Rated) else {})}
