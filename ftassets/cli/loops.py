"""Commands on whole loops: start, show and pause them."""

import getpass
import os
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from ftassets.cli.common import AsJson, By, Loop, backend, known_loop, known_loops, known_loops_folder, needs_loops, show_json, show_table
from ftassets.config.home import Home
from ftassets.errors import FtassetsError, InvalidInput
from ftassets.exits import ending

app = typer.Typer()

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")]
GatewayPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the gateway.")]
AdminPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the gateway's admin API; by default the one after.")]
CodePort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's code server.")]


@app.command()
@needs_loops
def up(
    definitions: Annotated[
        str | None,
        typer.Option(
            help="Module or file with Dagster definitions; without it those of the project that has the loops, else only the loops."
        ),
    ] = None,
    port: Port = 3000,
    gateway_port: GatewayPort = 8100,
    admin_port: AdminPort = None,
    code_port: CodePort = 4266,
    gateway_only: Annotated[
        bool, typer.Option("--gateway-only", help="Without Dagster: one more gateway for loops that other homes serve, too.")
    ] = False,
) -> None:
    """Start gateway, code server, daemon and UI for the home, until Ctrl-C."""
    from ftassets.config.loops_folder import loops_folder
    from ftassets.processes.code_location import code_location
    from ftassets.processes.up import up as run

    home = Home.from_env()
    found = loops_folder(home)
    ports = _ports(port, gateway_port, admin_port, code_port)
    run(home, ports, loops=found.path, code=None if gateway_only else code_location(found, definitions))


@app.command()
def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the last step instead of keeping the UI open.")] = False,
    port: Port = 3000,
    gateway_port: GatewayPort = 8100,
    admin_port: AdminPort = None,
    code_port: CodePort = 4266,
) -> None:
    """Run the whole loop once with a real model: drift, retrain, gates, rollout."""
    os.environ.setdefault("FTASSETS_HOME", str(Path(".ftassets/demo").resolve()))
    from ftassets.demo.story import run

    run(Home.from_env(), _ports(port, gateway_port, admin_port, code_port), keep_open=not exit_after)


def _ports(ui: int, gateway: int, admin: int | None, code: int) -> Any:
    from ftassets.processes.up import Ports

    return Ports(gateway=gateway, admin=admin or gateway + 1, ui=ui, code=code)


@app.command()
@needs_loops
def status(as_json: AsJson = False) -> None:
    """What of each loop needs a person and what to type then, its monitors, labels and traffic, and who moved or held it.

    Exit code 1 if the file or the state of a loop cannot be read; the others are shown.
    """
    from ftassets.cli.commands.status import describe

    found = describe(Home.from_env())
    if as_json:
        show_json(found)
    else:
        _show_status(found)
    if found["broken_files"] or found["unread"]:
        raise typer.Exit(1)


def _show_status(found: dict[str, Any]) -> None:
    from ftassets.cli.commands.status import lines_of

    rows = []
    for name, loop in {**found["loops"], **found["held"]}.items():
        weights = ", ".join(f"{version[:12]} {weight} %" for version, weight in loop["weights"].items()) or "-"
        paused = "no usable file" if name in found["held"] else loop["paused"] or "-"
        rows.append((name, loop["phase"], weights, (loop["standby"] or "-")[:12], paused, found["gateway"]))
    show_table(("loop", "phase", "traffic", "standby", "paused", "gateway"), rows)
    for problem in found["broken_files"].values():
        typer.secho(f"a loop file cannot be used, see `ftassets check`: {problem}", fg=typer.colors.YELLOW)
    for name, problem in found["unread"].items():
        typer.secho(f"{name}: its state cannot be shown: {problem}", fg=typer.colors.YELLOW)
    for name, loop in found["loops"].items():
        if (budget := loop["error_budget"]) and budget["decisions"]:
            typer.echo(f"{name}: error budget: {budget['sentence']}")
        for text, wanted in lines_of(loop["health"], loop["notices"], loop["timezone"]) if loop["health"] else ():
            typer.secho(f"{name}: {text}", fg=typer.colors.YELLOW if wanted else None)
        for note in loop["notes"]:
            typer.secho(f"{name}: {note}", fg=typer.colors.YELLOW)
        for entry in loop["journal"]:
            when = datetime.fromtimestamp(entry["at"], ZoneInfo(loop["timezone"])).strftime("%F %T %Z")
            moved = "" if entry["weights"] is None else f"  {entry['weights']}"
            typer.echo(f"{when}  {name}  {entry['action']}{moved}  {entry['reason']} ({entry['by']})")


@app.command()
@needs_loops
def cost(
    loop: Annotated[str | None, typer.Argument(help="Name of the loop; without it all loops.")] = None,
    months: Annotated[int, typer.Option(min=1, max=120, help="Calendar months to tell of, the current one included.")] = 12,
    tokens_per_day: Annotated[
        float | None,
        typer.Option(min=1, help="Answer tokens of a day to compare with an API, at the mix and peaks of the traffic there was."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What runs, cycles, promoted models and serving used and cost, by the loop file's prices; and own servers against an API.

    Exit code 1 if the cost of a loop is not known; that of the others is shown.
    """
    from ftassets.backends.control.spending import spending
    from ftassets.cli.commands.spending import document

    folder = known_loops_folder(loop)
    loops = folder.loops if loop is None else {loop: folder.named(loop)}
    found, whole = [], loop is not None or not folder.broken
    for name, config in loops.items():
        try:
            found.append(spending(backend("control"), backend("traffic_log"), config, time.time(), months, tokens_per_day))
        except (FtassetsError, OSError) as error:
            if loop is not None:
                raise
            whole = False
            typer.secho(f"the cost of {name} is not known: {ending(error).sentence}", fg=typer.colors.YELLOW, err=True)
    if as_json:
        show_json({each.loop: document(each) for each in found})
    else:
        _show_cost(found, loops)
    if not whole:
        raise typer.Exit(1)


def _show_cost(found: list[Any], loops: dict[str, Any]) -> None:
    from ftassets.domain.spending import words

    for each in found:
        for subject, sentence in words.sentences(each).items():
            typer.echo(f"{each.loop}: {subject.replace('_', ' ')}: {sentence}")
        for line in each.against_api.calculation if each.against_api else ():
            typer.echo(f"  {line}")
        for hint in each.hints:
            typer.echo(f"{each.loop}: hint: {hint}")
        zone = ZoneInfo(loops[each.loop].timezone)
        tables = {
            "by month": words.month_table(each),
            "runs that make versions": words.cycle_table(each, zone),
            "by node": words.node_table(each),
            f"serving, requests until {datetime.fromtimestamp(each.served_until, zone):%F %H:%M}": words.version_table(each),
        }
        for title, (headings, rows) in tables.items():
            if rows:
                typer.echo(f"{each.loop}: {title}")
                show_table(headings, rows)


@app.command()
@needs_loops
def pause(
    loop: Loop,
    reason: Annotated[str, typer.Option(help="Shown by status, and why nothing starts; kept on record.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Hold retrains and rollouts of a loop; a rollback still happens."""
    from ftassets.backends.control import pauses
    from ftassets.config.profiles import control

    known_loop(loop)
    pauses.pause(control(Home.from_env()), loop, reason, by or getpass.getuser(), time.time())
    if as_json:
        show_json({"loop": loop, "paused": reason})
    else:
        typer.echo(f"{loop} is paused: {reason}")


@app.command()
@needs_loops
def resume(
    loop: Loop, reason: Annotated[str, typer.Option(help="Kept on record; status shows it.")], by: By = None, as_json: AsJson = False
) -> None:
    """End a pause; exit code 1 if the loop is not paused."""
    from ftassets.backends.control import pauses
    from ftassets.config.profiles import control

    known_loop(loop)
    if not pauses.resume(control(Home.from_env()), loop, reason, by or getpass.getuser(), time.time()):
        raise InvalidInput(f"{loop} is not paused")
    if as_json:
        show_json({"loop": loop, "paused": None, "reason": reason})
    else:
        typer.echo(f"{loop} continues: {reason}")


@app.command()
@needs_loops
def acknowledge(
    loop: Loop,
    concern: Annotated[str, typer.Argument(help="A concern that status lists, for example drift-alarm.")],
    reason: Annotated[str, typer.Option(help="What is being done; kept until it is over.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Say that you know of a concern: no message that it is there is sent any more; one is when it is over, if it was told."""
    from ftassets.backends.control.health import update_notices

    said = _said(reason, by)
    known_loop(loop)
    update_notices(backend("control"), loop, lambda known: known.acknowledge(concern, said))
    if as_json:
        show_json({"loop": loop, "concern": concern, **said.model_dump()})
    else:
        typer.echo(f"{loop}: {concern} acknowledged by {said.by}: {reason}")


@app.command()
@needs_loops
def silence(
    loop: Loop,
    concern: Annotated[str, typer.Argument(help="A concern, or a section of the runbook for all concerns of it.")],
    reason: Annotated[str, typer.Option(help="Why; status shows it.")],
    length: Annotated[str, typer.Option("--for", help="How long, for example 7d; 0s ends a silence.")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Send no message about a concern for a time, also if it comes only then; status still shows it."""
    from ftassets.backends.control.health import update_notices
    from ftassets.config.units import seconds
    from ftassets.domain.health.subjects import check_silenced

    said = _said(reason, by)
    known_loop(loop)
    check_silenced(concern)
    until = said.at + seconds(length)
    update_notices(backend("control"), loop, lambda known: known.silence(concern, until, said))
    if as_json:
        show_json({"loop": loop, "concern": concern, "until": until, **said.model_dump()})
    else:
        typer.echo(
            f"{loop}: {concern} silenced for {length} by {said.by}: {reason}" if until > said.at else f"{loop}: {concern} is sent again"
        )


def _said(reason: str, by: str | None) -> Any:
    from ftassets.domain.health.notices import Said

    return Said(by=by or getpass.getuser(), at=time.time(), reason=reason)


@app.command()
@needs_loops
def doctor(
    loop: Annotated[
        str | None, typer.Option("--loop", help="Only whether this loop's base model can be trained here, or on its Ray cluster.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is missing or misconfigured."""
    from ftassets.cli.commands.doctor import diagnose, diagnose_base

    home = Home.from_env()
    found = diagnose(home) if loop is None else diagnose_base(known_loop(loop), home)
    sound = all(finding.ok for finding in found)
    if as_json:
        show_json({"ok": sound, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            typer.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject}: {finding.text}")
    if not sound:
        raise typer.Exit(1)


@app.command()
@needs_loops
def replay(
    decision: Annotated[
        str,
        typer.Argument(
            help="Name of a loop for all its decisions; or a decision-DIGEST.json or rollouts/LOOP/VERSION.jsonl, or the beginning of "
            "a retrain decision's digest."
        ),
    ],
    since: Annotated[str | None, typer.Option(help="Of a loop, only decisions of this last time, for example 90d.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make stored decisions again from what is stored with them; exit code 1 if one comes out differently or its evidence is damaged.

    Of a loop: retrains, verdicts of gates, what releases say of their reports, moves of rollouts, and verdicts on drift.
    """
    from ftassets.cli.commands.replay import replay as run
    from ftassets.cli.commands.replay import replay_rollout

    loops = known_loops()
    if decision in loops:
        _replay_loop(loops[decision], since, as_json)
        return
    if since is not None:
        raise InvalidInput(f"--since goes with the name of a loop, and {decision!r} is not among {', '.join(loops) or 'no loops'}")
    of_rollout = decision.endswith(".jsonl") and Path(decision).is_file()
    found = replay_rollout(Path(decision)) if of_rollout else [run(backend("artifacts"), loops, decision)]
    if as_json:
        show_json([asdict(each) for each in found] if of_rollout else asdict(found[0]))
    else:
        for each in found:
            typer.echo(each.describe())
    if not all(each.same for each in found):
        raise typer.Exit(1)


def _replay_loop(loop: Any, since: str | None, as_json: bool) -> None:
    from ftassets.cli.commands import replay_loop as command

    artifacts = backend("artifacts")
    begin = _begin(since)
    found = list(command.decisions(artifacts, backend("control"), backend("signer"), loop, begin))
    without = 0 if begin else command.without_verdicts(artifacts, loop.name, found)
    if as_json:
        show_json(command.document(loop.name, found, without))
    else:
        show_table(("kind", "decisions", "same", "differ", "unknown", "damaged"), command.summary(found))
        for line in command.sentences(found, without):
            typer.echo(line)
    if any(each.damaged or (each.now is not None and not each.same) for each in found):
        raise typer.Exit(1)


def _begin(since: str | None) -> float:
    """When a last time such as 90d began (epoch seconds); 0 without one."""
    from ftassets.config.units import seconds

    return time.time() - float(seconds(since)) if since is not None else 0.0


@app.command()
@needs_loops
def backtest(
    policy: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Another loop file.")],
    loop: Annotated[str | None, typer.Option(help="Loop whose decisions are made again; without it the one that the file names.")] = None,
    since: Annotated[str | None, typer.Option(help="Only decisions of this last time, for example 90d.")] = None,
    as_json: AsJson = False,
) -> None:
    """What another loop file would have decided on the stored evidence of a loop, side by side: drift, retrains, gates, rollouts, cost.

    What was never measured is unknown, with the reason.
    """
    from ftassets.backends.control.spending import spending
    from ftassets.cli.commands import backtest as command
    from ftassets.cli.commands.curate import settings
    from ftassets.domain.backtest import totals

    other = settings(policy, policy)
    own = known_loop(loop or other.name)
    rows = command.backtest(backend("artifacts"), backend("control"), backend("dataset_store"), own, other, _begin(since))
    found = command.money(rows, spending(backend("control"), backend("traffic_log"), own, time.time(), 120))
    if as_json:
        show_json(command.document(own.name, str(policy), rows, found))
        return
    kinds = [(kind, *(str(count) for count in counts.values())) for kind, counts in totals(rows).items()]
    show_table(("kind", "decisions", "same", "differ", "unknown"), kinds)
    if lines := command.table(rows):
        show_table(("time (UTC)", "kind", "about", "decided", "by the policy"), lines)
    for line in command.sentences(found):
        typer.echo(line)


@app.command()
@needs_loops
def drill(
    loop: Loop,
    only: Annotated[list[str] | None, typer.Option(help="Only this guard; may be given again. Without it all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Inject faults into a throw-away copy of a loop and say which guards hold; exit code 1 if one does not.

    The copy has the loop's rules and rows, a temporary home, servers without a model, and the backends of one machine. Nothing of the
    loop itself is touched.
    """
    from ftassets.drill.guards import chosen
    from ftassets.drill.guards import drill as run

    config, names, found = known_loop(loop), chosen(only or ()), list[Any]()
    for each in run(config, names):
        found.append(each)
        if not as_json:
            typer.echo(f"{'held' if each.held else 'NOT HELD':<8}  {each.seconds:5.1f} s  {each.guard}")
    if as_json:
        show_json({"loop": loop, "held": all(each.held for each in found), "guards": [asdict(each) for each in found]})
    else:
        rows = [(each.guard, each.seen, "yes" if each.held else "NO", f"{each.seconds:.1f}") for each in found]
        show_table(("guard", "seen", "held", "seconds"), rows)
    if not all(each.held for each in found):
        raise typer.Exit(1)


@app.command()
@needs_loops
def plan(
    loop: Loop,
    requests: Annotated[
        float | None, typer.Option(help="Requests a day; without it those of the last week's log, or 1,000 if it has none.")
    ] = None,
    effect: Annotated[float, typer.Option(help="Gain in accuracy that should be found.")] = 0.04,
    discordance: Annotated[float, typer.Option(help="Share of rows on which only one of two models is right.")] = 0.10,
    monitors: Annotated[
        bool, typer.Option("--monitors", help="What monitors notice, and how often they alert without a cause, instead of gates.")
    ] = False,
    rollout: Annotated[
        bool, typer.Option("--rollout", help="How long each decision of a rollout takes, and what fixed rules would do, instead of gates.")
    ] = False,
    feedback: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of --monitors: share of users with feedback; without it that of the log, or 0.02.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What gates, drift reports and rollout steps can show with the rows and traffic there are, before anything is trained."""
    from ftassets.backends.control.error_budget import read_ledger
    from ftassets.cli.commands import plan as command

    config = known_loop(loop)
    if monitors:
        from ftassets.cli.commands import plan_monitors

        volume = plan_monitors.volume_of(config, backend("traffic_log"), backend("control"), time.time(), requests, feedback)
        planned = plan_monitors.run(config, volume, plan_monitors.reference_of(config, backend("dataset_store"), backend("control")))
        if as_json:
            show_json(planned)
        else:
            typer.echo(plan_monitors.describe(planned))
        return
    # 0 a day that somebody names is refused below; 0 of an empty log is "not known yet"
    per_day = requests if requests is not None else backend("traffic_log").count(loop, time.time() - 7 * 86400) / 7 or None
    if rollout:
        from ftassets.cli.commands import plan_rollout

        steps = plan_rollout.run(config, per_day)
        if as_json:
            show_json(steps)
        else:
            typer.echo(plan_rollout.describe(steps))
        return
    rows, ledger = command.rows_of(config), read_ledger(backend("artifacts"), backend("control"), loop)
    drift = command.drift_of(Home.from_env(), config, per_day)
    found = command.run(config, rows, per_day, discordance, effect, ledger, time.time(), drift)
    if as_json:
        show_json(found)
    else:
        typer.echo(command.describe(found))


@app.command()
@needs_loops
def simulate(
    loop: Loop,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days pass.")] = 365,
    scenario: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="YAML file with traffic and events; without it usual days.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let months of simulated traffic go through the loop's triggers and monitors, and print what happens. Nothing is trained or sent."""
    from ftassets.cli.commands import simulate as command
    from ftassets.simulation.scenario import Scenario, read_scenario

    config, chosen = known_loop(loop), read_scenario(scenario) if scenario else Scenario.model_validate({})
    found, before = list[Any](), None
    for each in command.run(config, chosen, days):
        if isinstance(each, dict):
            if as_json:
                show_json({"loop": loop, "days": found, "costs": each})
            else:
                typer.echo("\n".join(command.summary(each, days)))
            return
        if as_json:
            found.append(command.as_json(each))
        elif lines := command.describe(each, before):
            typer.echo("\n".join(lines))
        before = each
