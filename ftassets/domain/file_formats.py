"""The file formats of other tools: which way each goes, what it brings, and what it cannot carry."""

from dataclasses import dataclass

_IMPORTS = "ftassets.domain.traffic.imports"
_SHAPES = "ftassets.domain.dataset.row_shapes"
_EXPORT = "ftassets.assets._shared.dataset_export"
_LABELLING = "ftassets.domain.dataset.labelling"
AUTO = "auto"  # the format in which the records of a file carry the most


@dataclass(frozen=True)
class FileFormat:
    """A format: the tool it is of, how its files come about, where feedback in it goes, and what is lost on the way.

    `reader` is the module that reads it, and writes it where `out` is true; `module:function` of what is only written.
    """

    tool: str
    written_by: str
    reader: str
    feedback: str
    cannot_carry: str
    out: bool = False


TRAFFIC: dict[str, FileFormat] = {  # where two carry as much of a file, the first one counts: tools before OpenAI's general forms
    "openinference": FileFormat(
        "Arize Phoenix and other users of OpenInference",
        "spans of kind LLM as OTLP JSON, as the SDK prints them or as Phoenix's API gives them; annotations as its API or client "
        "gives them",
        f"{_IMPORTS}.openinference",
        "annotations by people (`annotator_kind: HUMAN`), on the span or in records of their own: thumbs, corrections, explanations "
        "as comments",
        "annotations by models and code, of documents and of sessions; further choices than the first, further calls in one answer",
    ),
    "otel": FileFormat(
        "OpenTelemetry",
        "spans or log records of the GenAI conventions, as OTLP JSON or as the SDK prints them; spans of OpenInference and MLflow too",
        f"{_IMPORTS}.otel_genai",
        "events `gen_ai.evaluation.result` whose name (`user_feedback`) or an attribute (`HUMAN`) says that a person gave them",
        "other evaluations; further choices than the first, further calls in one answer",
    ),
    "mlflow": FileFormat(
        "MLflow",
        "`Trace.to_json`, a table of `search_traces` as JSON lines, or pages of the REST API",
        f"{_IMPORTS}.mlflow_traces",
        "assessments by people: thumbs, expected answers as corrections, rationales as comments; a trace with any other is refused by name",
        "assessments of judges and code; spans that are not model calls; further calls in one answer",
    ),
    "langfuse": FileFormat(
        "Langfuse",
        "observations of type GENERATION, traces and scores, as pages of the API, arrays, or the blob export",
        f"{_IMPORTS}.langfuse",
        "scores by people, in their trace or in records of their own: thumbs, corrections, texts and comments; "
        "any other score of theirs is refused by name, with its call if it is in the trace",
        "scores of evaluators, and those of the API whose name does not say that a person gave them; scores of sessions; "
        "spans that are not model calls; further calls in one answer",
    ),
    "litellm": FileFormat(
        "LiteLLM",
        "the standard logging payload, or rows of the table LiteLLM_SpendLogs",
        f"{_IMPORTS}.litellm",
        "none",
        "further choices than the first, further calls in one answer",
    ),
    "chat": FileFormat(
        "any",
        "a line per conversation in OpenAI's form, the last message the answer",
        f"{_IMPORTS}.chat_jsonl",
        "`rating` (up or down), `correction`, `comment` and `tags`",
        "time to the first token, further calls in one answer",
    ),
    "openai": FileFormat(
        "OpenAI",
        "files for supervised and preference fine-tuning, stored completions with their messages, logged requests with their responses",
        f"{_IMPORTS}.openai_files",
        "of preference files: the preferred output is the correction of the other one; else as in `chat`",
        "further choices than the first, further calls in one answer; `weight` of answers before the last one",
    ),
}

ROWS: dict[str, FileFormat] = {  # told by the field that gives each its name
    "messages": FileFormat(
        "OpenAI, TRL",
        "a conversation, the last message the answer, with `tools`",
        _SHAPES,
        "`weight: 0` refuses the row",
        "images, `name`, text next to tool calls, an answer that is a call, answers before the last one as something to teach",
    ),
    "instruction": FileFormat(
        "Alpaca, Dolly",
        "`instruction`, `input` or `context`, `output` or `response`, `system`, `history`",
        _SHAPES,
        "none",
        "tools",
    ),
    "conversations": FileFormat(
        "ShareGPT",
        "turns of `from` and `value`, with `system` and `tools`",
        _SHAPES,
        "`weight: 0` refuses the row",
        "what `messages` cannot carry",
    ),
    "prompt": FileFormat(
        "TRL, OpenAI's completions",
        "`prompt` and `completion`, texts or messages, with `system` and `tools`",
        _SHAPES,
        "none",
        "what `messages` cannot carry",
    ),
}

EXPORTS: dict[str, FileFormat] = {
    "train/*.parquet": FileFormat(
        "Hugging Face datasets",
        "a file per shard of each split, with a card",
        f"{_EXPORT}:export",
        "the row's `source`",
        "sampling rates of `balance`, which are in index.json",
        out=True,
    ),
    "preference_pairs.jsonl": FileFormat(
        "TRL",
        "`prompt`, `chosen` and `rejected` as messages, with `tools`",
        f"{_EXPORT}:export_pairs",
        "which answer was preferred",
        "user, version and time of a pair",
        out=True,
    ),
}

LABELS: dict[str, FileFormat] = {
    "jsonl": FileFormat(
        "any",
        "a line per request; annotators fill in `completion`",
        f"{_LABELLING}.jsonl",
        "the answer is a label",
        "several annotators of one request in one line",
        out=True,
    ),
    "argilla": FileFormat(
        "Argilla",
        "`dataset.records.to_list(flatten=True)` as JSON, and `from_json` the other way",
        f"{_LABELLING}.argilla",
        "the answer is a label",
        "tool calls, results and definitions, which annotators see as text: the traffic log has them",
        out=True,
    ),
    "label_studio": FileFormat(
        "Label Studio",
        "the export of a project as JSON or JSON_MIN, and its JSON import the other way",
        f"{_LABELLING}.label_studio",
        "the answer is a label",
        "tool calls, results and definitions, which annotators see as text: the traffic log has them",
        out=True,
    ),
}
