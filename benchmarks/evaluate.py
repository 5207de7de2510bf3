"""The evaluation's own computing time: metrics with 1000-resample intervals, on one core.

The case is 200,000 rows x 5 slicings (2, 3, 5, 10 and 24 values: 44 slices, and all rows) x 3 metrics. Then how
it grows to 10 M rows with its peak memory, the same for two compared models and all metrics, and how far point
estimates are from scikit-learn's. Runs with the tensorflow stack's Python: `make bench ARGS=evaluate`.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

CORE_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
for variable in CORE_VARIABLES:  # before numpy is imported
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from penstock.components.evaluate_model.intervals import estimate  # noqa: E402
from penstock.components.evaluate_model.outcomes import MEASURES, Outcome, Scored  # noqa: E402
from penstock.components.row_slices.slices import Slicing, everything  # noqa: E402

THREE = ("auc", "pr_auc", "log_loss")
VALUES = (2, 3, 5, 10, 24)  # of the five slicings
CASES = [
    (200_000, "3 metrics, one model", THREE, False),
    (200_000, "8 metrics, two models", (), True),
    (1_000_000, "3 metrics, one model", THREE, False),
    (10_000_000, "3 metrics, one model", THREE, False),
]
REPEATS = {200_000: 3}
TARGET_S = 2.0


def make_case(rows: int, compared: bool) -> tuple[Outcome, dict[str, Scored], list[Slicing]]:
    """Return a seeded binary outcome with 30 % positive rows, one or two models and the slicings."""
    random = np.random.default_rng(0)
    positive = random.random(rows) < 0.3
    logit = random.normal(size=rows) + 1.2 * positive - 1.0
    outcome = Outcome("binary", ("no", "yes"), 1, positive.astype(np.int32), np.empty(0))
    models = {"challenger": make_scored(logit)}
    if compared:
        models["champion"] = make_scored(logit + 0.5 * random.normal(size=rows))
    slicings = [everything(rows)]
    for count in VALUES:
        name = f"of_{count}"
        codes = random.integers(0, count, rows, dtype=np.int32)
        slicings.append(Slicing((name,), codes, tuple({name: str(i)} for i in range(count))))
    return outcome, models, slicings


def make_scored(logit: np.ndarray) -> Scored:
    """Return a model's scores."""
    scores = 1.0 / (1.0 + np.exp(-logit))
    return Scored(scores, (scores >= 0.5).astype(np.int32))


def measure(index: int) -> dict[str, float | int | str]:
    """Run one case in this process and return its time and memory; the best of its repeats."""
    rows, name, metrics, compared = CASES[index]
    outcome, models, slicings = make_case(rows, compared)
    before = peak_mib()
    seconds, cpu = [], []
    for _ in range(REPEATS.get(rows, 1)):
        fresh = {
            key: Scored(scored.scores, scored.predicted) for key, scored in models.items()
        }  # nothing sorted yet
        start, start_cpu = time.perf_counter(), time.process_time()
        estimate(outcome, fresh, slicings, metrics=metrics, resamples=1000)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return {
        "rows": rows,
        "case": name,
        "seconds": round(min(seconds), 2),
        "cpu_seconds": round(min(cpu), 2),
        "data_mib": round(before),
        "peak_mib": round(peak_mib()),
    }


def peak_mib() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare_with_scikit_learn() -> dict[str, float]:
    """Return the absolute difference to scikit-learn by metric, on 200,000 rows with ties and weights."""
    from sklearn import metrics as sk

    outcome, models, _ = make_case(200_000, False)
    scores = models["challenger"].scores.round(3)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, len(scores))
    outcome = Outcome(outcome.task, outcome.classes, 1, outcome.codes, outcome.values, weights)
    scored = Scored(scores, (scores >= 0.5).astype(np.int32))
    whole = estimate(outcome, {"challenger": scored}, [everything(len(scores))], resamples=1)[0][0]
    y, called = outcome.codes, scored.predicted
    expected = {
        "auc": sk.roc_auc_score(y, scores, sample_weight=weights),
        "pr_auc": sk.average_precision_score(y, scores, sample_weight=weights),
        "log_loss": sk.log_loss(y, scores, sample_weight=weights),
        "brier": sk.brier_score_loss(y, scores, sample_weight=weights),
        "accuracy": sk.accuracy_score(y, called, sample_weight=weights),
        "precision": sk.precision_score(y, called, sample_weight=weights),
        "recall": sk.recall_score(y, called, sample_weight=weights),
        "f1": sk.f1_score(y, called, sample_weight=weights),
    }
    return {
        name: abs(float(whole.challenger[name]["value"] or 0) - expected[name]) for name in MEASURES["binary"]
    }


def main() -> None:
    """Measure each case in a process of its own on one core, print a table, write results/evaluate.json."""
    results = []
    print(f"{'rows':>12}  {'case':<22} {'wall s':>7} {'CPU s':>7} {'peak MiB':>9} {'of it data':>11}")
    for index in range(len(CASES)):
        done = subprocess.run(
            [sys.executable, __file__, str(index)], check=True, capture_output=True, text=True, env=os.environ
        )
        found = json.loads(done.stdout)
        results.append(found)
        print(
            f"{found['rows']:>12,}  {found['case']:<22} {found['seconds']:>7} {found['cpu_seconds']:>7} "
            f"{found['peak_mib']:>9,} {found['data_mib']:>11,}",
            flush=True,
        )
    differences = compare_with_scikit_learn()
    largest = max(differences.values())
    print(f"largest difference to scikit-learn, weights and ties: {largest:.1e}")
    print(f"aim: under {TARGET_S:g} s for the first case; CPU time is what a core of one's own would take")
    content = {"cases": results, "difference_to_scikit_learn": differences, "target_seconds": TARGET_S}
    target = Path(__file__).parent / "results" / "evaluate.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
