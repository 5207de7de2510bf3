"""What `penstock runs` says of the runs of a cluster."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.components.html_report.numbers import duration
from penstock.components.model_registry.run_account import RunAccount, StepAccount, milliseconds
from penstock.components.notify.kfp_spec import IMPORTER
from penstock.components.notify.message import key_metrics
from penstock.kfp_backend.runs import all_steps, failed_sentence, is_over
from penstock.local.progress import SYMBOLS
from penstock.local.text_table import table

LABEL = 12
WIDEST_NOTE = 70
LONGEST = 100  # characters of a parameter
SUBJECTS = {
    "validate_data": "data",
    "prepare_data": "prepared",
    "validate_model": "model",
    "validate_serving": "serving",
    "predict_batch": "batch",
}
STOPPED = ("failed", "blocked", "interrupted")


def runs_table(rows: Sequence[tuple[Mapping[str, Any], RunAccount]]) -> str:
    """Return a table of runs."""
    cells = [
        [
            account.id[:8],
            account.name,
            account.pipeline,
            account.app,
            account.state,
            duration(account.seconds) if account.seconds is not None else "",
            said(account),
        ]
        for _, account in rows
    ]
    return table(["id", "run", "pipeline", "app", "state", "took", ""], cells)


def said(account: RunAccount) -> str:
    """Return the one thing to know of a run."""
    if sentence := failed_sentence(account)[0]:
        return sentence
    if not is_over(account):
        at = [step for step in account.steps if step.state == "running"]
        waits = next(
            (step for step in account.steps if step.state in ("pending", "running") and step.message), None
        )
        return f"{waits.title}: {waits.message}" if waits else f"at {at[-1].title}" if at else ""
    if account.state == "unchanged":
        return str(account.result("resolve_champion", "reason") or "")
    metrics = key_metrics(account)
    return metrics[0] if metrics else ""


def steps_table(account: RunAccount) -> str:
    """Return a table of the steps of a run."""
    rows = [
        [
            f"{SYMBOLS.get(step.state, ' ')} {step.title}",
            step.state,
            _took(step),
            _attempts(step),
            _note(step),
        ]
        for step in all_steps(account)
    ]
    head = ["step", "state", "took", "tries", ""]
    if not any(row[3] for row in rows):
        head, rows = [*head[:3], head[4]], [[*row[:3], row[4]] for row in rows]
    return table(head, rows, widest=WIDEST_NOTE)


def summary(account: RunAccount, executor: str, defaults: Mapping[str, Any], env: str) -> Iterator[str]:
    """Yield what there is to say of a run beside its steps.

    Args:
        account: The run.
        executor: What ran it, such as "kfp 2.14.3 at http://…".
        defaults: Of the pipeline's parameters: those that a run left alone are not shown.
        env: The environment, for what to type next.
    """
    yield headline(account)
    yield ""
    for step in account.steps:
        if step.results.get("verdict"):
            yield from _line(SUBJECTS.get(step.step, step.title), _verdict(step))
    if metrics := key_metrics(account):
        yield from _line("metrics", ", ".join(metrics))
    registered = account.first("register_model")
    if registered is not None and registered.results.get("version"):
        promoted = "promoted to champion" if registered.results.get("promoted") else "not promoted"
        name = account.argument("model_name") or account.app
        yield from _line("registered", f"{name} version {registered.results['version']}, {promoted}")
    yield from _line("versions", _versions(account))
    artifacts = [
        f"{step.title}.{name}  {uri}"
        for step in account.steps
        if step.state == "succeeded" and step.step != IMPORTER
        for name, uri in (step.outputs or step.record.get("outputs") or {}).items()
    ]
    yield from _lines("artifacts", artifacts)
    changed = {name: value for name, value in account.arguments.items() if value != defaults.get(name)}
    yield from _lines("parameters", [f"{name} = {_short(value)}" for name, value in sorted(changed.items())])
    yield from _line("executor", executor)
    yield from _line("page", account.report, wrap=False)
    yield from _end(account, env)


def headline(account: RunAccount) -> str:
    """Return how a run stands, in a sentence."""
    what = (
        f"{account.pipeline}{f', app {account.app}' if account.app else ''}, run {account.name or account.id}"
    )
    took = duration(account.seconds) if account.seconds is not None else ""
    if not is_over(account):
        return f"{what}: {account.state}"
    if account.state in ("succeeded", "unchanged"):
        ran = sum(step.state == "succeeded" and step.step != IMPORTER for step in account.steps)
        reused = sum(step.state == "cached" for step in account.steps)
        return f"{what}: {account.state} in {took}: {ran} steps ran, {reused} reused"
    stopped = account.stopped_at
    at = f" at {stopped.title}" if stopped else ""
    return f"{what}: {account.state} after {took}{at}"


def _end(account: RunAccount, env: str) -> Iterator[str]:
    """Yield what stopped a run, where its log is, what to type."""
    sentence, _ = failed_sentence(account)
    if not sentence:
        return
    stopped = account.stopped_at
    yield ""
    yield from _line("why", sentence)
    if stopped is not None:
        for reason in stopped.reasons:
            yield from _line("reason", reason)
        if stopped.evidence:
            yield from _line("evidence", stopped.evidence, wrap=False)
        yield from _line("log", f"penstock runs logs {account.id} {stopped.task} --env {env}", wrap=False)
    if account.state in ("failed", "cancelled") and "OOMKilled" not in sentence:  # a retry keeps the limit
        yield from _line(
            "next", f"penstock runs retry {account.id} --env {env}  goes on with this step", wrap=False
        )


def _took(step: StepAccount) -> str:
    if step.state == "cached" or not (step.started and step.ended):
        return ""
    return duration((milliseconds(step.ended) - milliseconds(step.started)) / 1000)


def _attempts(step: StepAccount) -> str:
    return str(step.attempts) if step.attempts > 1 else ""


def _note(step: StepAccount) -> str:
    if step.state == "cached":
        return f"reused from {step.reused_from}" if step.reused_from else "reused"
    if step.state in STOPPED or step.message:
        return step.error.splitlines()[0] if step.error else ""
    if step.results.get("verdict") in ("warn", "block"):
        return f"verdict {step.results['verdict']}"
    return ""


def _verdict(step: StepAccount) -> str:
    parts = [str(step.results["verdict"])]
    if step.results.get("drift"):
        parts.append(f"drift: {step.results['drift']}")
    reasons = step.reasons or list(step.results.get("reasons") or [])
    if parts[0] != "pass" and reasons:
        parts.append(reasons[0] + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""))
    return "; ".join(parts)


def _versions(account: RunAccount) -> str:
    named = {
        "pipeline": account.pipeline_version,
        "app": account.argument("app_version"),
        "code": account.argument("code_version"),
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value) or "none are told"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _lines(label: str, texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield f"{label if number == 0 else '':<{LABEL}}{text}"


def _line(label: str, text: str, wrap: bool = True) -> Iterator[str]:
    lines = (
        textwrap.wrap(text, 100 - LABEL, break_long_words=False, break_on_hyphens=False) if wrap else [text]
    )
    for number, line in enumerate(lines or [""]):
        yield f"{label if number == 0 else '':<{LABEL}}{line}"
