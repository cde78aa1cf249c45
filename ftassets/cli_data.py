"""Commands on a loop's data: curate a file, bring rows in, hand rows out for labelling, export a dataset, forget a user."""

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli_common import AsJson, Loop, backend, known_loop, refusing
from ftassets.home import Home

app = typer.Typer()
label = typer.Typer(no_args_is_help=True, help="Hand requests to annotators and take their answers back.")
app.add_typer(label, name="label")


@app.command()
def curate(
    source: Annotated[Path, typer.Argument(help="JSONL of chat messages or of instruction and response.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the splits, the quarantine and the report.")],
    config: Annotated[Path | None, typer.Option("--config", help="A loop file; without one: free text and every default.")] = None,
    vectors: Annotated[bool, typer.Option(help="Embed the requests for the steps that compare meaning.")] = True,
    as_json: AsJson = False,
) -> None:
    """Clean, split and check a file of examples, without Dagster."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # the embedder's own bars would tear ours
    from ftassets.commands.curate import curate_file
    from ftassets.resources.embedder.embedded import MiniLmEmbedder

    with refusing(ValueError, OSError), _progress(not as_json) as progress:
        report = curate_file(source, out, config, MiniLmEmbedder() if vectors else None, progress)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("step", "rows left", "quarantined", "changed", "counted")
    for step in report["steps"]:
        counted = step["skipped"] or ", ".join(f"{name} {count}" for name, count in step["counts"].items())
        table.add_row(step["step"], str(step["kept"]), str(step["quarantined"]), str(step["changed"]), counted)
    Console().print(table)
    typer.echo(f"{report['kept']} of {report['collected']} rows kept; {report['pre_flight']['verdict']}: {report['pre_flight']['reason']}")
    splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
    typer.echo(f"written to {out}: {splits}, quarantine.jsonl, report.json")


@app.command("import-traffic")
def import_traffic(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The log.", exists=True, dir_okay=False)],
    format: Annotated[str, typer.Option("--format", help="chat, otel, langfuse or litellm.")] = "chat",
    version: Annotated[str | None, typer.Option(help="Who answered; without it the model each row names.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take requests and answers logged elsewhere into a loop's traffic; doing it again changes nothing."""
    from ftassets.commands import flywheel

    with refusing(ValueError, OSError):
        report = flywheel.import_traffic(backend("traffic_log"), known_loop(loop).name, path, format, version)
    bad = [asdict(item) for item in report.quarantined]
    if as_json:
        typer.echo(json.dumps({**asdict(report), "quarantined": bad}, indent=2))
        return
    typer.echo(f"{report.read} rows read, {report.stored} stored, {report.already} there already, {len(bad)} lines were no rows")
    for item in bad[:20]:
        typer.echo(f"  {item['where']}: {item['reason']}")


@label.command("export")
def label_export(
    loop: Loop,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    format: Annotated[str, typer.Option("--format", help="jsonl, argilla or label_studio.")] = "jsonl",
    limit: Annotated[int, typer.Option(help="Requests in the batch.")] = 200,
) -> None:
    """Write a batch for people to label: failed canary requests first, then what is new to production."""
    from ftassets.commands import flywheel
    from ftassets.resources.serving.base import ServingError

    config, log, store = known_loop(loop), backend("traffic_log"), backend("dataset_store")
    since = time.time() - config.dataset.production_window
    try:
        serving = backend("serving")
        shifts = [shift for shift in serving.journal() if shift.loop == loop]
        canaries = {shift.state.candidate for shift in shifts if shift.state.candidate}
        production = serving.state(loop).production
    except ServingError as error:
        typer.echo(f"{error}: failed canary requests and new topics cannot be told apart from others", err=True)
        canaries, production = set(), None
    with refusing(ValueError, OSError):
        new = flywheel.novelty(backend("vector_store"), store, loop, production, since) if production else None
        text = flywheel.label_export(log, store, config, format, limit, since, canaries, new)
        out.write_text(text, encoding="utf-8")
    typer.echo(f"written to {out}; take the answers back with: ftassets label import {loop} FILE --format {format}")


@label.command("import")
def label_import(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The annotators' file.", exists=True, dir_okay=False)],
    format: Annotated[str, typer.Option("--format", help="jsonl, argilla or label_studio.")] = "jsonl",
    batch: Annotated[str | None, typer.Option(help="Name of the batch; without it the file's.")] = None,
) -> None:
    """Commit annotators' answers; the next dataset takes them in."""
    from ftassets.commands import flywheel

    with refusing(ValueError, OSError):
        report = flywheel.label_import(
            backend("dataset_store"),
            known_loop(loop),
            path.read_text(encoding="utf-8"),
            format,
            batch or path.stem,
            f"labels-{uuid.uuid4().hex[:12]}",
            backend("traffic_log").forgotten(),
        )
    typer.echo(f"{report.rows} labels committed as {report.commit[:12]}, {len(report.quarantined)} not usable")
    for item in report.quarantined[:20]:
        typer.echo(f"  {item.where}: {item.reason}")


@app.command()
def drift(
    loop: Loop,
    window: Annotated[str | None, typer.Option(help="Length, for example 24h; without it the loop's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the newest queries with what production knows, now; nothing is stored."""
    import dagster as dg

    from ftassets.commands import drift as command
    from ftassets.domain.units import seconds
    from ftassets.resources.dataset_store.base import DatasetError
    from ftassets.resources.serving.base import ServingError

    with refusing(ValueError, OSError, ServingError, DatasetError, dg.Failure):
        report = command.run(Home.from_env(), known_loop(loop), None if window is None else seconds(window))
    typer.echo(json.dumps(report, indent=2) if as_json else command.describe(report))


@app.command()
def plan(
    loop: Loop,
    requests: Annotated[float | None, typer.Option(help="Requests a day; without it those of the last week's log.")] = None,
    effect: Annotated[float, typer.Option(help="Gain in accuracy that should be found.")] = 0.04,
    discordance: Annotated[float, typer.Option(help="Share of rows on which only one of two models is right.")] = 0.10,
    as_json: AsJson = False,
) -> None:
    """What each gate and rollout step can prove with the rows and the traffic there are, before anything is trained."""
    from ftassets.commands import plan as command
    from ftassets.domain.rows import parse_jsonl

    config = known_loop(loop)
    with refusing(ValueError, OSError):
        golden = parse_jsonl(config.golden_set.read_text(), "golden")[0]
        per_day = requests or backend("traffic_log").count(loop, time.time() - 7 * 86400) / 7
        if not per_day:
            raise ValueError(f"{loop} has no traffic in the last week: say --requests, the requests a day to expect")
        rows = Counter(row.slice or "golden" for row in golden)
        further = {each.name: len(parse_jsonl(each.file.read_text(), each.name)[0]) for each in config.sets}
        found = command.run(config, rows, per_day, discordance, effect, further_sets=further)
    typer.echo(json.dumps(found, indent=2) if as_json else command.describe(found))


@app.command()
def advise(
    path: Annotated[Path, typer.Argument(help="JSONL file of examples, or a folder of them.", exists=True)],
    changes: Annotated[float | None, typer.Option(help="Days between changes of what answers must say.")] = None,
    requests: Annotated[float | None, typer.Option(help="Requests a day.")] = None,
    maintained: Annotated[bool | None, typer.Option(help="Whether somebody keeps a tuned model up.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prompt, retrieve or fine-tune? What the examples say, with the numbers behind it."""
    from ftassets.commands import advise as command
    from ftassets.domain.advice import Circumstances

    with refusing(ValueError, OSError):
        advice = command.run(path, Circumstances(changes, requests, maintained))
    typer.echo(json.dumps(asdict(advice), indent=2) if as_json else command.describe(advice))


@app.command("export")
def export_dataset(
    loop: Loop,
    out: Annotated[Path, typer.Option("--out", help="New or empty folder.")],
    commit: Annotated[str, typer.Option(help="Commit, tag or branch.")] = "main",
) -> None:
    """Write a dataset as Parquet, as `datasets.load_dataset` opens it."""
    from ftassets.lineage.dataset_files import export
    from ftassets.resources.dataset_store.base import DatasetError

    with refusing(DatasetError, OSError):
        files = export(backend("dataset_store"), commit, known_loop(loop).name, out)
    typer.echo(f'load_dataset("parquet", data_files={files!r})')


@app.command()
def forget(
    user: Annotated[str | None, typer.Option(help="Hash of the user, as the traffic log has it.")] = None,
    request: Annotated[str | None, typer.Option(help="Id of one request.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove what a user said from the log, the vectors and the next dataset; says which commits and versions hold it."""
    from ftassets.commands.forget import forget as run
    from ftassets.loop_files import read_loops
    from ftassets.resources.dataset_store.base import DatasetError
    from ftassets.resources.traffic_log.base import StillReadable

    with refusing(ValueError, OSError, DatasetError, StillReadable):
        report = run(
            list(read_loops().values()),
            backend("traffic_log"),
            backend("vector_store"),
            backend("dataset_store"),
            Home.from_env().versions,
            user,
            request,
        )
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    typer.echo(f"{len(report.requests)} requests removed from the log and from the vectors")
    for commit in report.commits:
        typer.echo(f"  dataset commit {str(commit['commit'])[:12]} of {commit['loop']} holds {commit['rows']} rows")
    for version in report.versions:
        typer.echo(f"  version {version['version'][:12]} was trained on commit {version['dataset_commit'][:12]}")
    typer.echo(report.stays)


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import Progress

    with Progress(transient=True, disable=not shown) as bar:
        task = bar.add_task("")

        def step(name: str, number: int, of: int) -> None:
            bar.update(task, description=name, completed=number, total=of)

        yield step
