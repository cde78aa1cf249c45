"""The format of everything that is stored: which version is current, and how a document of an earlier version becomes a current one.

A document without a number has version 1. A change that an older release could not read raises the version of its kind by one and adds
a lift, so that this release and later ones read what every release since version 1 has written. Versions are whole numbers per kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import index
from typing import Any, ClassVar, Self

from pydantic import BaseModel

from ftassets.domain.canonical import parse_json
from ftassets.domain.report_kinds import REPORT_KINDS, Name
from ftassets.errors import InvalidInput

FORMAT = "format"  # name of the field, or of the array of an npz file, that holds the number
PARQUET_FORMAT = "ftassets.format"  # the same in the metadata of a Parquet file's schema

Lift = Callable[[dict[str, Any]], dict[str, Any]]

_FIELD = f"field `{FORMAT}`"
_PARQUET = f"`{PARQUET_FORMAT}` in the schema's metadata"
_PREDICATE = "`:v1` at the end of the predicate type"


class NewerFormat(InvalidInput):
    """A document was written by a newer release; the message says to upgrade."""


@dataclass(frozen=True)
class Kind:
    """One kind of stored document: what it is, where it is stored, who writes and reads it.

    `version` is the one written now and `number` says where it is written. `lifts` maps version N to what makes N + 1 of a document;
    tables of a database have migrations in their backend instead.
    """

    name: str
    what: str
    place: str
    number: str
    writer: str
    readers: str
    version: int = 1
    lifts: Mapping[int, Lift] = field(default_factory=dict)


def read(kind: str, document: Any) -> Any:
    """The document as the current version has it, without its number. The argument is not changed.

    What is not an object is returned as it is: its model refuses it. Raises NewerFormat, and InvalidInput if the number is not one.
    """
    if not isinstance(document, Mapping):
        return document
    number = document.get(FORMAT, 1)
    return lift(kind, number, {name: value for name, value in document.items() if name != FORMAT})


def lift(kind: str, version: Any, document: dict[str, Any]) -> dict[str, Any]:
    """The document, which has this version, as the current version has it. Raises NewerFormat, InvalidInput."""
    known = KINDS[kind]
    for number in range(checked(kind, version), known.version):
        document = known.lifts[number](document)
    return document


def checked(kind: str, version: Any) -> int:
    """The version as a number. Raises NewerFormat if this release cannot read it, InvalidInput if it is not a whole number from 1."""
    known = KINDS[kind]
    try:
        number = 0 if isinstance(version, bool) else index(version)
    except TypeError:
        number = 0
    if number < 1:
        raise InvalidInput(f"{known.what}: the format must be a whole number from 1 to {known.version}, not {str(version)[:50]!r}")
    if number > known.version:
        raise NewerFormat(
            f"{known.what}: format {number} was written by a newer release of ftassets, this one reads up to {known.version}; "
            "upgrade ftassets"
        )
    return number


def stamp(kind: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the number of the current version, ready to be stored; version 1 is written without a number."""
    version = KINDS[kind].version
    return dict(document) if version == 1 else {FORMAT: version, **document}


class Stored(BaseModel):
    """A model that is stored as a document of its kind."""

    KIND: ClassVar[str]

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The model of a stored document, as JSON text or decoded, of this version or an earlier one. Raises NewerFormat, ValueError."""
        return cls.model_validate(read(cls.KIND, parse_json(document) if isinstance(document, bytes | str) else document))

    def document(self) -> dict[str, Any]:
        """What is stored: plain JSON with the number of the version."""
        return stamp(self.KIND, self.model_dump(mode="json"))


def _renamed(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The document with fields renamed, in their places. Raises InvalidInput if it has a field under both names."""
    if both := [(old, new) for old, new in names.items() if old in document and new in document]:
        old, new = both[0]
        raise InvalidInput(f"{old} is the old name of {new}, and both are given: remove {old}")
    return {names.get(name, name): value for name, value in document.items()}


# loop file

LOOP_FILE_RENAMES: dict[tuple[str, ...], dict[str, str]] = {
    (): {"judge": "llm_judge"},
    ("train",): {
        "accumulation": "gradient_accumulation_steps",
        "rank": "lora_r",
        "alpha": "lora_alpha",
        "dropout": "lora_dropout",
        "warmup": "warmup_ratio",
    },
    ("monitors",): {"judge": "llm_judge"},
}  # section of a format 1 loop file -> old name -> new name


def renames(attributes: Any) -> list[tuple[str, str]]:
    """Old and new name of each field of a format 1 loop file that format 2 calls otherwise, as people write them: `train.rank`."""
    found = []
    for section, names in LOOP_FILE_RENAMES.items():
        fields = attributes
        for part in section:
            fields = fields.get(part) if isinstance(fields, Mapping) else None
        if isinstance(fields, Mapping):
            found += [(".".join([*section, old]), ".".join([*section, new])) for old, new in names.items() if old in fields]
    gates = attributes.get("gates") if isinstance(attributes, Mapping) else None
    if gates != _with_llm_judge(gates):
        found.append(("metric: judge", "metric: llm_judge"))
    return found


def _loop_file_2(attributes: dict[str, Any]) -> dict[str, Any]:
    lifted = _renamed(attributes, LOOP_FILE_RENAMES[()])
    for section, names in LOOP_FILE_RENAMES.items():
        if section and isinstance(fields := lifted.get(section[0]), Mapping):
            try:
                lifted[section[0]] = _renamed(fields, names)
            except InvalidInput as error:
                raise InvalidInput(f"{section[0]}: {error}") from error
    return lifted | ({"gates": _with_llm_judge(lifted["gates"])} if "gates" in lifted else {})


def _with_llm_judge(gates: Any) -> Any:
    """Gates, or one gate, in which the metric judge has the name it has since format 2."""
    if isinstance(gates, list | tuple):
        return [_with_llm_judge(gate) for gate in gates]
    if not isinstance(gates, Mapping):
        return gates
    gate = dict(gates)
    if gate.get("metric") == "judge":
        gate["metric"] = "llm_judge"
    return gate | ({"any_of": _with_llm_judge(gate["any_of"])} if "any_of" in gate else {})


# documents


def _manifest_2(manifest: dict[str, Any]) -> dict[str, Any]:
    recipe = manifest.get("recipe")
    return manifest | {"recipe": _renamed(recipe, LOOP_FILE_RENAMES["train",])} if isinstance(recipe, Mapping) else manifest


def _manifest_3(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest | {"environment": {}}  # it was not recorded


def _state_2(document: dict[str, Any]) -> dict[str, Any]:
    state = document.get("state")
    return document | {"state": _renamed(state, {"refused": "rejected"})} if isinstance(state, Mapping) else document


def _eval_report_2(report: dict[str, Any]) -> dict[str, Any]:
    return _renamed(report, {"preferences": "pairwise_scores", "judge_calibration": "llm_judge_calibration"})


def _eval_report_3(report: dict[str, Any]) -> dict[str, Any]:
    return report | {"gate_rule": 1, "classes": []}  # macro F1 counted the classes that had a row


def _eval_report_4(report: dict[str, Any]) -> dict[str, Any]:
    return report | {"error_budget": None}  # each gate was tested at its own confidence


def _error_budget_2(ledger: dict[str, Any]) -> dict[str, Any]:
    """Decisions were stored without their budget: it is the smallest one that could give what they all took and left."""
    decisions = ledger.get("decisions")
    if not isinstance(decisions, list) or not all(isinstance(each, Mapping) for each in decisions):
        return ledger
    try:
        smallest = max([max(each["level"] * 15, (each["level"] + each["left"]) * 5) for each in decisions], default=0.0)
    except (KeyError, TypeError):
        return ledger
    return ledger | {"decisions": [{**each, "per_year": float(f"{smallest:.6g}")} for each in decisions]}


def _quality_report_2(report: dict[str, Any]) -> dict[str, Any]:
    return _renamed(report, {"judge": "llm_judge"})


def _quality_report_3(report: dict[str, Any]) -> dict[str, Any]:
    new: dict[str, Any] = {"series": {}, "told": [], "judged_until": None, "anchors": {}}
    return report | new  # reports were compared, not days: they are followed anew


def _live_golden_report_2(report: dict[str, Any]) -> dict[str, Any]:
    return report | {"at_floor": {}, "regressions": {}, "told": []}  # each report stood alone


def _retrain_decision_2(record: dict[str, Any]) -> dict[str, Any]:
    situation = record.get("situation")
    if not isinstance(situation, Mapping):
        return record
    new: dict[str, Any] = {
        "untried_labels": situation.get("new_labels"),
        "labels_per_day": None,
        "labels_expire": None,
        "unusable_labels": "",
        "failed": 0,
        "failed_at": None,
    }
    return record | {"situation": {**situation, **new}}


def _retrain_decision_3(record: dict[str, Any]) -> dict[str, Any]:
    situation = record.get("situation")
    return record | {"situation": {**situation, "over_budget": None}} if isinstance(situation, Mapping) else record


def _row_2(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"source": "thumbs_up"} if row.get("source") == "liked" else row


def _index_2(index: dict[str, Any]) -> dict[str, Any]:
    return index | {"checks": {}}  # a release that wrote no verdicts published refused datasets too: none of them is accepted


def _row_3(row: dict[str, Any]) -> dict[str, Any]:
    lifted = {name: value for name, value in row.items() if name != "prompt"}
    return lifted | ({"messages": [{"role": "user", "content": row["prompt"]}]} if "prompt" in row else {})


def _state_3(document: dict[str, Any]) -> dict[str, Any]:
    """Users may be held back since 3; before that there were none."""
    return document


def _same_day(document: dict[str, Any]) -> dict[str, Any]:
    """Feedback may have a comment since 2, and tags since 3; earlier feedback has none."""
    return document


def _without_client(row: dict[str, Any]) -> dict[str, Any]:
    """Rows say since 4 which client asked."""
    return {**row, "client": None}


def _without_databases(backup: dict[str, Any]) -> dict[str, Any]:
    """Backups have copies of tables on servers since 2."""
    return {**backup, "databases": ()}


def _not_told(row: dict[str, Any]) -> dict[str, Any]:
    """Rows say since 5 whether the answer declines, and whether it is in another language than its request."""
    return {**row, "refused": None, "other_language": None}


def _pair_2(pair: dict[str, Any]) -> dict[str, Any]:
    lifted = _renamed(pair, {"share": "weight"})  # from a probability, 0 to 1, to percent
    return lifted | {"weight": 100 * lifted["weight"]} if "share" in pair else lifted


_DECIDES: dict[Name, str] = {"decision": "sensor LOOP__retrain", "gates": "checks of asset eval_report"}


def _report(name: Name, what: str, readers: str, version: int = 1, lifts: Mapping[int, Lift] | None = None) -> Kind:
    report = REPORT_KINDS[name]
    place = f"`reports/LOOP/{name}-DIGEST.json`, by the digest of its content"
    writer = f"asset {report.asset}" if report.asset else _DECIDES[name]
    return Kind(report.format, what, place, _FIELD, writer, readers, version, lifts or {})


# fmt: off
_ALL = (
    Kind("loop_file", "the loop file",
        "`defs.yaml` of a loop, below `attributes`", _FIELD, "people", "every process", 2, {1: _loop_file_2}),
    Kind("manifest", "the manifest of a version",
        "`versions/DIGEST/manifest.json`", _FIELD, "training worker, `ftassets adopt`", "assets, gateway, CLI, training worker", 3,
        {1: _manifest_2, 2: _manifest_3}),
    Kind("endpoint", "the endpoint of a version that is served elsewhere",
        "`versions/DIGEST/endpoint.json`; the digest covers it", _FIELD, "`ftassets adopt`", "assets, gateway"),
    Kind("endpoint_state", "the state of an endpoint",
        "`gateway/LOOP.state.json`", _FIELD, "gateway", "gateway, gate service", 3, {1: _state_2, 2: _state_3}),
    Kind("journal_entry", "an entry of the gateway's journal",
        "a line of `gateway/journal.jsonl`", _FIELD, "gateway", "gateway; through it assets, sensors, CLI", 3, {1: _state_2, 2: _state_3}),
    Kind("rollout_look", "what the rollout sensor saw of a candidate",
        "a line of `rollouts/LOOP/VERSION.jsonl`", _FIELD, "sensor LOOP__rollout", "asset endpoint, sensor LOOP__reconcile"),
    Kind("client_keys", "the API keys of the gateway's clients, as hashes",
        "`gateway/clients.json`", _FIELD, "`ftassets clients`", "gateway, CLI"),
    _report("eval", "an eval report", "gates, release, live reports, CLI", 4,
        {1: _eval_report_2, 2: _eval_report_3, 3: _eval_report_4}),
    _report("alignment", "what a training on preferences brought", "assets eval_report and release"),
    _report("drift", "a drift report", "asset behaviour_report, people"),
    _report("quality", "a quality report", "asset quality_report, people", 3, {1: _quality_report_2, 2: _quality_report_3}),
    _report("behaviour", "a behaviour report", "people"),
    _report("live-golden", "a live golden report", "asset live_golden_report, people", 2, {1: _live_golden_report_2}),
    _report("decision", "a retrain decision", "`ftassets replay`", 3, {1: _retrain_decision_2, 2: _retrain_decision_3}),
    _report("gates", "the verdicts of gates, with their policy", "`ftassets replay`, `ftassets backtest`"),
    Kind("human_review", "the reviews people gave of a report",
        "`reports/LOOP/review-REPORT.json`", _FIELD, "`ftassets review import`", "gates, release"),
    Kind("error_budget", "the decisions that count against a loop's error budget",
        "`budgets/LOOP.json`", _FIELD, "asset eval_report, gate service, `ftassets start-budget`",
        "asset eval_report, gate service, CLI", 2, {1: _error_budget_2}),
    Kind("latest", "the newest report of each kind",
        "`reports/LOOP/latest.json`", _FIELD, "drift and live reports", "gateway's `/metrics`"),
    Kind("dataset_index", "the index of a dataset",
        "`LOOP/dataset/index.json` in the dataset store", _FIELD, "asset curated_dataset", "assets, CLI", 2, {1: _index_2}),
    Kind("dataset_rows", "rows of examples",
        "`LOOP/{seed,golden,synthetic}.parquet`, `LOOP/{sets,labels}/NAME.parquet`, `LOOP/dataset/SPLIT/SHARD.parquet`; dataset store",
        _PARQUET, "assets, `ftassets label import`", "assets, CLI", 3, {1: _row_2, 2: _row_3}),
    Kind("quarantine", "rows that curation dropped",
        "`LOOP/dataset/quarantine.parquet` in the dataset store", _PARQUET, "asset curated_dataset", "people"),
    Kind("preference_pairs", "preference pairs",
        "`LOOP/preferences/pairs.parquet` in the dataset store", _PARQUET, "asset preference_pairs", "`ftassets export`", 3,
        {1: _pair_2, 2: _row_3}),
    Kind("rated_answers", "answers that users rated",
        "`LOOP/preferences/rated.parquet` in the dataset store", _PARQUET, "asset preference_pairs", "asset aligned_adapter"),
    Kind("drift_reference", "the drift reference of a version",
        "`LOOP/reference/VERSION.npz` in the dataset store", f"array `{FORMAT}`", "asset drift_report", "assets, `ftassets drift`"),
    Kind("answers", "a version's answers, row scores or likelihoods",
        "`answers/KEY.parquet`, second ones `answers/DIGEST.parquet`, `answers/KEY.likelihoods.parquet`, `answers/DIGEST.scores.parquet`",
        _PARQUET, "evaluation worker", "assets, CLI, evaluation worker"),
    Kind("judge_answers", "earlier choices of an LLM judge",
        "a line of `answers/judge-IDENTITY.jsonl`", _FIELD, "asset eval_report", "asset eval_report"),
    Kind("alerts", "which alerts were sent",
        "`alerts/LOOP.json`", "a list; with a later version an object with the " + _FIELD, "notifier", "notifier"),
    Kind("shadow_retrain", "a retrain that auto would have started",
        "a line of `shadow/LOOP.jsonl`", _FIELD, "sensor LOOP__retrain", "sensor LOOP__retrain, CLI"),
    Kind("waiting", "what the trigger of a loop waits for",
        "`waiting/LOOP.json`", _FIELD, "sensor LOOP__retrain", "sensor LOOP__retrain, CLI"),
    Kind("last_decision", "the newest decision on a retrain",
        "`health/LOOP.decision.json`", _FIELD, "sensor LOOP__retrain", "sensor LOOP__health, CLI"),
    Kind("usage_entry", "what a node of a run used",
        "a line of `usage/LOOP/MONTH.jsonl` (UTC); while it works `usage/LOOP/at_work/ID.json`", _FIELD, "runs", "runs, CLI"),
    Kind("served", "what a loop's versions answered, by day",
        "`usage/LOOP/served.json`", _FIELD, "asset cost_report, `ftassets cost`", "asset cost_report, `ftassets cost`"),
    Kind("health", "the health of a loop",
        "`health/LOOP.json`", _FIELD, "sensor LOOP__health", "gateway's `/metrics`, sensor LOOP__health, CLI"),
    Kind("notices", "what people were told of a loop's health, and what they silenced",
        "`health/LOOP.notices.json`", _FIELD, "sensor LOOP__health, `ftassets acknowledge`, `ftassets silence`",
        "sensor LOOP__health, notifier, CLI"),
    Kind("pause_entry", "a pause of a loop, or its end",
        "a line of `pauses/LOOP.jsonl`", _FIELD, "`ftassets pause`, `ftassets resume`", "sensor LOOP__health, CLI"),
    Kind("address", "the addresses of the gateway", "`gateway/address.json`", _FIELD, "gateway", "runs, CLI"),
    Kind("replica", "what one of several gateways says of itself",
        "`gateway/replicas/NAME.json`, in PostgreSQL alone", _FIELD, "gateway", "gateway"),
    Kind("kept_loop", "the file of a loop when it could be used, for when it breaks",
        "`kept_loops/LOOP.json`", _FIELD, "gateway", "gateway, `ftassets up`, definitions"),
    Kind("loops_folder", "the folder of the loop files", "`loops.json`", _FIELD, "`ftassets up`", "CLI"),
    Kind("up", "the running `ftassets up`", "`processes/up.json`", _FIELD, "`ftassets up`", "a second `ftassets up`, the demo"),
    Kind("revocation", "the revocation of a key",
        "`keys/KEY.revoked.json`; its name alone revokes", _FIELD, "`ftassets keys revoke`", "gateway, CLI, asset release"),
    Kind("release", "a signed release", "`releases/LOOP/VERSION.dsse.json`", _PREDICATE, "asset release, `ftassets adopt`", "gateway, CLI"),
    Kind("pack", "the signed manifest of a release's pack",
        "`packs/LOOP/DIGEST/pack.dsse.json`, by the digest of the attestation", _PREDICATE, "asset release", "CLI"),
    Kind("approval", "a signed approval", "`releases/LOOP/VERSION.approval.dsse.json`", _PREDICATE, "`ftassets approve`", "gateway, CLI"),
    Kind("override", "a signed override",
        "`releases/LOOP/VERSION.override.dsse.json`", _PREDICATE, "`ftassets override`", "asset release, gateway, CLI"),
    Kind("traffic_sqlite", "the traffic log in SQLite",
        "`traffic.db`", "`PRAGMA user_version`", "gateway, `ftassets import-traffic`", "assets, sensors, CLI", 12),
    Kind("traffic_postgres", "the traffic log in PostgreSQL",
        "database of `FTASSETS_TRAFFIC_URL`", "table `traffic_schema`", "gateway, `ftassets import-traffic`", "assets, sensors, CLI", 11),
    Kind("control_postgres", "control in PostgreSQL, whose documents have kinds of their own",
        "database of `FTASSETS_CONTROL_URL`", "table `control_schema`", "as of each document", "as of each document"),
    Kind("traffic_days", "a file of traffic that left the log",
        "`traffic_export/LOOP/DAY/NUMBER.parquet`", _PARQUET, "asset traffic_retention", "assets, `ftassets forget`", 5,
        {1: _same_day, 2: _same_day, 3: _without_client, 4: _not_told}),
    Kind("audit_entry", "an entry of the audit chain",
        "a line of `audit/chain.jsonl`", _FIELD, "`ftassets audit`, `ftassets backup`", "`ftassets audit`"),
    Kind("backup", "a backup of a home",
        "`backups/NAME.json` in the folder of the backups; its name ends with 12 characters of its digest", _FIELD, "`ftassets backup`",
        "`ftassets restore`, `ftassets verify-backup`", 2, {1: _without_databases}),
    Kind("query_vectors", "vectors of queries",
        "`vectors/LOOP.EMBEDDER/` with `embedder.json`, or collection `PREFIX-LOOP-EMBEDDER` of a Qdrant server",
        "`format` in `embedder.json`, or in the collection's metadata", "asset query_embeddings", "assets, `ftassets drift`"),
)
# fmt: on
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
