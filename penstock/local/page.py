"""The page of one run: how it ended and why, then everything that leads further."""

import json
import os
from pathlib import Path
from typing import Any

from penstock.components.html_report.numbers import duration, number
from penstock.components.html_report.page import Cell, Column, Html, Page, badge, escape, link
from penstock.local.graph_svg import graph_svg
from penstock.local.progress import SYMBOLS
from penstock.local.runs import Run, Step
from penstock.local.summary import against_champion, evidence_of, headline, key_metrics, verdicts

ALL_METRICS = 20
LEVELS = {
    "succeeded": "pass",
    "unchanged": "info",
    "running": "info",
    "blocked": "block",
    "interrupted": "warn",
}
STEP_LEVELS = {
    "succeeded": "pass",
    "cached": "info",
    "failed": "block",
    "blocked": "block",
    "interrupted": "warn",
}


def write_page(run: Run, folder: Path) -> Path:
    """Write index.html into the run folder and return its path."""
    page = Page(f"Run {run.id}", subtitle=f"{run.pipeline}, app {run.app}: {_when(run.started)}")
    _verdict(page, run)
    page.facts(_facts(run))
    if run.stopped_at is not None or run.error:
        _trouble(page, run)
    _judged(page, run, folder)
    _metrics(page, run)
    reports = [(step, name, path) for step in run.steps for name, path in step.reports.items()]
    if reports:
        page.heading("Reports")
        page.list(link(path, f"{step.title}: {name.replace('_', ' ')}") for step, name, path in reports)
    page.heading("Steps")
    page.figure(graph_svg(run.steps, lambda step: _target(step, run)))
    _steps(page, run, folder)
    with page.details("Artifacts"):
        _artifacts(page, run, folder)
    with page.details("Parameters"):
        rows = [
            [name, Html(f"<code>{escape(_shown(value))}</code>")]
            for name, value in sorted(run.arguments.items())
        ]
        page.table(["Parameter", "Value"], rows)
    page.heading("Run it again")
    page.raw(f"<pre>{escape(run.command)}</pre>")
    page.note(
        f"app version {run.app_version or '–'} · code version {run.code_version or '–'} · run.json beside this page"
    )
    path = folder / "index.html"
    partial = path.with_name(path.name + ".partial")
    page.write(partial)
    partial.replace(path)
    return path


def _verdict(page: Page, run: Run) -> None:
    stopped = run.stopped_at
    if run.state == "failed":
        sentence = run.error or (f"{stopped.title}: {stopped.error}" if stopped else headline(run))
        page.verdict("block", sentence, "Failed")
    elif run.state == "blocked" and stopped is not None:
        page.verdict("block", stopped.error or headline(run))
    else:
        page.verdict(LEVELS.get(run.state, "info"), headline(run))


def _facts(run: Run) -> dict[str, Cell]:
    facts: dict[str, Cell] = {"State": run.state, "Took": duration(run.seconds)}
    counts = {state: sum(step.state == state and bool(step.image) for step in run.steps) for state in SYMBOLS}
    facts["Steps"] = ", ".join(
        f"{counts[state]} {word}"
        for state, word in (("succeeded", "ran"), ("cached", "reused"), ("skipped", "skipped"))
        if counts[state]
    )
    facts["Steps ran as"] = {"docker": "containers", "process": "processes"}.get(run.executor, run.executor)
    extracted = run.first("extract_data")
    if extracted is not None and "rows" in extracted.results:
        facts["Rows"] = extracted.results["rows"]
    if "since" in run.arguments or "until" in run.arguments:
        since, until = (run.arguments.get(name) or "" for name in ("since", "until"))
        facts["Window"] = f"{since or 'first'} to {until or 'last'}" if since or until else "all"
    resolved = run.first("resolve_champion")
    if resolved is not None and "champion_version" in resolved.results:
        facts["Champion before"] = resolved.results["champion_version"] or "none"
    judged = run.first("validate_data")
    if judged is not None and judged.results.get("drift"):
        facts["Drift"] = judged.results["drift"]
    for metric in key_metrics(run, 1):
        facts[f"{metric.name} (test)"] = str(metric).removeprefix(f"{metric.name} ")
    registered = run.first("register_model")
    if registered is not None and registered.results.get("version"):
        promoted = ", champion" if registered.results.get("promoted") else ", not promoted"
        facts["Registered"] = f"version {registered.results['version']}{promoted}"
    return facts


def _trouble(page: Page, run: Run) -> None:
    stopped = run.stopped_at
    page.heading("What happened")
    if stopped is None:
        page.text(run.error)
        page.list([link("logs/runner.log", "log of the runner")])
        return
    if len(stopped.reasons) > 1:
        page.list(stopped.reasons)
    items: list[str] = []
    evidence = evidence_of(run, stopped)
    if evidence:
        items.append(Html(f"Evidence: {link(evidence, evidence.removeprefix('reports/'))}"))
    if stopped.log:
        items.append(Html(f"Log of {escape(stopped.title)}: {link(stopped.log, stopped.log)}"))
    items.append(
        Html(
            f"What was done is kept. Then run it again, it goes on from here: <code>{escape(run.command)}</code>"
        )
    )
    page.list(items)


def _judged(page: Page, run: Run, folder: Path) -> None:
    rows: list[list[Cell]] = []
    for name, step, results in verdicts(run):
        level = results["verdict"] if results["verdict"] in ("pass", "warn", "block") else "info"
        reasons = results.get("reasons") or []
        said = reasons[0] if reasons else ""
        if len(reasons) > 1:
            said += f" (and {len(reasons) - 1} more)"
        report = next(iter(step.reports.values()), "")
        rows.append([name, badge(level), said, link(report, "report") if report else ""])
    if rows:
        page.heading("Verdicts")
        page.table(["Judged", "Verdict", "First reason", "Evidence"], rows)


def _metrics(page: Page, run: Run) -> None:
    metrics = key_metrics(run, ALL_METRICS)
    if metrics:
        page.heading("Metrics on the test split")
        if compared := against_champion(run):
            page.text(f"Against the champion: {compared}.")
        page.table(
            [Column("Metric"), Column("Value", True), Column("Low", True), Column("High", True)],
            [[f"{m.name}{' (primary)' if m.primary else ''}", m.value, m.low, m.high] for m in metrics],
            caption="The challenger, with confidence intervals; slices and the champion are in the report of evaluate-model",
        )


def _steps(page: Page, run: Run, folder: Path) -> None:
    rows: list[list[Cell]] = []
    for step in run.steps:
        state = (
            badge(STEP_LEVELS.get(step.state, "info"), step.state)
            if step.state in STEP_LEVELS
            else step.state
        )
        reused: Cell = ""
        if step.reused_from:
            reused = link(f"../{step.reused_from}/index.html", step.reused_from)
        leads = [link(path, name.replace("_", " ")) for name, path in step.reports.items()]
        if step.log:
            leads.append(link(step.log, "log"))
        took = duration(step.seconds) if step.seconds is not None and step.state != "cached" else ""
        rows.append(
            [
                Html(f'<span id="{escape(step.task)}">{escape(step.title)}</span>'),
                state,
                took,
                f"{number(round(step.peak_mib))} MiB" if step.peak_mib else "",
                reused,
                Html(" · ".join(leads)),
                Html(f"<code>{escape(step.image.rpartition(':')[2])}</code>") if step.image else "",
            ]
        )
    page.table(
        [
            Column("Step"),
            Column("State"),
            Column("Took", True),
            Column("Peak memory", True),
            Column("Reused from"),
            Column("Open"),
            Column("Code"),
        ],
        rows,
    )


def _artifacts(page: Page, run: Run, folder: Path) -> None:
    rows: list[list[Cell]] = []
    for step in run.steps:
        for name, uri in step.outputs.items():
            shown = Html(f"<code>{escape(uri)}</code>")
            if "://" not in uri:
                path = os.path.relpath(uri, folder)
                shown = Html(f"<code>{link(path, path)}</code>")
            rows.append([f"{step.title}: {name}", shown])
    page.table(["Artifact", "Where"], rows)


def _target(step: Step, run: Run) -> str:
    """Return where the box of a step leads: its report, else its log, else its row below."""
    return next(iter(step.reports.values()), "") or step.log or f"#{step.task}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _when(moment: str) -> str:
    return f"{moment[:10]} {moment[11:19]} UTC" if moment else ""
