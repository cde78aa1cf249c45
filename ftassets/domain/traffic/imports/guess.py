"""What a file that gives no row probably is, so that an error can name it."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from ftassets.domain.json_items import numbered_items
from ftassets.domain.traffic.imports.fields import mapping

_STARTS = {  # of files that are not text
    b"PAR1": "a Parquet file: write its rows as JSON lines",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"BZh": "packed by bzip2: unpack it",
    b"\xfd7zXZ\x00": "packed by xz: unpack it",
    b"SQLite format 3\x00": "an SQLite database: export its rows as JSON lines",
    b"%PDF": "a PDF file",
    b"ARROW1": "an Arrow file: write its rows as JSON lines",
    b"Obj\x01": "an Avro file: write its rows as JSON lines",
    b"<": "XML or HTML",
}

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # no text has these


class Guess(NamedTuple):
    """What a file probably is in words, and the name of the log format, if it is a log; `holds_rows`: a seed file may have its records."""

    words: str
    format: str | None = None
    holds_rows: bool = False


def guess(head: bytes, lines: Iterable[bytes]) -> Guess | None:
    """What a file is by its first bytes and records; None if they are of no known form."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        return None
    if words := next((words for mark, words in _STARTS.items() if start.startswith(mark)), None):
        return Guess(words)
    for _, line in islice(numbered_items(lines), 20):
        if not isinstance(line, bytes):
            break
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if found := _guess_of(record):
            return found
    if _in_other_encoding(start):
        return Guess("text in an older encoding, such as Windows-1252 or Shift-JIS: save it as UTF-8")
    if start[:1] not in (b"{", b"[") and b"\0" not in start:
        separator = next(
            (name for mark, name in ((b"\t", "tabs"), (b";", "semicolons"), (b",", "commas")) if mark in start.split(b"\n")[0]), ""
        )
        return Guess(_table(start, separator) if separator else "text that is not JSON")
    return None


def _table(start: bytes, separator: str) -> str:
    """What a table is by the names of its columns, and how its tool gives JSON."""
    names = start.split(b"\n")[0].decode(errors="replace")
    if any(name in names for name in ("context.span_id", "attributes.llm", "annotator_kind")):
        return f"a table with {separator} of Phoenix: take spans and annotations as JSON from its API, /v1/projects/PROJECT/spans"
    if any(name in names for name in ("traceId", "trace_id", "observation")):
        return f"a table with {separator} of Langfuse: export it as JSON or JSONL"
    return f"a table with {separator}: write its rows as JSON lines"


def _guess_of(record: Any) -> Guess | None:
    if isinstance(record, list):
        return next(filter(None, map(_guess_of, record[:5])), None)
    if not isinstance(record, Mapping):
        return None
    names = {str(name) for name in record}
    inner = mapping(next((member for member in record.values() if isinstance(member, list) and member), [{}])[0])
    attributes = json.dumps(record.get("attributes", ""), default=str)
    if names & {"resourceSpans", "resource_spans", "resourceLogs", "resource_logs", "scopeSpans"} or (
        "attributes" in names and names & {"spanId", "span_id", "context", "body", "eventName"}
    ):
        kind = (
            "openinference"
            if "openinference" in json.dumps(record, default=str)[:20_000]
            else "mlflow"
            if "mlflow." in attributes
            else "otel"
        )
        return Guess("spans or log records of OpenTelemetry", kind)
    if {"info", "data"} <= names or "trace_metadata" in names or "traces" in names:
        return Guess("traces of MLflow", "mlflow")
    if names & {"preferred_output", "non_preferred_output", "choices"} or record.get("object") in ("chat.completion", "response"):
        return Guess("files of OpenAI's platform", "openai")
    if names & {"call_type", "standard_logging_object", "litellm_params"}:
        return Guess("a log of LiteLLM", "litellm")
    if (names & {"traceId", "trace_id", "observations"} and names & {"input", "type"}) or (
        "data" in names and {str(name) for name in inner} & {"traceId", "trace_id", "observations", "sessionId"}
    ):
        return Guess("observations or traces of Langfuse", "langfuse")
    if "annotations" in names and "data" in names:
        return Guess("a project of Label Studio: `ftassets label import --format label_studio` takes it")
    if {"fields", "responses"} <= names or any(name.endswith(".responses") for name in names):
        return Guess("records of Argilla: `ftassets label import --format argilla` takes it")
    if {"request_id", "completion"} <= names:
        return Guess("a labelling batch: `ftassets label import --format jsonl` takes it")
    if "messages" in names:
        return Guess("conversations as JSON lines", "chat", holds_rows=True)
    if names & {"instruction", "conversations", "completion", "chosen"}:
        return Guess("training rows, not a log: `dataset.seed` of the loop file takes them", holds_rows=True)
    if inner and (field := next(str(name) for name, member in record.items() if isinstance(member, list) and member)).isidentifier():
        return Guess(f"an object that has its records in {field!r}: write one record a line, as `jq -c '.{field}[]'` does")
    return None


def _in_other_encoding(head: bytes) -> bool:
    """Whether these first bytes of a file are text, but not UTF-8."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 3 and not _CONTROL.search(head)  # the last character may be cut
    return False
