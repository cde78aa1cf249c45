"""FineTuneLoop in somebody else's Dagster project, and what it says about a YAML that is wrong."""

import json
import re
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster.components.testing import create_defs_folder_sandbox
from pydantic import TypeAdapter, ValidationError

from ftassets.components import FineTuneLoop
from ftassets.components.fine_tune_loop import LoopAttributes
from ftassets.components.resources import resources
from ftassets.config.loop import LoopConfig
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.errors import ConfigurationError

SHIPPED = LOOPS / "voice_commands"


@contextmanager
def project(change: Callable[[dict[str, Any]], None], files: tuple[str, ...] = ("seed.jsonl", "golden.jsonl")) -> Iterator[Any]:
    """Component and definitions of a copy of a shipped loop in a project of its own."""
    body = yaml.safe_load((SHIPPED / "defs.yaml").read_text())
    change(body["attributes"])
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=FineTuneLoop, defs_path="commands", defs_yaml_contents=body)
        for name in ("seed.jsonl", "golden.jsonl"):  # in place of those that scaffolding wrote
            (path / name).unlink()
        for name in files:
            shutil.copy(SHIPPED / name, path / name)
        with sandbox.load_component_and_build_defs(path) as loaded:
            yield loaded


def refusal(change: Callable[[dict[str, Any]], None], **options: Any) -> BaseException:
    """What lies below the exception with which loading fails."""
    with pytest.raises(Exception, match="Error while loading component commands") as raised, project(change, **options):
        pass
    error: BaseException = raised.value
    while error.__cause__:
        error = error.__cause__
    return error


def refused_value(change: Callable[[dict[str, Any]], None]) -> tuple[str, str]:
    """Place (dotted, with file and line) and message of the one error there must be."""
    raised: BaseException | None = refusal(change)
    while not isinstance(raised, ValidationError):
        assert raised is not None
        raised = raised.__context__
    [found] = raised.errors()
    return ".".join(map(str, found["loc"])), found["msg"]


def line_of(text: str, change: Callable[[dict[str, Any]], None]) -> int:
    """Line of the sandbox's YAML that starts with a key."""
    body = yaml.safe_load((SHIPPED / "defs.yaml").read_text())
    change(body["attributes"])
    lines = yaml.safe_dump(body).splitlines()
    return next(number for number, line in enumerate(lines, start=1) if re.match(rf"[\s-]*{text}:", line))


def test_builds_a_whole_loop_in_another_project() -> None:
    with project(lambda attributes: attributes.update(name="kitchen")) as (component, defs):
        assert isinstance(component, FineTuneLoop)
        assert component.loop.dataset.seed.is_file()
        everything = dg.Definitions.merge(defs, dg.Definitions(resources=resources()))
        dg.Definitions.validate_loadable(everything)
        keys = {key.to_user_string() for key in everything.resolve_asset_graph().get_all_asset_keys()}
        assert {"kitchen/traffic", "kitchen/drift_report", "kitchen/release", "kitchen/endpoint"} <= keys
        assert everything.resolve_job_def("kitchen__retrain")


def test_says_the_same_as_reading_the_file_without_dagster() -> None:
    with project(lambda attributes: None) as (component, _):
        paths = {"dataset": {"seed"}, "golden_set": True, "train": {"command_folder"}}
        there = read_loops(LOOPS)["voice_commands"].model_dump(exclude=paths)
        assert component.loop.model_dump(exclude=paths) == there


def test_two_loops_live_in_one_project() -> None:
    with create_defs_folder_sandbox() as sandbox:
        for name in ("kitchen", "office"):
            body = yaml.safe_load((SHIPPED / "defs.yaml").read_text())
            body["attributes"]["name"] = name
            path = sandbox.scaffold_component(component_cls=FineTuneLoop, defs_path=name, defs_yaml_contents=body)
            for file in ("seed.jsonl", "golden.jsonl"):
                shutil.copy(SHIPPED / file, path / file)
        with sandbox.build_all_defs() as defs:
            everything = dg.Definitions.merge(defs, dg.Definitions(resources=resources()))
            dg.Definitions.validate_loadable(everything)
            assert {key.path[0] for key in everything.resolve_asset_graph().get_all_asset_keys()} == {"kitchen", "office"}


@pytest.mark.parametrize(
    ("place", "field", "known"),
    [
        ((), "base_modle", "align, automation, base_model, budget"),
        (("retrain_on", "drift"), "treshold", "consecutive, every"),
        (("train",), "epoch", "batch_size, class_weights, command, command_folder, early_stopping_patience, epochs"),
        (("gates", 0), "marign", "any_of, at_least, at_most, better_than, clip, confidence"),
    ],
)
def test_an_unknown_field_names_its_line_and_the_fields_there_are(place: tuple[str | int, ...], field: str, known: str) -> None:
    def change(attributes: dict[str, Any]) -> None:
        target: Any = attributes
        for part in place:
            target = target[part]
        target[field] = 1

    where, message = refused_value(change)
    dotted = ".".join(map(str, ("attributes", *place, field)))
    assert where.startswith(f"{dotted} at ")
    assert where.endswith(f"commands/defs.yaml:{line_of(field, change)}")
    assert f"no such field; there are {known}" in message


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("rollout", "interval", "5 minutes", "this is not a duration: write a number and s, m, h or d, for example 5m or 24h"),
        ("rollout", "steps", [50, 20, 100], "steps [50, 20, 100] must rise and end at 100"),
        ("rollout", "steps", [5, 20], "steps [5, 20] must rise and end at 100"),
        ("dataset", "split", [0.9, 0.2, 0.1], "split [0.9, 0.2, 0.1] must be three shares that add up to 1, the first above 0"),
    ],
)
def test_a_bad_value_is_one_clear_message_with_its_line(section: str, key: str, value: Any, message: str) -> None:
    def change(attributes: dict[str, Any]) -> None:
        attributes[section][key] = value

    where, said = refused_value(change)
    assert said == f"Value error, {message}"
    # a rule over several fields names their section
    line = line_of(key if key == "interval" else section, change)
    assert re.fullmatch(rf"attributes\.{section}(\.{key})? at \S+/commands/defs\.yaml:{line}", where)


def test_several_errors_are_all_told() -> None:
    def change(attributes: dict[str, Any]) -> None:
        attributes["rollout"]["interval"] = "soon"
        attributes["train"]["epoch"] = 3
        del attributes["golden_set"]

    raised: BaseException | None = refusal(change)
    while not isinstance(raised, ValidationError):
        assert raised is not None
        raised = raised.__context__
    assert sorted(error["type"] for error in raised.errors()) == ["missing", "value_error", "value_error"]


@pytest.mark.parametrize(("missing", "field"), [("seed.jsonl", "dataset.seed"), ("golden.jsonl", "golden_set")])
def test_a_missing_file_is_named_with_its_field(missing: str, field: str) -> None:
    error = refusal(lambda attributes: None, files=tuple({"seed.jsonl", "golden.jsonl"} - {missing}))
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(f"loop voice_commands: {field} names ")
    assert str(error).endswith(f"{missing}, which is not there")


def test_the_schema_offers_every_field_of_a_loop() -> None:
    schema = FineTuneLoop.get_model_cls().model_json_schema()
    assert set(schema["properties"]) == set(LoopConfig.model_fields)
    assert not schema["additionalProperties"]


def test_shipped_loops_are_in_their_folders() -> None:
    assert {path.parent.name for path in Path(LOOPS).glob("*/defs.yaml")} == set(read_loops(LOOPS))


def test_a_file_of_format_1_is_taken_and_its_old_names_are_told(caplog: pytest.LogCaptureFixture) -> None:
    def old(attributes: dict[str, Any]) -> None:
        del attributes["format"]
        attributes["train"] = {"rank": 8, "accumulation": 2}

    with project(old) as (component, _):
        assert (component.loop.train.lora_r, component.loop.train.gradient_accumulation_steps) == (8, 2)
    [text] = {record.getMessage() for record in caplog.records if record.name == "ftassets.config.loop_files"}
    assert re.match(r"/\S+/commands/defs\.yaml is of format 1: train\.accumulation is now train\.gradient_accumulation_steps; ", text)


def test_the_type_of_format_1_is_still_the_component() -> None:
    with create_defs_folder_sandbox() as sandbox:
        body = yaml.safe_load((SHIPPED / "defs.yaml").read_text()) | {"type": "ftassets.components.FineTuneLoop"}
        path = sandbox.scaffold_component(component_cls=FineTuneLoop, defs_path="commands", defs_yaml_contents=body)
        for name in ("seed.jsonl", "golden.jsonl"):
            shutil.copy(SHIPPED / name, path / name)
        with sandbox.load_component_and_build_defs(path) as (component, _):
            assert component.loop.name == "voice_commands"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("train", "number", "message"),
    [
        ({"rank": 8}, 2, "no such field; there are batch_size, class_weights, command, command_folder"),
        ({"rank": 8, "lora_r": 8}, 1, "train: rank is the old name of lora_r, and both are given: remove rank"),
        ({}, 3, "the loop file: format 3 was written by a newer release of ftassets, this one reads up to 2; upgrade ftassets"),
        ({}, "two", "the loop file: the format must be a whole number from 1 to 2, not 'two'"),
    ],
)
def test_a_format_that_does_not_fit_is_one_clear_message(train: dict[str, int], number: Any, message: str) -> None:
    where, said = refused_value(lambda attributes: attributes.update(format=number, train=train))
    assert message in said
    assert where.startswith("attributes")


SECRET = "s3cretPw"


def _places(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field of a loop, sections and items of lists too."""
    if place:
        yield place
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(below, (*place, key))


_JUDGE = {"url": "https://h/v1", "model": "m", "api_key_env": "K", "rubric": "r"}
EVERYTHING = LoopConfig.model_validate(
    yaml.safe_load((SHIPPED / "defs.yaml").read_text())["attributes"]
    | {
        "owners": ["team:ours"],
        "sets": [{"name": "safety", "file": "safety.jsonl"}],
        "metrics": ["validity"],
        "llm_judge": _JUDGE | {"labels": "labels.jsonl"},
        "reference_model": {"url": "https://h/v1", "model": "m", "usd_per_million_in": 1, "usd_per_million_out": 1},
        "monitors": {"llm_judge": _JUDGE},
    }
).model_dump(mode="json")


@pytest.mark.parametrize("template", ["{{ env.SEC }}", "http://u:{{ env.SEC }}@h/v1"])
def test_no_error_about_a_field_holds_the_secret_in_it(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Dagster prints it: the error with all errors behind it. A field that takes any text is tried beside fields that are wrong."""
    monkeypatch.setenv("SEC", SECRET)
    refused, leaks = 0, []
    for place in _places(EVERYTHING):
        attributes = json.loads(json.dumps(EVERYTHING))
        target: Any = attributes
        for part in place[:-1]:
            target = target[part]
        target[place[-1]] = template
        for broken in ({}, {"epoch": "{{ env.SEC }}", "train": "{{ env.SEC }}"}):
            try:
                TypeAdapter(LoopAttributes).validate_python(attributes | broken)
            except ValueError as error:
                refused += 1
                told = "".join(traceback.format_exception(error)) + (repr(error.errors()) if isinstance(error, ValidationError) else "")
                leaks += [(place, line) for line in told.splitlines() if SECRET in line]
    assert leaks == []
    assert refused > 150


def test_dagster_prints_no_secret_of_a_bad_loop_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEC", SECRET)
    for change in ({"mode": "{{ env.SEC }}"}, {"train": {"epochs": "{{ env.SEC }}"}}, {"format": "{{ env.SEC }}"}):
        with (
            pytest.raises(Exception, match="Error while loading component commands") as raised,
            project(lambda it, new=change: it.update(new)),
        ):
            pass
        assert SECRET not in serializable_error_info_from_exc_info((type(raised.value), raised.value, raised.tb)).to_string()
