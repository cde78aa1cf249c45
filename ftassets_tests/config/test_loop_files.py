"""Reading loop files of this format and of the one before."""

import re
import traceback
from pathlib import Path

import pytest
import yaml

from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.errors import ConfigurationError

SAMPLES = Path(__file__).parents[1] / "samples"


def write(folder: Path, **attributes: object) -> Path:
    """A loop file made of the sample of format 1."""
    body = yaml.safe_load((SAMPLES / "v1" / "loop" / "defs.yaml").read_text())
    body["attributes"] |= attributes
    (folder / "defs.yaml").write_text(yaml.safe_dump(body))
    return folder


def test_old_names_are_told_once_a_file_with_what_to_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = read_loops(write(tmp_path))["support"]
    assert loop.train.warmup_ratio == 0.03
    assert loop.gates[1].metric == "llm_judge"
    [record] = caplog.records
    assert record.getMessage() == (
        f"{tmp_path / 'defs.yaml'} is of format 1: judge is now llm_judge; train.accumulation is now train.gradient_accumulation_steps; "
        "train.rank is now train.lora_r; train.alpha is now train.lora_alpha; train.dropout is now train.lora_dropout; "
        "train.warmup is now train.warmup_ratio; monitors.judge is now monitors.llm_judge; metric: judge is now metric: llm_judge. "
        "Rename them and add `format: 2` to its attributes."
    )


def test_a_file_without_a_format_and_without_old_names_is_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = yaml.safe_load((SAMPLES / "v2" / "loop" / "defs.yaml").read_text())
    del body["attributes"]["format"]
    (tmp_path / "defs.yaml").write_text(yaml.safe_dump(body))
    assert read_loops(tmp_path)["support"].train.lora_r == 8
    assert caplog.records == []


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"format": 2}, "judge: Extra inputs are not permitted"),
        ({"train": {"rank": 1, "lora_r": 1}}, "train: rank is the old name of lora_r"),
        ({"format": 9}, "format 9 was written by a newer release of ftassets, this one reads up to 2; upgrade ftassets"),
        ({"train": {"ranc": 1}}, "train.ranc: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file(tmp_path: Path, attributes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path / 'defs.yaml'))}:\d+: (?s:.*){re.escape(message)}"):
        read_loops(write(tmp_path, **attributes))


def test_shipped_loops_are_of_the_current_format(caplog: pytest.LogCaptureFixture) -> None:
    assert all(yaml.safe_load(path.read_text())["attributes"]["format"] == 2 for path in LOOPS.glob("*/defs.yaml"))
    read_loops(LOOPS)
    assert caplog.records == []


def test_a_message_has_the_template_in_place_of_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEC", "s3cretPw")
    with pytest.raises(ConfigurationError, match="defs.yaml") as raised:
        read_loops(write(tmp_path, sensor_interval="{{ env.SEC }}", gates=[{"metric": "{{ env['SEC'] }}", "at_least": 1}]))
    told = "".join(traceback.format_exception(raised.value))
    assert "s3cretPw" not in told
    assert "gates.0: there is no metric '{{ env.SEC }}'" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attributes:\n  key: s3cretPw: x\n", "mapping values are not allowed here (line 2, column 16)"),
        ("attributes: [s3cretPw\n", "expected ',' or ']', but got '<stream end>' (line 2, column 1)"),
        ("attributes: s3cretPw\x00\n", "special characters are not allowed (character 21)"),
        ("[" * 5000, "it is nested too deeply"),
    ],
)
def test_an_error_in_the_yaml_names_the_place_and_quotes_nothing(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="defs.yaml") as raised:
        read_loops(tmp_path)
    assert str(raised.value) == f"the loop file {path} is not valid YAML: {message}"
    assert "s3cretPw" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ [].pop() }}", "the template cannot be rendered (IndexError): write {{ env.NAME }}"),
        ("{{ 'x'.index('y') }}", "the template cannot be rendered (ValueError)"),
        ("{{ '{a}'.format() }}", "the template cannot be rendered (KeyError)"),
        ("{{ 'x'.encode('foo') }}", "the template cannot be rendered (LookupError)"),
        ("{{ 'a'.center(10**12) }}", "the template cannot be rendered (MemoryError)"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "the template cannot be rendered (RecursionError)"),
        ("{{ {}[env.SEC] }}", "the template cannot be rendered (UndefinedError)"),
        ("{{ evn }}", "the template cannot be rendered (UndefinedError)"),
        ("{{ env. }}", "the template is not valid (expected name or number)"),
        ("{{ env() }}", "env is not a function: write {{ env.NAME }} with the name of an environment variable"),
        ("{{ env }}", "env alone is not a value"),
        ("{{ env.NONESUCH }}", "the loop file names the environment variable NONESUCH, which is not set"),
        ("a\0b", "the text has a character that no file or program takes (NUL or a surrogate): remove it"),
    ],
)
def test_a_template_that_fails_is_refused_with_file_and_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, message: str
) -> None:
    monkeypatch.setenv("SEC", "s3cretPw")
    with pytest.raises(ConfigurationError, match="defs.yaml") as raised:
        read_loops(write(tmp_path, sets=[{"name": "safety", "file": template}]))
    assert str(raised.value).startswith(f"{tmp_path / 'defs.yaml'}:30: sets.0.file: {message}")
    assert "s3cretPw" not in "".join(traceback.format_exception(raised.value))


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "has more than 100000 values: an alias contains itself"),
        (BOMB, "has more than 100000 values"),
        (BOMB.replace("[x]", "{x: 1}").replace("[*", "{<<: [*").replace("]", "]}"), "has more than 100000 values"),
        ("a: " + "9" * 5000, "is not valid YAML: a value in it cannot be read (ValueError)"),
        ("a: 2026-99-99", "is not valid YAML: a value in it cannot be read (ValueError)"),
        ("a: !!bool maybe", "is not valid YAML: a value in it cannot be read (KeyError)"),
        ('type: ftassets.FineTuneLoop\nattributes: {golden_set: "\\ud800"}', ": golden_set: the text has a character that no file"),
    ],
)
def test_yaml_that_cannot_be_values_is_refused_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "defs.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(tmp_path / 'defs.yaml'))}.*{re.escape(message)}"):
        read_loops(tmp_path)


@pytest.mark.parametrize("name", ["../x", "", "a b", "a/b", "x.y"])
def test_a_base_model_is_a_package_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"defs.yaml:2: base_model: package:NAME needs the name of a Python package"):
        read_loops(write(tmp_path, base_model=f"package:{name}"))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"monitors": {"every": "nonsense"}}, "monitors.every: a cron expression has five fields, not 1"),
        ({"retrain_on": {"drift": {"every": "99 * * * *"}}}, "retrain_on.drift.every: the minute of the cron expression must be"),
        ({"retrain_on": {"schedule": "monthly"}}, "retrain_on.schedule: a cron expression has five fields, not 1"),
        ({"owners": ["team:ml", "bad owner"]}, "owners.1: an owner is an e-mail address or team:NAME"),
        ({"owners": ["team:"]}, "owners.0: an owner is an e-mail address or team:NAME"),
        ({"metrics": ["accuracy"]}, "metrics.0: there is no metric 'accuracy': write one of bertscore, bleu"),
    ],
)
def test_what_dagster_or_a_report_would_refuse_later_is_refused_with_its_field(tmp_path: Path, attributes: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{re.escape(str(tmp_path / 'defs.yaml'))}:\d+: {re.escape(message)}"):
        read_loops(write(tmp_path, **attributes))


def test_a_loop_file_that_cannot_be_read_is_not_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine" / "defs.yaml"
    path.parent.mkdir()
    for target, message in (("nowhere", "No such file or directory"), ("defs.yaml", "Too many levels of symbolic links")):
        path.symlink_to(target)
        with pytest.raises(ConfigurationError, match=f"the loop file {path} cannot be read: {message}"):
            read_loops(tmp_path)
        path.unlink()
    for empty in ("", "# later\n", "---\n---\n"):
        path.write_text(empty)
        caplog.clear()
        assert read_loops(tmp_path) == {}
        assert caplog.messages == [f"{path} holds nothing and is passed over: write a loop into it, or delete it"]


def test_a_folder_of_loops_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"the folder of loops {tmp_path / 'none'} cannot be read: No such file or directory"):
        read_loops(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file cannot be read: Not a directory"):
        read_loops(tmp_path / "file")


MISSPELT = {
    "ftassets.FineTunLoop": "there is no component 'ftassets.FineTunLoop': a loop has `type: ftassets.FineTuneLoop`",
    "ftasset.FineTuneLoop": "there is no component 'ftasset.FineTuneLoop'",
    "Ftassets.finetuneloop": "there is no component 'Ftassets.finetuneloop'",
    "FineTuneLoop": "there is no component 'FineTuneLoop'",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_type_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(f"# our type of loop\n\ntype: {name}\nattributes: {{}}\n")
    with pytest.raises(ConfigurationError, match=re.escape(f"{tmp_path / 'defs.yaml'}:3: {MISSPELT[name]}")):
        read_loops(tmp_path)


def test_a_loop_without_a_type_is_refused(tmp_path: Path) -> None:
    attributes = yaml.safe_load((LOOPS / "support_triage" / "defs.yaml").read_text())["attributes"]
    for document in (attributes, {"attributes": attributes}):
        (tmp_path / "defs.yaml").write_text(yaml.safe_dump(document))
        with pytest.raises(ConfigurationError, match="defs.yaml:1: a loop without a type: write `type: ftassets.FineTuneLoop`"):
            read_loops(tmp_path)


@pytest.mark.parametrize(
    "name", ["dagster.DefsFolderComponent", "shop.components.Loop", "dagster_dbt.DbtProjectComponent", "ours.FineTuner"]
)
def test_components_of_other_packages_are_passed_over(name: str, tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(f"type: {name}\nattributes: {{name: support}}\n---\ntype: {name}\n")
    assert read_loops(tmp_path) == {}


def test_files_are_those_that_dagster_reads(tmp_path: Path) -> None:
    def put(folder: str, name: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write(tmp_path / folder, name=folder.rpartition("/")[2].lstrip("."))
        if name != "defs.yaml":
            (tmp_path / folder / "defs.yaml").rename(tmp_path / folder / name)

    put("loops/plain", "defs.yaml")
    put("loops/short", "defs.yml")
    put("loops/older", "component.yaml")
    (tmp_path / "loops/plain/component.yaml").write_text("type: [")  # Dagster reads one file of a folder
    for other in ("loops/.venv", "loops/__pycache__", "loops/venv"):
        put(f"{other}/installed", "defs.yaml")
    (tmp_path / "loops/venv/pyvenv.cfg").touch()
    put("elsewhere/linked", "defs.yaml")
    (tmp_path / "loops/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "loops/circle").symlink_to(tmp_path / "loops")
    assert set(read_loops(tmp_path / "loops")) == {"plain", "short", "older", "linked"}
    put(".hidden/first", "defs.yaml")
    assert set(read_loops(tmp_path / ".hidden")) == {"first"}
