"""Metrics of each task: what thresholds in app.yaml may name, and the values they can take."""

from math import inf

# Lowest and highest value that a metric can take.
METRICS: dict[str, dict[str, tuple[float, float]]] = {
    "binary": {
        "auc": (0, 1),
        "pr_auc": (0, 1),
        "log_loss": (0, inf),
        "brier": (0, 1),
        "accuracy": (0, 1),
        "precision": (0, 1),
        "recall": (0, 1),
        "f1": (0, 1),
    },
    "multiclass": {"accuracy": (0, 1), "log_loss": (0, inf), "macro_f1": (0, 1), "macro_auc": (0, 1)},
    "regression": {"rmse": (0, inf), "mae": (0, inf), "r2": (-inf, 1)},
}


def metrics_of(task: str) -> dict[str, tuple[float, float]]:
    """Return the ranges of a task's metrics by name; those of all tasks when it is not known (`auto`)."""
    if task in METRICS:
        return METRICS[task]
    return {name: span for metrics in METRICS.values() for name, span in metrics.items()}
