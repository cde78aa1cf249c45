"""A test is where its module is."""

from pathlib import Path

from ftassets_tests import ROOT

ELSEWHERE = {
    # one suite over every backend, and whole loops
    "contract": None,
    "e2e": None,
    # outside of the package
    "bench": None,
    "docs": None,
    # the repository
    "cli/test_broken_loop_file.py": "commands next to a loop file that cannot be used",
    "test_deploy.py": "deploy/",
    "test_docs.py": "README.md",
    "test_import_contracts.py": "import rules of pyproject.toml",
    "test_imports.py": "every module",
    "test_guards.py": "ftassets_tests/guards.py",
    "test_layout.py": "this file",
    "testing/test_contracts.py": "testing/contracts/, from outside",
    # one behaviour of several modules
    "assets/test_live_reports.py": "live_golden_report, quality_report and behaviour_report, in one loop",
    "automation/test_switches.py": "every sensor's default status",
    "gateway/model_hosts/test_vllm_real.py": "model_hosts/vllm_adapters.py on a real vLLM, which has an environment of its own",
    "backends/registry/test_mlflow_server.py": "registry/mlflow.py on a server, which takes half a minute",
    "backends/traffic_log/test_sqlite_schemas.py": "sqlite.py: files of every schema so far",
    "gateway/test_hostile_requests.py": "every operation of both APIs",
    "cli/test_errors.py": "every command, for errors that a user can cause",
    "cli/test_help_names.py": "the help of every command",
    "cli/test_json.py": "every command with --json",
    "cli/commands/test_lineage.py": "why.py and impact.py: one home, followed both ways",
    "cli/commands/test_adopt_endpoint.py": "adopt.py for a model behind an endpoint",
    "cli/commands/test_curate_any_bytes.py": "curate.py on files of any bytes",
    "domain/dataset/curation/test_steps.py": "the small steps of curation",
    "domain/dataset/labelling/test_formats.py": "argilla, jsonl and label_studio",
    "domain/dataset/labelling/test_own_readers.py": "argilla and label_studio, with the tools' own classes",
    "workers/training/test_families.py": "sft.py and evaluation's generate.py, on models of many families",
    "domain/drift/test_quarter.py": "quarters of daily drift reports",
    "domain/gates/test_families.py": "policy.py, composed.py and parity.py: all gates of a policy together",
    "domain/gates/test_row_scores.py": "gates on a value for each row: paired and fixed",
    "domain/traffic/imports/test_imports.py": "the formats of logs",
    "gateway/test_held_loops.py": "__main__.py, router.py and kept_loops.py: one loop that cannot be read",
    "gateway/test_kill.py": "the gateway's process, killed",
    "gateway/test_observability.py": "alert rules and dashboard against the gateway's metrics",
    "gateway/test_recorded_conversations.py": "chat.py, and the way from the log to training tokens",
    "gateway/test_release_checks.py": "router.py: when evidence, keys and people count",
    "gateway/test_traffic_server.py": "a gateway whose traffic log is on a server that goes away",
    "loops/test_data.py": "the rows of the loops that come with the package",
    "workers/evaluation/metrics/test_metrics.py": "every metric",
    "workers/training/test_new_base.py": "sft.py and generate.py, with another base model",
    "workers/training/test_reload.py": "sft.py and the registry: what MLflow gives back",
}


def files() -> list[Path]:
    """Every test file, relative to ftassets_tests/."""
    found = sorted(path.relative_to(ROOT / "ftassets_tests") for path in (ROOT / "ftassets_tests").rglob("test_*.py"))
    assert len(found) > 150
    return found


def test_a_test_file_is_named_after_the_module_or_folder_it_tests() -> None:
    lost = []
    for path in files():
        module = ROOT / "ftassets" / path.with_name(path.stem.removeprefix("test_"))
        if not (module.with_suffix(".py").exists() or module.is_dir() or {path.as_posix(), path.parts[0]} & ELSEWHERE.keys()):
            lost.append(path.as_posix())
    assert lost == [], "name them after their module, or say in ELSEWHERE what they test"


def test_every_exception_is_still_there() -> None:
    assert [name for name in ELSEWHERE if not (ROOT / "ftassets_tests" / name).exists()] == []


def test_every_folder_of_tests_is_a_package() -> None:
    assert [path.parent.as_posix() for path in files() if not (ROOT / "ftassets_tests" / path.parent / "__init__.py").exists()] == []
