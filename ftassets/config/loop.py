"""One fine-tune loop as its YAML file states it: names, bounds and defaults, nothing that acts."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from ftassets.config.cron import Cron, TimeZone, cron, longest_pause, ticks_a_day
from ftassets.config.server_url import server_url
from ftassets.config.units import Fraction, OneOf, Seconds, Strict
from ftassets.domain.canonical import canonical_json
from ftassets.domain.dataset.curation.pipeline import SKIPPABLE
from ftassets.domain.dataset.curation.size import GOALS
from ftassets.domain.evaluation.answer_form import LONGEST_LABEL, AnswerForm, CallOrder, TaskType, form_of, is_label, same_label
from ftassets.domain.evaluation.call_schema import schema_objection
from ftassets.domain.evaluation.metrics import CATALOGUE
from ftassets.domain.gates.fit import gate_objections, metric_objections
from ftassets.domain.gates.gate import Gate
from ftassets.domain.monitoring.quality import LATE
from ftassets.domain.release.version import ExternalModel, loopback
from ftassets.domain.training.method import ALIGN_METHODS, METHODS

LOOP_NAME = r"^[a-z][a-z0-9_]{0,40}$"
_BUDGET = re.compile(r"^(\d{1,4})/(quarter|month|week|day)$")
_PERIOD_DAYS = {"quarter": 91, "month": 30, "week": 7, "day": 1}

_EMAIL = re.compile(r"[\w.%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}", re.ASCII)  # as narrow as Dagster's


def _schedule(schedule: str) -> str:
    if schedule in ("weekly", "biweekly"):
        return schedule
    try:
        return cron(schedule)
    except ValueError as error:
        raise ValueError(f"{error}; write weekly, biweekly or a cron expression") from None


def _owner(owner: str) -> str:
    if not _EMAIL.fullmatch(owner) and not (owner.startswith("team:") and len(owner) > len("team:")):
        raise ValueError("an owner is an e-mail address or team:NAME")
    return owner


def _metric(name: str) -> str:
    if name not in CATALOGUE and not re.fullmatch(r"[^:]+:[^:]+", name):
        raise ValueError(f"there is no metric {name!r}: write one of {', '.join(CATALOGUE)}, or module:Class of your own")
    return name


def _label(label: str) -> str:
    if not is_label(label):
        raise ValueError(f"a label is one line of 1 to {LONGEST_LABEL} characters without white space around it")
    return label


def _call_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if why := schema_objection(schema):
        raise ValueError(f"call_schema is not a JSON Schema that answers can be compared with: {why}")
    return schema


_Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Task(Strict):
    """What the model is asked, and the form of an answer."""

    type: TaskType = Field(
        "tool_call",
        description="Form of an answer: a JSON object (tool_call), free text (text), or a label alone (classification). What needs "
        "classes does not apply to text.",
    )
    system_prompt: str = Field(
        description="System message of every training row and evaluation. The gateway adds it to requests that bring none."
    )
    base_prompt: str | None = Field(
        None, description="Best known system prompt of the untuned base, which every report scores too. Default: system_prompt."
    )
    label: str = Field(
        "intent", description="Field of a tool call that names its class. Balance, macro F1 and label checks use it. Other types ignore it."
    )
    call_schema: Annotated[dict[str, Any], AfterValidator(_call_schema)] | None = Field(
        None,
        description="JSON Schema of each call of a tool call task, written here. An answer that does not fit it is not well formed, and a "
        "row that does not fit it is not trained on. What it refers to must be in it.",
    )
    calls: CallOrder = Field(
        "one",
        description="one: an answer of a tool call task is one call. unordered, ordered: it may be a JSON list of calls too, whose order "
        "does not or does count.",
    )
    labels: list[Annotated[str, AfterValidator(_label)]] | None = Field(
        None,
        min_length=2,
        description="Labels of a classification. Any other answer is not well formed, and feedback with another label is quarantined. "
        "Default: feedback is compared with the labels of the seed, the golden set and labelling batches.",
    )
    costs: dict[Annotated[str, AfterValidator(_label)], dict[Annotated[str, AfterValidator(_label)], _Cost]] | None = Field(
        None,
        description="What mistakes cost, in any unit: expected class, class of the answer, cost. A right answer costs 0, a mistake that is "
        "not listed the largest cost of all. For gates on cost.",
    )
    max_tokens: int = Field(
        512, ge=1, le=4096, description="Longest answer in tokens, in evaluation and, unless a request sets it, in serving."
    )
    temperature: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Sampling temperature of served answers. Reports score greedy answers, and above 0 sampled ones as well; a gate on "
        "sampled_exact_match compares those.",
    )

    @model_validator(mode="after")
    def _calls_are_of_tools(self) -> "Task":
        for name in ("call_schema", "calls"):
            if self.type != "tool_call" and getattr(self, name) not in (None, "one"):
                raise ValueError(f"{name} belongs to a tool_call task, and the type is {self.type}: leave it out or change the type")
        return self

    @model_validator(mode="after")
    def _costs_are_of_mistakes(self) -> "Task":
        if self.costs is None:
            return self
        if why := self.form.lacks.get("classes"):
            raise ValueError(f"costs do not apply: {why}; leave them out")
        if not any(cost for of in self.costs.values() for cost in of.values()):
            raise ValueError("no mistake has a cost: list those that have, or leave costs out")
        for expected, of in self.costs.items():
            if of.get(expected):
                raise ValueError(f"the right answer {expected!r} costs nothing: leave it out of its own costs")
            if unknown := next((label for label in (expected, *of) if self.labels and label not in self.labels), None):
                raise ValueError(f"costs name {unknown!r}, which is not one of the labels")
        return self

    @model_validator(mode="after")
    def _labels_differ(self) -> "Task":
        if self.labels is None:
            return self
        if self.type != "classification":
            raise ValueError(f"labels are those of a classification, and the type is {self.type}: leave labels out or change the type")
        for number, label in enumerate(self.labels):
            if twin := next((other for other in self.labels[:number] if same_label(label, other)), None):
                raise ValueError(f"the labels {twin!r} and {label!r} differ in nothing but case and white space: keep one of them")
        return self

    @property
    def form(self) -> AnswerForm:
        """What an answer of this task is."""
        return form_of(self.type, self.label, self.labels, self.call_schema, self.calls)


def _named_package(model: str) -> str:
    if re.fullmatch(r"package:(?![A-Za-z0-9_-]+$).*", model, re.DOTALL):
        raise ValueError("package:NAME needs the name of a Python package: letters, digits, - and _")
    return model


# type of an embedder -> fields it needs, and fields it may have besides
_EMBEDDER_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "minilm": ((), ()),
    "sentence_transformers": (("model",), ("revision", "prefix")),
    "openai": (("model", "url"), ("revision", "prefix", "api_key_env")),
}


class EmbedderSettings(Strict):
    """The model that turns requests into vectors. With another one, vectors and drift reference are made again."""

    type: Literal["minilm", "sentence_transformers", "openai"] = Field(
        "minilm",
        description="minilm: all-MiniLM-L6-v2 of a Python package, for English. sentence_transformers: a model on this machine. "
        "openai: an endpoint that speaks OpenAI's embeddings API.",
    )
    model: Annotated[str, AfterValidator(_named_package)] | None = Field(
        None,
        description="sentence_transformers: a Hugging Face hub id, a folder, or package:NAME of an installed Python package. "
        "openai: what the endpoint calls the model.",
    )
    revision: str | None = Field(
        None,
        description="sentence_transformers: commit, tag or branch of a hub id. openai: a label of yours, to change when the endpoint "
        "serves another model under the same name.",
    )
    prefix: str = Field("", description='Text before each request, for models that need one, such as "query: " for E5.')
    url: str | None = Field(None, description="openai: base URL, for example https://api.example.com/v1.")
    api_key_env: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="openai: name of the environment variable that holds the key. The key itself is never written down.",
    )

    @field_validator("url")
    @classmethod
    def _base_url(cls, url: str | None) -> str | None:
        return None if url is None else server_url("embedder.url", url)

    @model_validator(mode="after")
    def _fields_fit_the_type(self) -> "EmbedderSettings":
        needed, more = _EMBEDDER_FIELDS[self.type]
        given = {name for name in ("model", "revision", "prefix", "url", "api_key_env") if getattr(self, name)}
        if missing := [name for name in needed if name not in given]:
            raise ValueError(f"an embedder of type {self.type} needs {' and '.join(missing)}")
        if unused := sorted(given - {*needed, *more}):
            raise ValueError(f"an embedder of type {self.type} has no {' or '.join(unused)}: remove it, or set another type")
        parts = urlsplit(self.url or "")
        if self.api_key_env and parts.scheme == "http" and not loopback(parts.hostname or ""):
            raise ValueError("a key is not sent over plain http to another machine: use https")
        if self.type == "sentence_transformers" and self.revision and (self.model or "").startswith(("package:", ".", "/", "~")):
            raise ValueError("revision is for a model of the Hugging Face hub: remove it for a folder or a package")
        return self


class TeacherSettings(Strict):
    """A larger model that writes examples for rare classes, behind any OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, for example https://api.example.com/v1.")
    model: str = Field(description="What the endpoint calls the model.")
    api_key_env: str | None = Field(
        None, description="Name of the environment variable that holds the key. The key itself is never written down."
    )
    rare_below: int = Field(50, ge=1, description="Classes with fewer rows than this get synthetic rows.")
    rows_per_class: int = Field(20, ge=1, description="Rows asked for per rare class.")


class Dataset(Strict):
    """Where the examples come from and how they are cleaned and split."""

    seed: Path = Field(description="JSONL file of examples people wrote, relative to the loop file.")
    goal: Annotated[str, OneOf(GOALS)] = Field("task", description="What is taught. It sets how many rows a dataset needs.")
    min_rows: int | None = Field(
        None, ge=1, description="Replaces the number of rows that the goal needs. The dataset's check says that it was lowered."
    )
    production_window: Seconds = Field(
        timedelta(days=30).total_seconds(), description="Feedback on answers of the last so many days becomes rows of the dataset."
    )
    context: Literal["conversation", "last_turn"] = Field(
        "conversation",
        description="What a row keeps of a logged conversation. conversation: all messages, as the model read them. last_turn: the last "
        "message of the user and what follows it; the dataset's report counts what is cut.",
    )
    skip: list[Annotated[str, OneOf(SKIPPABLE)]] = Field([], description="Curation steps this loop leaves out.")
    pii: Literal["redact", "drop"] = Field("redact", description="What happens to a row with personal data.")
    pii_names: bool = Field(False, description="Redact people's names too. Needs the extra `pii`, which finds about 60 % of names.")
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = Field(
        [], description="Languages kept, as ISO 639-1 codes. Empty keeps all."
    )
    min_chars: int | None = Field(
        None, ge=1, description="Shortest request and answer together, in characters. Default: 20, and 1 for a classification."
    )
    max_chars: int = Field(2048, ge=1, description="Longest request and answer together, in characters.")
    quality_score: float = Field(0.8, ge=0, le=1, description="Rows with a lower quality score are dropped. Rows without a score stay.")
    jaccard: float = Field(0.6, gt=0, le=1, description="Jaccard index of character 5-grams from which two texts are near duplicates.")
    near_duplicate: float = Field(0.95, gt=0, le=1, description="Cosine similarity from which a row counts as a copy of another row.")
    max_rows_per_user: int = Field(50, ge=1, description="Feedback rows that are taken from one user at most.")
    max_topic_rows_per_user: int = Field(
        10,
        ge=1,
        description="Feedback rows that are taken from one user at most on a topic that others hardly ask about, and rows of the seed that "
        "one user alone replaces at most.",
    )
    exclude_tags: list[str] = Field(
        [], description="Feedback with one of these tags makes no row, no preference pair and no trigger, whatever the tag's case."
    )
    max_class_share: float | None = Field(None, gt=0, le=1, description="Largest share of one class in the rows that are trained on.")
    split: list[float] = Field([0.8, 0.1, 0.1], min_length=3, max_length=3, description="Shares of train, validation and test, in sum 1.")
    teacher: TeacherSettings | None = Field(None, description="Model that writes synthetic rows for rare classes.")
    license: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$",
        description="Licence of the rows, as dataset cards name it, for example cc-by-4.0. Default: the card says that none is stated.",
    )

    @model_validator(mode="after")
    def _split_adds_up(self) -> "Dataset":
        if abs(sum(self.split) - 1) > 1e-6 or min(self.split) < 0 or self.split[0] == 0:
            raise ValueError(f"split {self.split} must be three shares that add up to 1, the first above 0")
        if (self.min_chars or 1) > self.max_chars:
            raise ValueError(f"min_chars {self.min_chars} is larger than max_chars {self.max_chars}")
        return self


# values a preset gives to what a loop file leaves out
TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "lora": {},
    "lora_attention": {"target_modules": "attention"},
    "lora_steps": {"gradient_accumulation_steps": 8, "eval_steps": 50, "save_steps": 100},
    # ten times the rate of full fine-tuning; all linear layers and steps of fewer than 32 rows are the defaults (Schulman et al. 2025)
    "lora_without_regret": {"lora_r": 32, "learning_rate": 5e-4},
}
_OTHER_RATES = ", ".join(f"{method.defaults['learning_rate']:g} of {name}" for name, method in METHODS.items() if method.defaults)


class RayCluster(Strict):
    """A Ray cluster that trains instead of this machine; its nodes need the same packages, and no disk in common."""

    address: str = Field(
        pattern=r"^ray://[^/\s]+:\d+$",
        description="Address of the cluster's client server, which is on the head, for example ray://ray-head:10001.",
    )
    workers: int = Field(1, ge=1, le=1024, description="Processes that share each batch, so that batch_size is a multiple of it.")
    resources_per_worker: dict[str, float] = Field(
        {"CPU": 1}, min_length=1, description="What a worker needs for itself, as Ray names it, for example {CPU: 4, GPU: 1}."
    )
    placement: Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"] = Field(
        "PACK", description="Where the workers are: on few nodes or on many; STRICT_PACK: on one, STRICT_SPREAD: each on its own."
    )
    max_failures: int = Field(
        3, ge=0, le=100, description="Workers killed, or nodes lost, after which a run counts as killed; it resumes each time."
    )


class Train(Strict):
    """Fine-tuning settings; the defaults are the usual ones of the method."""

    preset: Annotated[str, OneOf(TRAIN_PRESETS)] = Field(
        "lora",
        description="Values of the fields that are left out. lora: the defaults. lora_attention: on attention layers alone. lora_steps: "
        "larger steps, with validation and checkpoints by steps. lora_without_regret: rank 32 and a learning rate of "
        "0.0005, ten times that of full fine-tuning.",
    )
    method: Annotated[str, OneOf(METHODS)] = Field(
        "lora",
        description=f"What is trained. {'. '.join(f'{name}: {method.what}' for name, method in METHODS.items())}.",
    )
    epochs: float = Field(3, gt=0, le=20, description="Passes over the training rows.")
    learning_rate: float = Field(
        2e-4, gt=0, lt=1, description=f"Peak learning rate of the cosine schedule. Default: 0.0002; {_OTHER_RATES}."
    )
    batch_size: int = Field(4, ge=1, description="Rows per forward pass.")
    gradient_accumulation_steps: int = Field(4, ge=1, description="Batches per optimizer step.")
    lora_r: int = Field(16, ge=1, le=512, description="Rank of the LoRA matrices.")
    lora_alpha: int = Field(32, ge=1, description="LoRA scaling: updates are multiplied by lora_alpha / lora_r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the LoRA matrices during training.")
    target_modules: Literal["all-linear", "attention"] | list[str] = Field(
        "all-linear",
        min_length=1,
        description="Layers that get LoRA matrices: all-linear, attention, or names of layers as PEFT takes them, for example "
        "[q_proj, v_proj].",
    )
    use_rslora: bool = Field(False, description="Scale updates by lora_alpha / sqrt(lora_r), which keeps high ranks learning.")
    use_dora: bool = Field(False, description="DoRA: learn the size of each weight column apart from its direction. Slower.")
    prefix_tokens: int = Field(
        20, ge=1, le=1000, description="Learned tokens in front of each prompt. The chat template of the version writes them."
    )
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="Share of all steps in which the learning rate rises from 0.")
    max_grad_norm: float = Field(0.3, gt=0, description="Gradients are clipped to this norm.")
    max_length: int = Field(2048, ge=16, description="Longest row in tokens, prompt and answer.")
    replay: float = Field(
        1.0, ge=0, description="Rows that production already knew, per new row, when training continues production's adapter."
    )
    loss_limit: float = Field(2.0, gt=1, description="Training stops when the loss exceeds its first value by this factor.")
    max_time: Seconds | None = Field(
        None, description="A training that is estimated to take longer is refused before it starts. Default: no limit."
    )
    max_left_out: float = Field(
        0.1,
        ge=0,
        le=1,
        description="A training is refused if more than this share of its rows is left out, because they are longer than max_length or "
        "the chat template does not take them.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: the loss of a row counts the more the rarer its class is among the rows, all classes alike in sum. Not for "
        "text tasks, which have no classes.",
    )
    seed: int = Field(0, description="Seed of the order of rows and of the new weights.")
    eval_steps: int | None = Field(
        None, ge=1, description="Steps between two measurements of the validation loss. Default: the end of each epoch."
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        description="Training stops after this many measurements without a lower validation loss, and keeps the weights of the lowest. "
        "Default: it never stops early, and keeps the last.",
    )
    command: list[str] | None = Field(
        None,
        min_length=1,
        description="A program that trains instead of ftassets, with its arguments. {dataset} stands for a folder with train.jsonl, "
        "validation.jsonl and settings.json, {base} for the base model, {start_from} for the adapter to continue from, or nothing, "
        "{checkpoints} for a folder that is kept after a kill, {output} for the folder where it leaves a PEFT adapter and metrics.json.",
    )
    command_folder: Path = Field(Path(), description="Working folder of command, relative to the loop file.")
    ray: RayCluster | None = Field(
        None, description="A Ray cluster that trains instead of this machine. Default: the machine or pod of the profile trains."
    )
    save_steps: int | None = Field(
        None, ge=1, description="Steps between two checkpoints, from which a training that was killed resumes. Default: every 5 minutes."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_fills_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        preset = given.get("preset")
        given = {**TRAIN_PRESETS.get(preset, {}), **given} if isinstance(preset, str) else given
        method = given.get("method")
        return {**METHODS[method].defaults, **given} if isinstance(method, str) and method in METHODS else given

    @model_validator(mode="after")
    def _workers_share_a_batch(self) -> "Train":
        if self.ray and self.batch_size % self.ray.workers:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared evenly by {self.ray.workers} workers: make it a multiple of ray.workers"
            )
        return self

    @model_validator(mode="after")
    def _command_leaves_lora(self) -> "Train":
        if self.command and METHODS[self.method].adapter != "LORA":
            raise ValueError(f"command leaves a LoRA adapter, and method is {self.method}: leave method out, or command")
        return self


class Align(Strict):
    """Training the fine-tuned adapter further on what users preferred, and what the result must prove before it becomes the candidate."""

    method: Annotated[str, OneOf(ALIGN_METHODS)] = Field(
        description=f"What is trained on. {'. '.join(f'{name}: {what}' for name, what in ALIGN_METHODS.items())}.",
    )
    beta: float = Field(
        0.1, gt=0, allow_inf_nan=False, description="How strongly the trained version is held to the fine-tuned one; higher is closer."
    )
    learning_rate: float = Field(5e-6, gt=0, lt=1, description="Peak learning rate of the cosine schedule.")
    epochs: float = Field(1, gt=0, le=20, description="Passes over the preferences.")
    batch_size: int = Field(4, ge=1, description="Pairs, or rated answers, per forward pass.")
    gradient_accumulation_steps: int = Field(1, ge=1, description="Batches per optimizer step.")
    min_rows: int = Field(
        2000, ge=1, description="Pairs, or rated answers, below which nothing is trained and the fine-tuned version becomes the candidate."
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="Share of the preferences that is not trained on, by the request; those of validation rows are added."
    )
    margin: Fraction = Field(
        0.02, description="How much worse the mean score on the validation rows may be than that of the fine-tuned version."
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence of each of the two bounds that must clear their limits.")

    @model_validator(mode="after")
    def _others_in_the_batch(self) -> "Align":
        if self.method == "kto" and self.batch_size < 2:
            raise ValueError("method kto compares answers of a batch: set batch_size to 2 or more")
        return self


class Sweep(Strict):
    """A search for a better recipe, which proposes one and changes nothing."""

    trials: int = Field(10, ge=2, le=200, description="Recipes that are tried at most, the loop's own first.")
    max_time: Seconds = Field(
        timedelta(hours=8).total_seconds(), gt=0, description="No further recipe is tried after this time of training."
    )
    learning_rate: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Lowest and highest learning rate. Default: a fifth of train.learning_rate to five times as much.",
    )
    lora_r: list[int] = Field(
        [8, 16, 32], description="Ranks to choose from, with lora_alpha in its ratio to the rank; none: the loop's own."
    )
    epochs: list[float] = Field([1, 2, 3], description="Epochs to choose from; none: the loop's own.")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> "Sweep":
        if self.learning_rate and not 0 < self.learning_rate[0] <= self.learning_rate[1] < 1:
            raise ValueError("learning_rate takes the lowest rate, then the highest, both between 0 and 1")
        if any(rank < 1 for rank in self.lora_r) or any(not 0 < epochs <= 20 for epochs in self.epochs):
            raise ValueError("lora_r takes ranks of 1 and more, epochs numbers above 0 and up to 20")
        return self


class Drift(Strict):
    """When traffic is compared with what production was trained on, and how often that may be wrong."""

    every: Cron = Field("0 6 * * *", description="When drift reports are made, as a cron expression in timezone.")
    rule: Literal["novelty", "centroid_cosine"] = Field(
        "novelty",
        description="What raises the alarm. centroid_cosine is a fixed rule, cosine distance of the means above 0.15, which ignores the "
        "budget of false alarms. The drift report says how often that rule alarms on harmless windows.",
    )
    window: Seconds = Field(timedelta(hours=24).total_seconds(), description="Length of the window of traffic that a report compares.")
    sample: int = Field(500, ge=20, description="Queries of the window that are compared, drawn at random.")
    min_sample: int = Field(100, ge=10, description="Queries below which the verdict is NOT ENOUGH DATA. At most sample.")
    max_false_alarms: str = Field(
        "1/quarter",
        pattern=_BUDGET.pattern,
        description="Budget of false retrains: a count per quarter, month, week or day. Half is for single windows, half for evidence "
        "that adds up over windows.",
    )
    reports_per_day: float | None = Field(
        None,
        gt=0,
        description="Reports a day that the budget is spread over, at least as many as every makes. Default: as many as every makes.",
    )
    consecutive: int = Field(2, ge=1, le=30, description="Alarms in a row before a retrain starts.")
    reference_requests: int = Field(
        2000,
        ge=0,
        description="First answers of a new production version whose queries are added to its reference; new topics among them are not.",
    )
    reference_span: Seconds = Field(
        timedelta(days=7).total_seconds(),
        description="These answers are a sample over whole spans of this length, so that all hours and days of a week are in it. Until "
        "then the training queries and the reference of the version before count.",
    )
    reference_windows: int = Field(
        10, ge=1, description="The reference needs this many times min_sample queries. With fewer the verdict is NOT ENOUGH DATA."
    )

    @model_validator(mode="after")
    def _sample_fits(self) -> "Drift":
        if self.min_sample > self.sample:
            raise ValueError(f"min_sample {self.min_sample} is larger than sample {self.sample}")
        return self

    @model_validator(mode="after")
    def _budget_can_hold(self) -> "Drift":
        made = ticks_a_day(self.every)
        if self.reports_per_day is not None and self.reports_per_day < 0.999 * made:
            raise ValueError(
                f"reports_per_day is {self.reports_per_day:g}, and every makes {made:.3g} reports a day on average, so that more false "
                "alarms than max_false_alarms would come: leave reports_per_day out"
            )
        return self

    @property
    def false_alarms(self) -> int:
        return int(_BUDGET.fullmatch(self.max_false_alarms)[1])  # type: ignore[index]

    @property
    def budget_reports(self) -> float:
        """Reports within the period of the budget; at least one."""
        per_day = ticks_a_day(self.every) if self.reports_per_day is None else self.reports_per_day
        return max(1.0, _PERIOD_DAYS[_BUDGET.fullmatch(self.max_false_alarms)[2]] * per_day)  # type: ignore[index]

    @property
    def longest_gap(self) -> float:
        """Seconds without data between two windows whose alarms are still in a row: a week, or two reports where they are rarer."""
        return max(7.0, 2 / ticks_a_day(self.every)) * 86_400


class RetrainOn(Strict):
    """What starts a retrain and what holds it back."""

    drift: Drift = Field(Drift(), description="Drift reports and the alarm that starts a retrain.")
    schedule: Annotated[str, AfterValidator(_schedule)] | None = Field(
        None, description="Regular retrains, with or without drift: weekly, biweekly or a cron expression in timezone."
    )
    feedback: int | None = Field(
        None, ge=1, description="Number of usable labels no training was made with that starts a retrain. Default: labels alone start none."
    )
    quality_drop: Fraction | None = Field(
        None,
        description="Lasting drop of live quality that starts a retrain, of a measure that training can cure. Steady quality starts one in "
        "at most 2 % of years. Default: quality alone starts none.",
    )
    cooldown: Seconds = Field(
        timedelta(days=7).total_seconds(), description="Shortest time between the starts of two retrains that ran their course."
    )
    min_new_labels: int = Field(
        200, ge=0, description="Usable labels, new to production, that a retrain needs. With fewer the trigger stays pending."
    )
    notify_after: Seconds = Field(
        timedelta(days=3).total_seconds(),
        description="How long a trigger may wait for labels or for a person before a ticket is sent, once.",
    )
    max_retrains: int | None = Field(
        None, ge=1, description="Retrains in 91 days that may start by themselves. Beyond it a person starts them. Default: no limit."
    )


GuardrailMetric = Literal["errors", "form", "latency", "first_token", "length", "refusals", "language", "thumbs_down", "corrections"]
MARGINS: dict[GuardrailMetric, float] = {
    "errors": 0.005, "form": 0.02, "latency": 0.2, "first_token": 0.2, "length": 0.5, "refusals": 0.02, "language": 0.02,
    "thumbs_down": 0.05, "corrections": 0.05,
}  # fmt: skip


class Guardrail(Strict):
    """In what a candidate is compared with production while both have traffic. Worse is rolled back."""

    metric: GuardrailMetric = Field(
        description="`errors` of the server, `form` of the task that an answer lacks, `latency`, `first_token` of streams, `length` in "
        "tokens, `refusals` by their first words in English, `language` of a text that is not its request's, `thumbs_down` and "
        "`corrections` of answers with feedback."
    )
    margin: Fraction | None = Field(
        None,
        description="How much worse than production still counts as no worse. Of latency, first_token and length: the part by which the "
        "slowest or longest 5 % may be above production's; of others: the difference of the shares of answers. Default: errors 0.5%, "
        "form, refusals and language 2%, latency and first_token 20%, length 50%, thumbs_down and corrections 5%.",
        gt=0,
    )
    required: bool = Field(
        True,
        description="Whether all traffic needs a proof that the candidate is no worse by more than the margin, where at least 100 of "
        "production's users have such data. Errors are always asked for.",
    )

    @property
    def tolerated(self) -> float:
        """The margin, the usual one of the metric unless given."""
        return MARGINS[self.metric] if self.margin is None else self.margin


class Shadow(Strict):
    """A phase before the canary: the candidate answers copies of requests, and no client gets its answers."""

    sample: Fraction = Field(
        0.2, gt=0, le=1, description="Share of production's requests that are copied. A hash of the request's id chooses them."
    )
    min_requests: int = Field(500, ge=1, description="Good answers of the candidate to copies before it gets its first weight.")
    max_time: Seconds = Field(
        timedelta(hours=48).total_seconds(),
        description="Longest time of the phase. on_not_enough_data decides what happens then without enough answers.",
    )


class Rollout(Strict):
    """Weights of a candidate, in percent of traffic, and what each step must show."""

    shadow: Shadow | None = Field(None, description="A phase in shadow before the first weight. Default: none; `{}` takes its defaults.")

    steps: tuple[int, ...] = Field((5, 20, 50, 100), description="Weights of the candidate in percent. They rise and end at 100.")
    interval: Seconds = Field(
        timedelta(minutes=5).total_seconds(), description="Shortest time at one weight. A canary's lease is twice this, at least 30 s."
    )
    min_requests: int = Field(
        500,
        ge=1,
        description="Good answers that the candidate needs at one weight before the next. With 500 a threefold error rate is found in "
        "80 % of rollouts.",
    )
    false_rollback: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Probability that a candidate as good as production is rolled back during a whole rollout. With shadow each of the two "
        "phases has half of it.",
    )
    guardrails: tuple[Guardrail, ...] = Field(
        tuple(Guardrail(metric=metric, required=metric not in ("first_token", "length")) for metric in MARGINS),
        description="In what the candidate is compared with production. They share false_rollback.",
        min_length=1,
    )
    false_promotion: float = Field(
        0.05, gt=0, lt=0.5, description="Probability that a candidate which is worse by a required margin gets all traffic."
    )
    on_not_enough_data: Literal["hold", "rollback"] = Field(
        "hold",
        description="What happens when interval is over and the candidate has fewer than min_requests good answers. One that is not "
        "proved to be no worse is held in any case.",
    )
    on_newer: Literal["wait", "supersede"] = Field(
        "wait",
        description="What a newer release does while a rollout is under way: it waits until that has ended, or takes the candidate's place "
        "and begins from the start. A candidate that made place is not rejected, and does not start again by itself.",
    )
    hold_back: int = Field(
        0,
        ge=0,
        le=5,
        description="Percent of users that stay on the version before after a promotion, so that what the promotion gained is measured. "
        "It ends with the next canary, a rollback, or after hold_back_for.",
    )
    hold_back_for: Seconds = Field(timedelta(days=14).total_seconds(), description="How long users stay on the version before, at most.")
    server_patience: Seconds = Field(
        timedelta(minutes=3).total_seconds(),
        description="How long the candidate's model server may not answer, while production's does, before the candidate is rolled back. "
        "Its users get production meanwhile.",
    )

    @model_validator(mode="after")
    def _guardrails_differ(self) -> "Rollout":
        metrics = [guardrail.metric for guardrail in self.guardrails]
        if twice := sorted({metric for metric in metrics if metrics.count(metric) > 1}):
            raise ValueError(f"guardrails has {', '.join(twice)} more than once: name each metric once")
        if "errors" not in metrics:
            raise ValueError("guardrails must have errors: a candidate that does not answer is rolled back in any loop")
        return self

    @model_validator(mode="after")
    def _steps_rise(self) -> "Rollout":
        if list(self.steps) != sorted(set(self.steps)) or not self.steps or self.steps[0] < 1 or self.steps[-1] != 100:
            raise ValueError(f"steps {list(self.steps)} must rise and end at 100")
        return self

    @property
    def false_rollback_of_phase(self) -> float:
        """The part of `false_rollback` that shadow has, and the canary."""
        return self.false_rollback / (1 if self.shadow is None else 2)

    @property
    def lease(self) -> float:
        """Seconds a canary keeps its weight without being renewed: two intervals, at least 30 s."""
        return max(2 * self.interval, 30.0)


class Vllm(Strict):
    """How vLLM serves a loop's versions: one base model, and an adapter for each version."""

    merged: bool = Field(
        False, description="Serve each version's merged weights, a server for each, instead of adapters on one base. Faster on a CPU."
    )
    max_loras: int = Field(
        4, ge=3, le=64, description="Adapters of one server that answer at the same time. Each loop on it counts as three versions."
    )
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 320, 512] = Field(16, description="Highest rank of an adapter that the server takes.")
    max_model_len: int = Field(4096, ge=256, description="Tokens, prompt and answer, that one request may have.")
    max_num_batched_tokens: int = Field(4096, ge=256, description="Tokens that the server works on at once.")
    gpu_memory_utilization: float = Field(0.95, gt=0, le=1, description="Share of the GPU's memory that the server takes.")
    tensor_parallel_size: int = Field(1, ge=1, le=64, description="GPUs over which the model is spread.")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field("auto", description="Number format of the weights.")
    executable: Path | None = Field(
        None, description="vLLM's command, in an environment of its own. Default: FTASSETS_VLLM, else vllm on the PATH."
    )
    arguments: list[str] = Field([], description="Further arguments of `vllm serve`, such as --enforce-eager.")


class Serving(Strict):
    """Which program answers, and how long the gateway waits for it. Time in which a client does not read is not counted."""

    engine: Literal["transformers", "vllm", "url"] = Field(
        "transformers",
        description="transformers: a server for each version on this machine. vllm: adapters on one base, on a server that is started here "
        "or, with url, on one of yours. url: an OpenAI-compatible server that knows each version by its digest.",
    )
    url: str | None = Field(None, description="Base URL of the server that others run, for example https://vllm.example.com/v1.")
    api_key_env: str | None = Field(None, description="Environment variable that holds the server's key. Default: it wants none.")
    vllm: Vllm = Field(Vllm(), description="Settings of engine vllm.")
    first_token: Seconds = Field(timedelta(minutes=2).total_seconds(), description="Longest time to the first token of a streamed answer.")
    idle: Seconds = Field(timedelta(minutes=1).total_seconds(), description="Longest time between two tokens of a streamed answer.")
    total: Seconds = Field(timedelta(minutes=10).total_seconds(), description="Longest time for an answer, streamed or not.")

    @model_validator(mode="after")
    def _somebody_serves(self) -> "Serving":
        if self.engine == "url" and self.url is None:
            raise ValueError("engine url needs url: the base URL of the server, which ends in /v1")
        if self.engine == "transformers" and self.url is not None:
            raise ValueError("url has no effect with engine transformers: set engine to vllm or url, or leave it out")
        if self.api_key_env and self.url is None:
            raise ValueError("api_key_env has no effect without url: leave it out")
        if self.vllm.merged and self.url is not None:
            raise ValueError("vllm.merged needs a server for each version, which only a server started here can be: leave out url")
        if self.url is not None:
            ExternalModel.check(self.url, self.api_key_env)
        return self

    def remote(self, model: str) -> ExternalModel:
        """The endpoint as it serves a model. Only with `url`."""
        return ExternalModel(url=self.url or "", model=model, api_key_env=self.api_key_env)

    @property
    def adapter_server(self) -> str | None:
        """What makes two loops of one base share a server of adapters; None if their versions are not adapters on a shared base."""
        shared = {"url": self.url, "vllm": self.vllm.model_dump(mode="json")}
        return canonical_json(shared).decode() if self.engine == "vllm" and not self.vllm.merged else None


class LlmJudgeSettings(Strict):
    """A model that scores answers, behind any OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, for example https://api.example.com/v1.")
    model: str = Field(description="What the endpoint calls the model.")
    api_key_env: str | None = Field(
        None, description="Name of the environment variable that holds the key. The key itself is never written down."
    )
    rubric: str = Field("The answer does what the request asks for.", description="What a good answer is, in the judge's prompt.")


class PairwiseJudgeSettings(LlmJudgeSettings):
    """An LLM that compares candidate and production for the llm_judge gate. Its choices count once it agrees with people."""

    labels: Path = Field(
        description="JSONL file of pairs people have judged. Each line has id, prompt, first, second and preferred: first, second or tie. "
        "It may have the slice of the request."
    )
    min_kappa: float = Field(0.4, ge=0, le=1, description="Agreement with people (Cohen's kappa) that the judge must be proved to reach.")
    repeats: int = Field(1, ge=1, le=9, description="Times each pair is judged in each order.")


class ReferenceModel(ExternalModel):
    """A priced API model that every report scores with the others. No gate uses it."""

    usd_per_million_in: float = Field(ge=0, allow_inf_nan=False, description="Price of a million tokens of requests, in US dollars.")
    usd_per_million_out: float = Field(ge=0, allow_inf_nan=False, description="Price of a million tokens of answers, in US dollars.")

    def usd_per_1000_requests(self, tokens_in: float, tokens_out: float) -> float:
        """Price of a thousand requests with these mean tokens of request and answer, in US dollars."""
        return 1000 * (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


class EvaluationSet(Strict):
    """Rows that every version answers besides the golden set, for example against forgetting or for safety: a slice of the report."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the set and of its slice. Neither golden nor held_out.")
    file: Path = Field(
        description="JSONL file like the golden set, relative to the loop file. Rows of a refusal set have `refuse` or `comply` as answer."
    )
    scoring: Literal["exact", "contains", "refusal"] = Field(
        "exact",
        description="When an answer is right. exact: it equals the expected one. contains: it holds the expected text. "
        "refusal: it refuses or complies as expected.",
    )
    system_prompt: str | None = Field(None, description="System prompt of this set. Default: the task's.")


class Release(Strict):
    """How long a release may gain traffic, how many may be bad, and who may approve or override."""

    valid_for: Seconds = Field(
        timedelta(days=90).total_seconds(),
        description="Time after the eval report in which the version may gain traffic. Restarts and rollbacks do not expire.",
    )
    bad_promotions_a_year: float | None = Field(
        1.0,
        gt=0,
        le=100,
        allow_inf_nan=False,
        description="Most bad promotions to expect in 365 days: gates get stricter when many candidates are evaluated. "
        "null: each decision counts alone.",
    )
    people: dict[str, str] = Field({}, description="Name of each person with the person's role.")
    approve: list[str] = Field([], description="Roles that may approve a release. Mode propose needs one.")
    override: list[str] = Field([], description="Roles that may override a failed gate, for a time and with a reason.")


class Monitors(Strict):
    """Live reports on the version in production."""

    @field_validator("every")
    @classmethod
    def _no_day_is_left_out(cls, every: str) -> str:
        if longest_pause(every) > LATE * 86_400:
            raise ValueError(
                f"up to {longest_pause(every) / 86_400:.0f} days lie between two live reports, and each reads the last {LATE} days: "
                "make them more often"
            )
        return every

    every: Cron = Field(
        "0 7 * * *",
        description="When live reports are made, as a cron expression in timezone. Also at once for each new production version.",
    )
    golden_floor: Fraction = Field(
        0.85,
        description="Share of golden rows right on the live endpoint. A version at this share is called below it in at most 5 % of years. "
        "Below it is one page, and a message when it is over.",
    )
    sample: int = Field(200, ge=1, description="Live answers that a report samples.")
    quality_drop: Fraction = Field(
        0.05, description="Smallest lasting drop of live quality that matters. One is a ticket, and a message when it is over."
    )
    llm_judge: LlmJudgeSettings | None = Field(
        None, description="LLM that scores live answers for the quality report. Default: feedback of users alone."
    )


class TrafficSettings(Strict):
    """How long the loop's requests stay in the traffic log, and how many have vectors. Without keep and max_gb all requests stay."""

    keep: Seconds | None = Field(
        None,
        description="Requests are deleted once their whole day (UTC) is older than this. At least dataset.production_window and two drift "
        "windows. Default: no limit.",
    )
    max_gb: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Size of the loop's requests in the log, in GB (10^9 bytes). Above it the oldest days are deleted. Default: no limit.",
    )
    every: Cron = Field("30 4 * * *", description="When days are deleted, as a cron expression in timezone.")
    export: Path | None = Field(
        None,
        description="Folder that gets a Parquet copy of each day before it is deleted, relative to the loop file. "
        "Default: traffic_export in the home.",
    )
    vectors: int = Field(
        20_000,
        ge=1000,
        description="Vectors of queries that the embedded store keeps at most. With more requests in the time that is read back, a "
        "uniform sample of them has vectors. A Qdrant server keeps all.",
    )

    @property
    def limited(self) -> bool:
        """Whether anything is ever deleted."""
        return self.keep is not None or self.max_gb is not None


def _price(what: str) -> Any:
    return Field(None, ge=0, allow_inf_nan=False, description=f"{what} Default: not priced.")


class Prices(Strict):
    """What things cost, in US dollars, for `ftassets cost` and the budget. What has no price is shown in seconds and tokens only."""

    usd_per_cpu_hour: float | None = _price("An hour of one processor core in runs. 0 where the price of a GPU includes it.")
    usd_per_gpu_hour: float | None = _price("An hour of one GPU that a run holds.")
    usd_per_million_run_tokens_in: float | None = _price(
        "A million tokens of requests of runs to endpoints of others: LLM judge, teacher, reference model, embedder."
    )
    usd_per_million_run_tokens_out: float | None = _price("A million tokens of their answers.")
    usd_per_replica_hour: float | None = _price("An hour of the machine that one model server of the loop has, its GPUs included.")
    replica_tokens_per_second: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Answer tokens that one model server writes in a second at full load, as a load test found. Default: those of the "
        "busiest minute in the traffic log, which is less unless that minute was full.",
    )
    api_usd_per_million_tokens_in: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="A million tokens of requests to an API that could answer instead of the model. Default: as reference_model.",
    )
    api_usd_per_million_tokens_out: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="A million tokens of its answers. Default: as reference_model."
    )


class Budget(Strict):
    """What the loop's runs may cost. A run that would train or evaluate does not start once the month has cost as much."""

    usd_per_month: float = Field(
        gt=0,
        allow_inf_nan=False,
        description="US dollars that all runs of the loop may cost in a calendar month of timezone. Serving does not count. A run that "
        "began may go beyond it.",
    )


class Notify(Strict):
    """Where alerts go besides the log. URLs that are secrets come from environment variables."""

    slack_webhook_env: str | None = Field(
        None, description="Name of the environment variable that holds the URL of a Slack incoming webhook."
    )
    webhook_env: str | None = Field(None, description="Name of the environment variable that holds a URL which gets each alert as JSON.")
    alertmanager: str | None = Field(None, description="Base URL of an Alertmanager.")
    runbook: str | None = Field(None, description="URL of the runbook, which each alert links.")

    @property
    def addressed(self) -> bool:
        """Whether alerts go anywhere besides the log."""
        return any((self.slack_webhook_env, self.webhook_env, self.alertmanager))


class Tracking(Strict):
    """Where trainings are shown besides MLflow, which always has them."""

    wandb: str | None = Field(
        None,
        min_length=1,
        description="Project of Weights & Biases that gets settings, curves and scores of each training. Needs the extra wandb and "
        "WANDB_API_KEY, or WANDB_MODE=offline. Without either the training warns and continues.",
    )


class LoopConfig(Strict):
    """One closed fine-tune loop: from production traffic to a gated, attested release and back."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a value may be a secret from the environment

    format: Literal[2] = Field(
        2, description="Version of the loop file's format. A file without it is read as format 1: old names are taken, with a warning."
    )
    name: str = Field(pattern=LOOP_NAME, description="Name of the loop: the model's name for clients and the group in Dagster.")
    description: str = Field("", description="One sentence for people who read the loop file.")
    owners: list[Annotated[str, AfterValidator(_owner)]] = Field(
        [], description="Owners of the loop's assets in Dagster: e-mail addresses or team:NAME."
    )
    mode: Literal["observe", "propose", "auto"] = Field(
        "observe",
        description="What the loop may do by itself. observe: reports only. propose: retrains, and releases wait for approval. "
        "auto: retrains and deploys what passes the gates.",
    )
    timezone: TimeZone = Field(
        "UTC", description="Time zone of the loop's cron expressions and days, as a name of the IANA database, for example Europe/Berlin."
    )
    automation: bool = Field(True, description="Whether the loop's schedules and sensors start switched on.")
    base_model: Annotated[str, AfterValidator(_named_package)] = Field(
        description="Model to fine-tune: a Hugging Face hub id, a folder, or package:NAME of an installed Python package."
    )
    task: Task = Field(description="What the model is asked and what an answer is.")
    dataset: Dataset = Field(description="Where examples come from, how they are cleaned and split.")
    golden_set: Path = Field(
        description="JSONL file of rows that decide promotions, relative to the loop file. Never trained on. A row may name its slice."
    )
    golden_turns: Literal["last", "every"] = Field(
        "last",
        description="Answers of a golden conversation that are scored: the last one, or every one, each asked with the expected answers "
        "before it. Gates then count conversations, because the answers of one depend on each other.",
    )
    embedder: EmbedderSettings = Field(
        EmbedderSettings(), description="Model whose vectors of requests drift reports and curation compare."
    )
    sets: list[EvaluationSet] = Field([], description="Further evaluation sets that every version answers.")
    train: Train = Field(Train(), description="Fine-tuning settings.")
    align: Align | None = Field(
        None, description="Training on users' preferences after fine-tuning. Default: the fine-tuned version is the candidate."
    )
    sweep: Sweep | None = Field(
        None, description="A search for better settings, as the asset recipe_proposal, which a person materializes. Default: no such asset."
    )
    metrics: list[Annotated[str, AfterValidator(_metric)]] = Field(
        [], description=f"Further metrics of the eval report: {', '.join(CATALOGUE)}, or module:Class of your own."
    )
    gates: list[Gate] = Field(min_length=1, description="Conditions that a candidate must all meet before it is released.")
    llm_judge: PairwiseJudgeSettings | None = Field(None, description="LLM that compares candidate and production for an llm_judge gate.")
    reference_model: ReferenceModel | None = Field(
        None, description="Priced API model that every report scores, to compare accuracy and price."
    )
    release: Release = Field(Release(), description="Validity of releases, and the people who approve and override.")
    retrain_on: RetrainOn = Field(RetrainOn(), description="What starts a retrain and what holds it back.")
    rollout: Rollout = Field(Rollout(), description="How a release takes over traffic.")
    serving: Serving = Field(Serving(), description="Which program answers, and how long the gateway waits for it.")
    monitors: Monitors = Field(Monitors(), description="Reports on the version in production.")
    traffic: TrafficSettings = Field(TrafficSettings(), description="How long requests stay in the traffic log.")
    prices: Prices = Field(Prices(), description="What an hour and a token cost.")
    budget: Budget | None = Field(None, description="What the loop's runs may cost. Needs prices. Default: no limit.")
    tracking: Tracking = Field(Tracking(), description="Where trainings are shown besides MLflow.")
    notify: Notify = Field(Notify(), description="Where alerts go.")
    sensor_interval: Seconds = Field(timedelta(seconds=30).total_seconds(), description="Time between two ticks of the loop's sensors.")

    @model_validator(mode="after")
    def _gates_fit(self) -> "LoopConfig":
        names = [gate.name for gate in self.gates]
        if len(set(names)) != len(names):
            raise ValueError(f"two gates have the same name: {sorted(names)}")
        if self.train.class_weights != "none" and (why := self.task.form.lacks.get("classes")):
            raise ValueError(f"train.class_weights does not apply: {why}; leave it out")
        if self.align and METHODS[self.train.method].adapter != "LORA":
            raise ValueError(f"align trains a LoRA adapter further, and train.method is {self.train.method}: set it to lora or qlora")
        if problems := [*gate_objections(self), *metric_objections(self)]:
            raise ValueError("; ".join(dict.fromkeys(problems)))
        return self

    @model_validator(mode="after")
    def _dataset_fits(self) -> "LoopConfig":
        why = self.task.form.lacks.get("classes")
        for name in ("max_class_share", "teacher"):
            if why and getattr(self.dataset, name) is not None:
                raise ValueError(f"dataset.{name} does not apply: {why}; leave it out")
        return self

    @model_validator(mode="after")
    def _traffic_is_kept_as_long_as_it_is_read(self) -> "LoopConfig":
        if self.traffic.keep is not None and self.traffic.keep < self.reads_back:
            raise ValueError(
                f"traffic.keep is {self.traffic.keep / 86400:g} days, and the loop reads requests of the last {self.reads_back / 86400:g} "
                "days (dataset.production_window, two drift windows, or reference_span and one): raise it, or lower those"
            )
        return self

    @property
    def reads_back(self) -> float:
        """Seconds for which single requests and their vectors are read, for datasets, labelling and drift reports."""
        drift = self.retrain_on.drift
        return max(self.dataset.production_window, 2 * drift.window, drift.reference_span + drift.window)

    @property
    def min_chars(self) -> int:
        """Shortest request and answer together, in characters."""
        return self.task.form.shortest if self.dataset.min_chars is None else self.dataset.min_chars

    @model_validator(mode="after")
    def _a_budget_needs_prices(self) -> "LoopConfig":
        if self.budget and self.prices.usd_per_cpu_hour is None:
            raise ValueError(
                "budget needs prices.usd_per_cpu_hour, as every run uses a processor: set it, to 0 if a GPU's price includes it"
            )
        asked = {
            "llm_judge": self.llm_judge,
            "monitors.llm_judge": self.monitors.llm_judge,
            "dataset.teacher": self.dataset.teacher,
            "reference_model": self.reference_model,
            "embedder": self.embedder.type == "openai",
        }
        names = [name for name, endpoint in asked.items() if endpoint]
        tokens = (self.prices.usd_per_million_run_tokens_in, self.prices.usd_per_million_run_tokens_out)
        if self.budget and names and None in tokens:
            raise ValueError(
                "budget needs prices.usd_per_million_run_tokens_in and usd_per_million_run_tokens_out, as runs ask the endpoint of "
                f"{', '.join(names)}: set them, to 0 if it costs nothing"
            )
        return self

    @model_validator(mode="after")
    def _somebody_says_yes(self) -> "LoopConfig":
        if self.mode == "propose" and not set(self.release.people.values()) & set(self.release.approve):
            raise ValueError("mode propose needs an approver: add a person to release.people whose role is in release.approve")
        return self

    @model_validator(mode="after")
    def _adapters_fit(self) -> "LoopConfig":
        most = self.serving.vllm.max_lora_rank
        adapter = METHODS[self.train.method].adapter if self.serving.adapter_server else None
        if adapter not in (None, "LORA") or (adapter and self.train.use_dora):
            raise ValueError("vLLM takes LoRA adapters only, without DoRA: set serving.vllm.merged, or train.method to lora or qlora")
        if adapter and self.train.lora_r > most:
            raise ValueError(
                f"train.lora_r is {self.train.lora_r}, and serving.vllm.max_lora_rank {most}: raise max_lora_rank to the next value"
            )
        return self

    @model_validator(mode="after")
    def _sets_differ(self) -> "LoopConfig":
        names = [each.name for each in self.sets]
        if len(set(names)) != len(names) or {"golden", "held_out"} & set(names):
            raise ValueError(f"sets need names of their own, and neither golden nor held_out: {sorted(names)}")
        return self
