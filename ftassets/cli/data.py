"""Commands on a loop's data: curate a file, hand rows out for labelling, export a dataset or a version."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftassets.cli.common import (
    AsJson,
    Force,
    LabelFormat,
    Loop,
    backend,
    known_loop,
    needs_loops,
    not_to_write_over,
    show_json,
    show_refused,
    show_table,
    text_of,
)
from ftassets.config.home import Home
from ftassets.config.outputs import check_new_file, write_file
from ftassets.errors import InvalidInput
from ftassets.exits import FAILED
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.cli.commands.labelling import Novelty

app = typer.Typer()
label = typer.Typer(no_args_is_help=True, help="Hand requests to annotators and take their answers back.")
app.add_typer(label, name="label")


@app.command()
def curate(
    source: Annotated[Path, typer.Argument(help="JSONL of chat messages or of instruction and response.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option("--out", help="New or empty folder for the splits, the quarantine and the report.")],
    config: Annotated[Path | None, typer.Option("--config", help="A loop file; without one: free text and every default.")] = None,
    vectors: Annotated[bool, typer.Option(help="Embed the requests for the steps that compare meaning.")] = True,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Clean, split and check a file of examples, without Dagster; exit code 1 if the rows that are left are too few for a dataset."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # the embedder's own bars would tear ours
    from ftassets.cli.commands.curate import curate_file
    from ftassets.config.profiles import embedder

    with _progress(not as_json and sys.stderr.isatty()) as progress:
        report = curate_file(source, out, config, embedder if vectors else None, progress, force)
    if as_json:
        show_json(report)
    else:
        _show_curated(report, out)
    if report["pre_flight"]["verdict"] == "REFUSED":
        raise typer.Exit(FAILED)


def _show_curated(report: dict[str, Any], out: Path) -> None:
    rows = []
    for step in report["steps"]:
        counted = step["skipped"] or ", ".join(f"{name} {count}" for name, count in step["counts"].items())
        rows.append((step["step"], str(step["kept"]), str(step["quarantined"]), str(step["changed"]), counted))
    show_table(("step", "rows left", "quarantined", "changed", "counted"), rows)
    typer.echo(
        f"{report['kept']} of {amount(report['collected'], 'row')} kept; "
        f"{report['pre_flight']['verdict']}: {report['pre_flight']['reason']}"
    )
    splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
    typer.echo(f"written to {out}: {splits}, quarantine.jsonl, report.json")


@app.command()
def advise(
    path: Annotated[Path, typer.Argument(help="JSONL file of examples, or a folder of them.", exists=True)],
    changes: Annotated[float | None, typer.Option(help="Days between changes of what answers must say.")] = None,
    requests: Annotated[float | None, typer.Option(help="Requests a day.")] = None,
    maintained: Annotated[bool | None, typer.Option(help="Whether somebody keeps a tuned model up.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prompt, retrieve or fine-tune? What the examples say, with the numbers behind it."""
    from ftassets.cli.commands import advise as command
    from ftassets.domain.dataset.advice import Circumstances

    advice = command.run(path, Circumstances(changes, requests, maintained))
    if as_json:
        show_json(asdict(advice))
    else:
        typer.echo(command.describe(advice))


@label.command("export")
@needs_loops
def label_export(
    loop: Loop,
    out: Annotated[Path, typer.Option("--out", help="New file to write.")],
    format: LabelFormat = "jsonl",
    limit: Annotated[int, typer.Option(min=1, help="Requests in the batch.")] = 200,
    conflicts: Annotated[bool, typer.Option("--conflicts", help="Only requests that rows of the dataset answer differently.")] = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a batch for people to label: a mix of failed canary requests, conflicts, new topics, disliked answers and a random sample."""
    from ftassets.cli.commands import labelling
    from ftassets.domain.dataset.labelling.select import PROVES

    config, log, store = known_loop(loop), backend("traffic_log"), backend("dataset_store")
    check_new_file(out, force, not_to_write_over())
    since = time.time() - config.dataset.production_window
    if conflicts:
        batch = labelling.conflict_export(log, store, config, format, limit, since)
    else:
        canaries, new = _doubtful(loop, since)
        batch = labelling.label_export(log, store, config, format, limit, since, canaries, new)
    write_file(out, batch.text)
    if as_json:
        show_json(
            {
                "loop": loop,
                "file": out,
                "format": format,
                "batch": batch.id,
                "requests": batch.requests,
                "left_out": batch.left_out,
                "kinds": batch.kinds,
            }
        )
        return
    for kind, count in batch.kinds.items():
        typer.echo(f"{count:>5} {kind}: {PROVES[kind]}")
    if batch.left_out:
        typer.echo(f"{amount(batch.left_out, 'request is', 'requests are')} left out: near copies of others in the batch, or not of texts")
    typer.echo(f"{amount(batch.requests, 'request')} written to {out} as batch {batch.id}; take the answers back with:")
    typer.echo(f"  ftassets label import {loop} FILE --format {format}")


def _doubtful(loop: str, since: float) -> tuple[set[str], "Novelty | None"]:
    """Versions that were candidates, and how new requests are to production; says on stderr what is not known."""
    from ftassets.backends.serving.base import ServingError
    from ftassets.cli.commands import labelling

    try:
        serving = backend("serving")
        canaries = {transition.state.candidate for transition in serving.recent(loop) if transition.state.candidate}
        production = serving.state(loop).production
    except ServingError as error:
        typer.echo(f"{error}: failed canary requests and new topics cannot be told apart from others", err=True)
        canaries, production = set(), None
    store = backend("dataset_store")
    new = labelling.novelty(backend("vector_store"), store, loop, production, since) if production else None
    if new is not None and not new.distances:
        typer.echo(f"no query has a vector to compare with the drift reference: run the job {loop}__watch to find new topics", err=True)
    return canaries, new


@label.command("import")
@needs_loops
def label_import(
    loop: Loop,
    path: Annotated[Path, typer.Argument(help="The annotators' file.", exists=True, dir_okay=False)],
    format: LabelFormat = "jsonl",
    batch: Annotated[str | None, typer.Option(help="Name of the batch for rows that lost the id which the export wrote.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add annotators' answers to the loop's labels; the next dataset takes them in. An answer replaces only that to the same request."""
    from ftassets.cli.commands import labelling

    report = labelling.label_import(
        backend("traffic_log"),
        backend("dataset_store"),
        known_loop(loop),
        text_of(path),
        format,
        batch,
        f"labels-{uuid.uuid4().hex[:12]}",
        Home.from_env().user_secret(),
    )
    if as_json:
        show_json(asdict(report))
        return
    typer.echo(
        f"{amount(report.added, 'label')} added, {report.replaced} replaced, "
        f"{report.unchanged} unchanged, {len(report.quarantined)} refused; "
        f"commit {report.commit[:12]}"
    )
    if several := report.agree + report.disagree:
        typer.echo(f"annotators agree on {report.agree} of {amount(several, 'request')} that two or more answered")
    show_refused(report.quarantined)


@app.command("export")
@needs_loops
def export_dataset(
    loop: Loop,
    out: Annotated[Path | None, typer.Option("--out", help="New or empty folder for the dataset.")] = None,
    commit: Annotated[str, typer.Option(help="Commit, tag or branch of the dataset.")] = "main",
    ollama: Annotated[Path | None, typer.Option("--ollama", help="New or empty folder for a released version, instead of --out.")] = None,
    pack: Annotated[Path | None, typer.Option("--pack", help="New or empty folder for a release's pack, instead of --out.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Beginning of its digest; without it the newest release.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset as Parquet with its card, as `datasets.load_dataset` opens it, and its preference pairs for TRL's DPO trainer.

    With --ollama: a released version with its Modelfile, as `ollama create` reads it. A version that is not released now is refused.
    With --pack: what goes with a release to others: model card, bills of materials, provenance and the dataset's description, signed.
    """
    if [out, ollama, pack].count(None) != 2:
        raise InvalidInput("give --out for a dataset, or --ollama for a released version, or --pack for what goes with a release")
    if pack is not None:
        return _pack(loop, version, pack, force, as_json)
    if ollama is not None:
        return _for_ollama(loop, version, ollama, force, as_json)
    assert out is not None
    from ftassets.assets._shared.dataset_export import export, export_pairs
    from ftassets.workers.training.token_counts import base_control_tokens

    store, config = backend("dataset_store"), known_loop(loop)
    files = export(store, commit, config.name, out, force, not_to_write_over())
    pairs = export_pairs(store, commit, config, out, base_control_tokens(config.base_model, Home.from_env().cache))
    if as_json:
        show_json({"loop": loop, "data_files": files, "preference_pairs": str(pairs) if pairs else None})
        return
    typer.echo(f'load_dataset("parquet", data_files={files!r})')
    if pairs:
        typer.echo(f'load_dataset("json", data_files={str(pairs)!r})')


def _for_ollama(loop: str, version: str | None, out: Path, force: bool, as_json: bool) -> None:
    from ftassets.cli.commands import export_ollama
    from ftassets.config.profiles import verifier

    artifacts, control, signer = backend("artifacts"), backend("control"), verifier(Home.from_env())
    made = export_ollama.run(artifacts, control, signer, known_loop(loop), version, out, force, not_to_write_over())
    if as_json:
        show_json({"loop": loop, **asdict(made)})
        return
    typer.echo(f"version {made.version[:12]} of {loop}: ollama create {loop.replace('_', '-')} -f {out / 'Modelfile'}")
    if made.note:
        typer.secho(made.note, fg=typer.colors.YELLOW, err=True)


def _pack(loop: str, version: str | None, out: Path, force: bool, as_json: bool) -> None:
    from ftassets.backends.control.releases import Releases
    from ftassets.cli.commands import export_pack
    from ftassets.config.profiles import verifier

    releases = Releases(backend("control"), verifier(Home.from_env()))
    made = export_pack.run(backend("artifacts"), releases, known_loop(loop).name, version, out, force, not_to_write_over())
    if as_json:
        show_json({"loop": loop, **asdict(made)})
        return
    typer.echo(f"release {made.version[:12]} of {loop}: {', '.join(made.files)} in {made.folder}; ftassets verify {made.manifest}")


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(transient=True, disable=not shown, console=Console(stderr=True)) as bar:
        task = bar.add_task("")

        def step(name: str, number: int, of: int) -> None:
            bar.update(task, description=name, completed=number, total=of)

        yield step
