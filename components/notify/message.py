"""What people are told of a run: how it ended, why, and where to look."""

from dataclasses import dataclass, field

from penstock.components.html_report.numbers import duration
from penstock.components.metric_words.estimates import estimate_text
from penstock.components.model_registry.run_account import RunAccount, StepAccount

KEY_METRICS = ("auc", "pr_auc", "macro_auc", "log_loss", "accuracy", "macro_f1", "rmse", "mae", "r2")
MOST_METRICS = 3
MOST_REASONS = 5


@dataclass(frozen=True)
class Message:
    """A title and the lines under it."""

    outcome: str
    title: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Everything as one text."""
        return "\n".join([self.title, *(f"  {line}" for line in self.lines)])

    @property
    def is_quiet(self) -> bool:
        """Whether it is no news to wake anyone for."""
        return self.outcome == "unchanged"


def compose(run: RunAccount) -> Message:
    """Return the message on a run."""
    what = f"{run.pipeline} of {run.app}"
    if run.state == "unchanged":
        reason = run.result("resolve_champion", "reason") or "nothing has changed"
        return Message("unchanged", f"{what}: nothing to train, {reason}")
    if run.state == "succeeded":
        return Message("succeeded", f"{what} succeeded: {_version(run)}", _success(run))
    stopped = run.stopped_at
    at = f" at {stopped.title}" if stopped else ""
    return Message(run.state, f"{what} {_WORDS.get(run.state, run.state)}{at}", _failure(run, stopped))


_WORDS = {"blocked": "was blocked", "interrupted": "was interrupted"}


def _version(run: RunAccount) -> str:
    registered = run.first("register_model")
    if registered is None or not registered.results.get("version"):
        return "no model was registered"
    name = run.argument("model_name") or run.app
    version = f"{name} version {registered.results['version']}"
    return (
        f"{version} is the champion" if registered.results.get("promoted") else f"{version} is not promoted"
    )


def _success(run: RunAccount) -> list[str]:
    lines = []
    if metrics := key_metrics(run):
        lines.append(f"metrics: {', '.join(metrics)}")
    champion = run.result("resolve_champion", "champion_version")
    if champion:
        lines.append(f"compared with: champion version {champion}")
    if drift := run.result("validate_data", "drift"):
        lines.append(f"drift of the data: {drift}")
    for step in ("validate_data", "prepare_data", "validate_model"):
        found = run.first(step)
        if found is not None and found.results.get("verdict") == "warn":
            lines.append(f"warning of {found.title}: {_shortened(found.reasons)}")
    return [*lines, *_where(run)]


def _failure(run: RunAccount, stopped: StepAccount | None) -> list[str]:
    if stopped is None:
        return [f"why: {run.error or 'the run ended without a reason'}", *_where(run)]
    lines = [f"why: {reason}" for reason in stopped.reasons[:MOST_REASONS]]
    if len(stopped.reasons) > MOST_REASONS:
        lines.append(f"and {len(stopped.reasons) - MOST_REASONS} more reasons")
    if not lines:
        lines.append(f"why: {stopped.error or 'it left no record: see its log'}")
    if stopped.evidence:
        lines.append(f"evidence: {stopped.evidence}")
    if stopped.log:
        lines.append(f"log: {stopped.log}")
    return [*lines, *_where(run)]


def _where(run: RunAccount) -> list[str]:
    lines = [f"run: {run.id}" + (f", {duration(run.seconds)}" if run.seconds is not None else "")]
    return [*lines, f"report: {run.report}"] if run.report else lines


def key_metrics(run: RunAccount) -> list[str]:
    """Return the challenger's first metrics with their intervals, as far as the evaluation recorded them."""
    evaluated = run.first("evaluate_model")
    found = evaluated.metrics if evaluated else {}
    texts = []
    for name in KEY_METRICS:
        if name in found:
            interval = {
                "value": found[name],
                "low": found.get(f"{name}_low"),
                "high": found.get(f"{name}_high"),
            }
            texts.append(f"{name} {estimate_text(interval)}")
    return texts[:MOST_METRICS]


def _shortened(reasons: list[str]) -> str:
    if not reasons:
        return "no reason was given"
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
