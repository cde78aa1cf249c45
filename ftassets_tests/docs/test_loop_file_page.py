"""No field of a loop file without type, range, default, example and meaning; examples are valid."""

from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from ftassets.config.loop import Drift, LoopConfig, Rollout, Train
from ftassets.docs.loop_file_page import EXAMPLE, Described, page, sections
from ftassets.domain.gates.gate import Gate

FIELDS = [(section.path or "attributes", field) for section in sections() for field in section.fields]
DEFAULTS = {f"{path}.{field.name}": field.default for path, field in FIELDS}


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=lambda each: each.name if isinstance(each, Described) else each)
def test_every_field_says_all_there_is_to_say(path: str, field: Described) -> None:
    for part in ("type", "range", "default", "example", "meaning"):
        assert getattr(field, part).strip(), f"{path}.{field.name} has no {part}"
    assert field.meaning.endswith((".", "?")), field.meaning


def test_every_field_of_every_model_is_on_the_page() -> None:
    def below(model: type[BaseModel], seen: set[type[BaseModel]]) -> int:
        """Fields of a model and of those it contains, each as often as the loop file has it."""
        count = len(model.model_fields)
        for info in model.model_fields.values():
            for nested in _models(info.annotation):
                if nested not in seen:
                    count += below(nested, seen | {nested})
        return count

    assert len(FIELDS) == below(LoopConfig, {LoopConfig})
    assert page().count("\n## ") == 1 + len(sections())


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in getattr(annotation, "__args__", ()) for model in _models(each)]


def test_the_example_sets_every_field_and_is_a_loop() -> None:
    document, short = yaml.safe_load_all(EXAMPLE.read_text())
    assert document["type"] == short["type"] == "ftassets.FineTuneLoop"
    assert LoopConfig.model_validate(short["attributes"]).task.type == "classification"
    loop = LoopConfig.model_validate(document["attributes"])
    assert loop.model_fields_set == LoopConfig.model_fields.keys()
    gates = [*loop.gates, *LoopConfig.model_validate(short["attributes"]).gates]
    assert set().union(*(gate.model_fields_set for gate in gates)) == Gate.model_fields.keys()


def test_defaults_are_shown_as_one_writes_them() -> None:
    assert DEFAULTS["release.valid_for"] == "`90d`"
    assert DEFAULTS["dataset.production_window"] == "`30d`"
    assert DEFAULTS["monitors.quality_drop"] == "`5%`"
    assert DEFAULTS["rollout.steps"] == "`[5, 20, 50, 100]`"
    assert DEFAULTS["attributes.automation"] == "`true`"
    assert DEFAULTS["gates[].margin"] == "none"
    assert DEFAULTS["attributes.name"] == "required"


@pytest.mark.parametrize(("path", "model"), [("train", Train), ("retrain_on.drift", Drift), ("rollout", Rollout)])
def test_a_default_read_back_is_the_default(path: str, model: type[BaseModel]) -> None:
    written = {
        name.removeprefix(f"{path}."): yaml.safe_load(default.strip("`"))
        for name, default in DEFAULTS.items()
        if name.startswith(f"{path}.") and default not in ("none", "its defaults") and "[]" not in name
        if "." not in name.removeprefix(f"{path}.")
    }
    assert model.model_validate(written) == model()
