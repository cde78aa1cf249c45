"""The tree of errors: whole, documented, and no exception of ours beside it."""

import importlib
import inspect
import pkgutil
import re

import pytest
import requests
from pydantic import BaseModel, ValidationError, field_validator

import ftassets
from ftassets import errors
from ftassets.errors import ConfigurationError, FtassetsError, InvalidInput, in_one_line, no_answer

# exceptions that never leave their module, with the reason why they are not errors of the package
CONTROL_FLOW = {
    "ftassets.backends.postgres.pool._Lost": "tells `Connections.do` to try once more; it becomes what the use names",
}


@pytest.fixture(scope="module")
def exceptions() -> list[type[BaseException]]:
    """Every exception class that a module of the package defines."""
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(ftassets.__path__, "ftassets."):
        if module.name.startswith("ftassets.loops") or module.name.endswith("__main__"):
            continue
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__.startswith("ftassets."):
                found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [found[name] for name in sorted(found)]


def tree(kind: type[FtassetsError], depth: int = 0) -> list[str]:
    """Lines of the docstring: a class stands once, below its first parent; its other parents follow its name."""
    others = ", ".join(parent.__name__ for parent in kind.__bases__[1:])
    sentence = (kind.__doc__ or "").strip().splitlines()[0]
    lines = [f"{'  ' * depth}- {kind.__name__}{f' (also {others})' if others else ''}: {sentence}"]
    children = [child for child in kind.__subclasses__() if child.__bases__[0] is kind and child.__module__.startswith("ftassets.")]
    for child in sorted(children, key=lambda child: child.__name__):
        if not child.__name__.startswith("_"):
            lines += tree(child, depth + 1)
    return lines


def test_the_docstring_is_the_tree(exceptions: list[type[BaseException]]) -> None:
    documented = [line for line in (errors.__doc__ or "").splitlines() if line.lstrip().startswith("- ")]
    assert documented == tree(FtassetsError), "write into the docstring of ftassets/errors.py:\n" + "\n".join(tree(FtassetsError))


def test_every_exception_of_the_package_is_in_the_tree(exceptions: list[type[BaseException]]) -> None:
    beside = {f"{kind.__module__}.{kind.__qualname__}" for kind in exceptions if not issubclass(kind, FtassetsError)}
    assert beside == CONTROL_FLOW.keys()


def test_names_are_unique_and_every_class_has_a_sentence(exceptions: list[type[BaseException]]) -> None:
    names = [kind.__name__ for kind in exceptions]
    assert len(names) == len(set(names))
    assert not [kind for kind in exceptions if not (kind.__doc__ or "").strip()]


def test_invalid_input_may_be_raised_in_a_validator_and_no_value_is_shown() -> None:
    class Settings(BaseModel):
        key: str
        number: int

        @field_validator("key")
        @classmethod
        def _no_key(cls, value: str) -> str:
            raise InvalidInput("this is not a key")

    with pytest.raises(ValidationError, match="not a key") as error:
        Settings.model_validate({"key": "s3cr3t", "number": "s3cr3t"})
    said = in_one_line(error.value)
    assert said.startswith("key: this is not a key; number: Input should be a valid integer")
    assert "s3cr3t" not in said


def test_what_a_person_gave_is_still_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("http://nowhere.invalid", "not known|resolution"),
        ("http://[", "valid host"),
    ],
)
def test_a_server_that_does_not_answer_is_told_of_in_the_systems_words(url: str, words: str) -> None:
    with pytest.raises((OSError, ValueError)) as caught:
        requests.get(url, timeout=5)
    assert re.search(words, no_answer(caught.value)), no_answer(caught.value)
    assert not re.search("Pool|Max retries|object at", no_answer(caught.value))
