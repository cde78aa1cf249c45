"""Training settings that fine-tuning rarely takes, told before a run is paid for."""

from collections.abc import Iterator

from ftassets.config.loop import TRAIN_PRESETS, LoopConfig
from ftassets.domain.gates.alignment import too_few
from ftassets.domain.loop_check.finding import LOOP, LoopFinding
from ftassets.domain.training.method import METHODS, unread
from ftassets.wording import amount

TYPICAL: dict[str, tuple[float, float]] = {
    "epochs": (1, 5),
    "lora_r": (4, 64),
    "lora_alpha": (16, 128),
    "warmup_ratio": (0.03, 0.1),
}
# Rafailov et al. 2023 take beta 0.1 and one epoch or two; rates from that of full fine-tuning to what LoRA takes
ALIGN_TYPICAL: dict[str, tuple[float, float]] = {
    "beta": (0.01, 0.5),
    "learning_rate": (5e-7, 1e-4),
    "epochs": (1, 3),
    "batch_size": (2, 32),
    "min_rows": (200, 1_000_000),
}
MANY = 10_000  # held-out preferences that lack nothing
ROWS_A_STEP = (4, 32)
ALPHA_TO_R = (1.0, 4.0)  # lora_alpha is usually twice lora_r


def unusual(loop: LoopConfig) -> Iterator[LoopFinding]:
    """A warning for each setting outside of what fine-tuning typically takes, unless it is the preset's."""
    train, preset = loop.train, TRAIN_PRESETS[loop.train.preset]
    ranges = {"learning_rate": METHODS[train.method].rates, **TYPICAL}
    for name, (low, high) in ranges.items():
        if name in unread(train.method):
            continue
        value = getattr(train, name)
        if not low <= value <= high and preset.get(name) != value:
            yield _warning(name, f"{name} is {value:g}", f"{low:g} to {high:g}")
    rows = train.batch_size * train.gradient_accumulation_steps
    if not ROWS_A_STEP[0] <= rows <= ROWS_A_STEP[1]:
        what = (
            f"{amount(train.batch_size, 'row')} in each of {amount(train.gradient_accumulation_steps, 'batch makes', 'batches make')} "
            f"steps of {amount(rows, 'row')}"
        )
        yield _warning("batch_size", what, f"{ROWS_A_STEP[0]} to {ROWS_A_STEP[1]}")
    if "lora_r" in unread(train.method):
        return
    if not ALPHA_TO_R[0] <= train.lora_alpha / train.lora_r <= ALPHA_TO_R[1] and not train.use_rslora:
        what = f"lora_alpha is {train.lora_alpha / train.lora_r:g} times lora_r"
        yield _warning("lora_alpha", what, f"{ALPHA_TO_R[0]:g} to {ALPHA_TO_R[1]:g} times")


def unusual_alignment(loop: LoopConfig, validation_rows: int | None) -> Iterator[LoopFinding]:
    """A warning for each setting outside of what training on preferences typically takes, and where it can prove nothing.

    `validation_rows` are those of the dataset as it is now, None if they are not known.
    """
    if (align := loop.align) is None:
        return
    for name, (low, high) in ALIGN_TYPICAL.items():
        if not low <= (value := getattr(align, name)) <= high:
            advice = "a version that moves too far forgets the task, and one that moves too little learns nothing"
            text = f"align.{name} is {value:g}; typical is {low:g} to {high:g}"
            yield LoopFinding("warning", "unusual_training", LOOP, text, advice, field=("align", name))
    if validation_rows is not None and (why := too_few(validation_rows, MANY, align)):
        why, _, advice = why.partition(": ")
        text = f"{why}, so that the fine-tuned version is always the candidate"
        yield LoopFinding("warning", "align_proves_nothing", LOOP, text, advice, field=("align",))


def impossible(loop: LoopConfig, validation_rows: int) -> Iterator[LoopFinding]:
    """Settings with which a training cannot do what they ask for."""
    if loop.train.early_stopping_patience is not None and not validation_rows:
        text = "early stopping needs the loss of validation rows, and the split has no such row"
        advice = "give dataset.split a share of validation rows, or leave early_stopping_patience out"
        yield LoopFinding("error", "no_validation_rows", LOOP, text, advice, field=("train", "early_stopping_patience"))


def _warning(name: str, what: str, typical: str) -> LoopFinding:
    advice = "fine-tuning typically takes less or more; small models take higher rates: leave it if a run has shown that it learns"
    return LoopFinding("warning", "unusual_training", LOOP, f"{what}; typical is {typical}", advice, field=("train", name))
