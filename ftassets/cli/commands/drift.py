"""A drift report of any window, now: measured as the asset measures it, shown and not stored."""

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ftassets.assets.drift_report import reference as drift_reference
from ftassets.assets.drift_report.asset import measure, report_of
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import backend, embedder
from ftassets.domain.chat import newest_generation, vector_space
from ftassets.errors import InvalidInput
from ftassets.wording import amount


def run(home: Home, loop: LoopConfig, window: float | None = None, until: float | None = None) -> dict[str, Any]:
    """The report of the `window` seconds (default: the loop's) before `until` (epoch seconds, default: now), as plain JSON.

    Writes nothing: queries without a vector are counted in `not_embedded`, and a missing reference is not built.
    Raises InvalidInput unless the window is positive and finite, ServingError when the gateway does not answer.
    """
    length = loop.retrain_on.drift.window if window is None else window
    if not 0 < length < float("inf"):
        raise InvalidInput(f"a window of {length} s is not possible: give more than 0")
    end = time.time() if until is None else until
    store, vectors, traffic_log = (backend(home, name) for name in ("dataset_store", "vector_store", "traffic_log"))
    production = backend(home, "serving").state(loop.name).production
    space = newest_generation(vector_space(embedder(loop.embedder).id, loop.dataset.context), vectors.embedders(loop.name))
    known, replaced = drift_reference.usable(drift_reference.stored(store, loop.name, production) if production else None, space)
    report = report_of(loop, measure(loop, end, length, production, known, vectors, store, backend(home, "artifacts"), replaced))
    if production and known is None:
        report["reason"] += f"; once they are there the job {loop.name}__watch makes it"
    begin = max(end - length, known.until) if known else end - length
    answered = traffic_log.count(loop.name, begin, end, answered=True)
    missing = max(0, answered - vectors.count(loop.name, space, begin, end))
    return report | {"timezone": loop.timezone, "window_begin": begin, "not_embedded": missing}


def describe(report: dict[str, Any]) -> str:
    """The report of `run` as lines for a terminal."""
    zone = ZoneInfo(report["timezone"])
    begin, end = (datetime.fromtimestamp(report[name], zone).strftime("%F %T") for name in ("window_begin", "window_end"))
    lines = [
        f"{report['verdict']}: {report['reason']}",
        f"{report['loop']}, production {(report['production'] or 'none')[:12]}, {begin} to {end} {report['timezone']}: "
        f"{amount(report['window_queries'], 'query', 'queries')} against a reference of {report['reference_queries']}",
    ]
    if report["statistics"]:
        lines += [f"Is it new?           {report['is_it_new']}", f"Did the mix change?  {report['did_the_mix_change']}", ""]
        lines.append(f"{'statistic':<18}{'value':>10}{'threshold':>12}{'p':>9}")
        lines += [
            f"{s['name']:<18}{s['value']:>10.4f}{s['threshold']:>12.4f}{s['p_value']:>9.4f}{_remark(s)}" for s in report["statistics"]
        ]
    if report["new_topics"]:
        lines += ["", "new topics"]
        lines += [
            f"{topic['share']:>6.1%}  {', '.join(topic['keywords'])}: {' / '.join(topic['examples'])}" for topic in report["new_topics"]
        ]
    if report["not_embedded"]:
        lines += [
            "",
            f"{report['not_embedded']} answered queries of this window have no vector yet: run the job {report['loop']}__watch first",
        ]
    return "\n".join(lines)


def _remark(statistic: dict[str, Any]) -> str:
    above = statistic["value"] > statistic["threshold"]
    if statistic["informs_only"]:
        return "  above usual, informs only" if above else "  informs only"
    return "  ALARM" if above else ""
