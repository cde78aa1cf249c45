import subprocess
import sys
from pathlib import Path

import pytest

from ftassets.domain.evaluation.metrics import CATALOGUE
from ftassets.workers.evaluation.metrics import loading
from ftassets.workers.evaluation.metrics.loading import MetricFailed, load
from ftassets_tests.workers.evaluation.metrics import USERS


def test_each_name_of_the_catalogue_is_a_metric_with_a_description(tmp_path):
    import evaluate

    metrics = [load(name, tmp_path) for name in CATALOGUE]
    assert all(isinstance(metric, evaluate.Metric) and metric.description for metric in metrics)
    files = {path.stem for path in Path(loading.__file__).parent.glob("*.py")} - {"__init__", "base", "loading"}
    assert {type(metric).__module__.rpartition(".")[2] for metric in metrics} == files == CATALOGUE.keys()


def test_a_class_of_ones_own_is_loaded(tmp_path):
    assert load(f"{USERS}:Mine", tmp_path).compute(predictions=["a", "b"], references=["a", "b"]) == {"rows": 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rogue", "no metric 'rogue': ours are .*rouge.*module:Class"),
        (":Mine", "no metric ':Mine'"),
        ("nowhere_at_all:Mine", "nowhere_at_all cannot be imported: ModuleNotFoundError"),
        ("json:Mine", "json has no class Mine that is derived from evaluate.Metric"),
        ("json:JSONDecoder", "no class JSONDecoder that is derived"),
        (f"{USERS}:Broken", "could not be made: NotImplementedError"),
    ],
)
def test_what_is_no_metric_is_named(name, message, tmp_path):
    with pytest.raises(MetricFailed, match=message):
        load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "package"), [("rouge", "rouge_score"), ("bleu", "sacrebleu"), ("chrf", "sacrebleu"), ("bertscore", "bert_score")]
)
def test_a_missing_package_names_the_extra(name, package, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, f"ftassets.workers.evaluation.metrics.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MetricFailed, match=rf"metric {name} needs the package {package}: run `pip install 'ftassets\[metrics\]'`"):
        load(name, tmp_path)


def test_neither_the_registry_nor_a_metric_brings_in_libraries_of_models_but_one_that_needs_them_may():
    code = """
import sys
from ftassets.workers.evaluation.metrics.loading import load
assert not {"evaluate", "datasets", "torch"} & sys.modules.keys()
assert load("exact_match").compute(predictions=['{}'], references=['{}']) == {"exact_match": 1.0}
assert not {"torch", "transformers"} & sys.modules.keys()
import transformers
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_of_the_working_directory_is_found_and_takes_the_place_of_no_library(tmp_path, monkeypatch):
    users = Path(loading.__file__).parents[4] / "/".join(USERS.split("."))
    (tmp_path / "metric_of_this_folder.py").write_text(users.with_suffix(".py").read_text())
    (tmp_path / "colorsys.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    assert load("metric_of_this_folder:Mine", tmp_path).compute(predictions=["a"], references=["a"]) == {"rows": 1}
    import colorsys

    assert not Path(colorsys.__file__).is_relative_to(tmp_path)
