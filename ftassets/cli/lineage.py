"""Commands that follow what was made of what: from an answer back to training rows, and from a row, a person or a base forward."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftassets.cli.common import AsJson, backend, known_loop_names, known_loops, needs_loops, show_json
from ftassets.config.home import Home

if TYPE_CHECKING:
    from ftassets.backends.embedder.base import Embedder

app = typer.Typer()


@app.command()
@needs_loops
def why(
    answer: Annotated[str, typer.Argument(metavar="ANSWER-ID", help="Id of the answer, as the client got it.")],
    rows: Annotated[int, typer.Option(min=0, help="Training rows to name.")] = 5,
    texts: Annotated[bool, typer.Option("--texts", help="Show how their requests begin.")] = False,
    vectors: Annotated[bool, typer.Option("--vectors", help="Compare rows by the loop's embedder; else by words.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow an answer back: version, traffic, release, gates, approval, report, run, dataset commit, and the nearest training rows.

    What was forgotten or is not known is named as such. Rows are chosen among the 200 that share most words with the request.
    """
    from ftassets.cli.commands import why as command
    from ftassets.config import profiles

    loops = known_loops()

    def embedder(name: str) -> "Embedder | None":
        return profiles.embedder(loops[name].embedder) if vectors and name in loops else None

    home = Home.from_env()
    names = ("artifacts", "control", "dataset_store", "traffic_log")
    artifacts, control, datasets, log = map(backend, names)
    stores = command.Stores(artifacts, control, profiles.verifier(home), datasets, log, _days(home, loops.values()), embedder)
    links = command.why(stores, answer, rows, texts)
    if as_json:
        show_json({link.name: {"state": link.state, "sentence": link.sentence, **link.facts} for link in links})
    else:
        typer.echo(command.as_text(links))


@app.command()
@needs_loops
def impact(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ROW|USER|COMMIT|BASE",
            help="Id of a request or a dataset row, hash of a user, commit of the dataset store, base model, or beginning of a digest.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Follow a row, person, commit or base model forward: datasets, versions, reports, releases, endpoints, answers served.

    Versions whose training continued from such a version count as well. Answers are those of the gateway, as `ftassets cost` counts them.
    """
    from ftassets.cli.commands import impact as command
    from ftassets.config.profiles import verifier

    home = Home.from_env()
    artifacts, control, datasets, log = map(backend, ("artifacts", "control", "dataset_store", "traffic_log"))
    days = _days(home, known_loops().values())
    made = command.impact(command.Stores(artifacts, control, verifier(home), datasets, log, days, known_loop_names()), subject)
    if as_json:
        show_json(asdict(made))
    else:
        typer.echo(command.as_text(made))


def _days(home: Home, loops: Iterable[Any]) -> list[Any]:
    """The folders that have days of traffic which left the log, as far as they are there."""
    from ftassets.backends.traffic_log.day_files import DayFiles

    folders = {home.traffic_export, *(loop.traffic.export for loop in loops if loop.traffic.export)}
    return [DayFiles(folder) for folder in sorted(folders) if folder.is_dir()]
