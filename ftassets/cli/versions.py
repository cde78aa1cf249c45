"""Commands on model versions: compare two, train one again, adopt one that serves already."""

import getpass
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ftassets.cli.common import AsJson, LogFormat, Loop, backend, known_loop, known_loops, needs_loops, show_json, show_table
from ftassets.config.home import Home
from ftassets.errors import InvalidInput

app = typer.Typer()


@app.command()
@needs_loops
def compare(
    version_a: Annotated[str, typer.Argument(help="Beginning of a digest, or a name in the registry.")],
    version_b: Annotated[str, typer.Argument(help="The other version.")],
    as_json: AsJson = False,
) -> None:
    """Show what two versions were made of, what they scored on the same slices, and how they came into production."""
    from ftassets.cli.commands import compare as command

    names = ("artifacts", "control", "registry", "dataset_store", "signer")
    artifacts, control, registry, store, signer = map(backend, names)
    found = command.run(artifacts, control, known_loops(), registry, store, signer, version_a, version_b)
    if as_json:
        show_json(found)
        return
    show_table(("", "a", "b"), command.table(found))
    typer.echo(f"scores: {found['scores_note']}")
    if note := found["dataset"].get("note"):
        typer.echo(f"dataset: {note}")


@app.command()
@needs_loops
def versions(loop: Loop, as_json: AsJson = False) -> None:
    """All released versions of a loop: scores, time in production, rollouts, rollbacks, answers, costs and newest live verdicts."""
    from ftassets.assets._shared.version_history import version_history
    from ftassets.config.profiles import verifier
    from ftassets.domain.release.released_versions import table

    config, signer = known_loop(loop), verifier(Home.from_env())
    found = version_history(backend("artifacts"), backend("control"), signer, backend("traffic_log"), config, time.time())
    if as_json:
        show_json([each.model_dump(mode="json") for each in found])
        return
    if not found:
        typer.echo(f"nothing of {loop} was released yet: materialize {loop}/release")
        return
    show_table(*table(found, config.timezone))
    for each in found:
        if each.released.problem:
            typer.secho(f"version {each.released.version[:12]}: {each.released.problem}", fg=typer.colors.YELLOW, err=True)


@app.command()
@needs_loops
def reproduce(
    version: Annotated[str, typer.Argument(help="Beginning of a digest, or a name in the registry.")],
    margin: Annotated[
        float, typer.Option("--margin", min=0.0, max=1.0, help="Difference of exact match that still counts as reproduced.")
    ] = 0.05,
    as_json: AsJson = False,
) -> None:
    """Train a version again from its manifest, in a place that is thrown away, and compare bytes, or else answers.

    Exit code 0: reproduced. 1: not reproduced, or it cannot be trained again. 2: not enough rows to tell. It takes as long as the
    first training, and reads the loop's task from the loop file.
    """
    from ftassets.cli.commands import compare as versions
    from ftassets.cli.commands import reproduce as command

    loops = known_loops()
    artifacts, control, store, trainer, evaluator = map(backend, ("artifacts", "control", "dataset_store", "trainer", "evaluator"))
    found = versions.find(artifacts, backend("registry"), loops, version)
    if found.loop not in loops:
        raise InvalidInput(f"version {found.manifest.digest[:12]} is of no loop here ({found.loop or 'unknown'}): give --loops")
    digest, loop = found.manifest.digest, loops[found.loop]
    made = command.run(Home.from_env(), artifacts, control, store, trainer, evaluator, loop, digest, margin)
    if as_json:
        show_json(made.as_json())
    else:
        typer.echo(command.describe(made))
    if code := command.EXIT_CODES[made.compared.outcome]:
        raise typer.Exit(code)


@app.command()
@needs_loops
def adopt(
    loop: Loop,
    reason: Annotated[str, typer.Option("--reason", help="Why it may serve unmeasured; signed.")],
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="PEFT folder, or its place in MLflow: models:/NAME@ALIAS, runs:/RUN/PATH; file://...")
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="OpenAI-compatible base URL that serves it elsewhere.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="What the endpoint calls the model.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", help="Environment variable of the gateway that holds the endpoint's key.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who answers for it; without it the login name.")] = None,
    traffic: Annotated[Path | None, typer.Option("--traffic", help="Log of requests it answered.", exists=True, dir_okay=False)] = None,
    format: LogFormat = "auto",
    as_json: AsJson = False,
) -> None:
    """Make a model that serves already, an adapter or somebody else's endpoint, a loop's first production. Nothing is evaluated.

    Where no gateway runs, one does for as long as the command: a model can be adopted before `ftassets up`, which may train one.
    """
    from ftassets.cli.commands import adopt as command
    from ftassets.config.loops_folder import loops_path
    from ftassets.domain.release.adoption import AdoptionRefused, served_at

    config = known_loop(loop)
    if bool(adapter) == bool(endpoint) or bool(endpoint) != bool(model) or (api_key_env and not endpoint):
        raise AdoptionRefused("give either --adapter, or --endpoint with --model and, if it wants a key, --api-key-env")
    serving, signer, registry = backend("serving"), backend("signer"), backend("registry")
    log = (backend("traffic_log"), traffic, format) if traffic else None
    adoption = command.Adoption(
        Home.from_env(),
        backend("artifacts"),
        backend("control"),
        config,
        by or getpass.getuser(),
        reason,
        serving,
        signer,
        registry,
        log,
    )
    with command.gateway_for(Home.from_env(), serving, loops_path(Home.from_env())):
        if endpoint and model:
            adopted = adoption.of_endpoint(served_at(endpoint, model, api_key_env))
        elif adapter:
            with command.adapter_folder(adapter, registry) as folder:
                adopted = adoption.of_adapter(folder)
    if as_json:
        show_json(asdict(adopted))
    else:
        typer.echo(command.describe(adopted, loop))
