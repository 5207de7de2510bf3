"""The page of the proof: each check as a sentence, and how long answers took."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number
from penstock.components.html_report.page import Page, badge, escape
from penstock.components.validate_serving.checks import reasons_of, verdict_of
from penstock.components.validate_serving.settings import Settings
from penstock.components.validate_serving.validation import Proof

BINS = 30
LOG_LINES = 60


def write_report(
    path: Path, model: str, proof: Proof, settings: Settings, server: Mapping[str, str], server_log: str
) -> None:
    """Write the page; `server` tells what was tried, `server_log` is shown where a check failed."""
    verdict, reasons = verdict_of(proof.checks), reasons_of(proof.checks)
    page = Page("Proof of serving", subtitle=f"{model}, before it gets traffic")
    page.verdict(verdict, reasons[0] if reasons else f"All {len(proof.checks)} checks passed.")
    numbers = {check.name: check.numbers for check in proof.checks}
    facts: dict[str, str] = {}
    if any(check.name == "start" and check.passed for check in proof.checks):
        facts["Ready after"] = f"{numbers['start']['seconds']:.1f} s"
    for name, key in (("Median", "p50_ms"), ("99th percentile", "p99_ms")):
        if key in numbers.get("load", {}):
            facts[name] = f"{number(numbers['load'][key])} ms"
    if "megabytes" in numbers.get("memory", {}):
        facts["Memory"] = f"{numbers['memory']['megabytes']:.0f} MB"
    page.facts(facts)
    page.heading("Checks")
    marks = {True: ("pass", "passed"), False: ("block", "failed"), None: ("info", "not tried")}
    page.table(
        ["Check", "Result", "What was found"],
        [[check.name, badge(*marks[check.passed]), check.sentence] for check in proof.checks],
        caption="In the order in which they were made",
    )
    if proof.load is not None and len(proof.load.latencies_ms):
        page.heading("Time to the answer")
        found = proof.load.latencies_ms
        edges = np.linspace(0, max(float(np.quantile(found, 0.995)), 1e-3), BINS + 1)
        counts, _ = np.histogram(np.minimum(found, edges[-1]), edges)
        page.figure(
            charts.histogram(edges.tolist(), counts.tolist(), "Latency", "milliseconds", y_label="requests"),
            f"Timed from when each request was due; the last bar holds all slower ones (slowest {found.max():.0f} ms).",
        )
    page.heading("The server")
    if server["kind"] == "process":
        page.note("A process of this step, with the same code as the serving image.")
    else:
        page.table(["What", "Value"], rows_of_pod(server), caption="A pod as the target runs it")
    page.heading("Budgets and objectives")
    page.table(["Setting", "Value"], [[f"serving.{name}", value] for name, value in vars(settings).items()])
    if verdict != "pass":
        page.heading("The server's log")
        lines = server_log.splitlines()[-LOG_LINES:]
        page.note(f"Its last {len(lines)} lines; the whole is server.log in the evidence.")
        page.raw(f'<pre tabindex="0" aria-label="log">{escape(chr(10).join(lines))}</pre>')
    page.write(path)


def rows_of_pod(server: Mapping[str, str]) -> list[list[str]]:
    """Return where a pod ran and within which limits, for a table."""
    return [
        ["Pod", f"{server['name']} in the namespace {server['namespace']}, on the node {server['node']}"],
        ["Asks for", f"{server['cpu']} of CPU, {server['memory']} of memory"],
        ["Is killed beyond", f"{server['memory_limit']} of memory"],
        ["Image", server["image"]],
    ]
