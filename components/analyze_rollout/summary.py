"""The record of a decision: everything that it rests on and that the report shows, as one JSON object."""

import dataclasses
import json
from typing import Any

from penstock.components.analyze_rollout.curves import make_curves, make_score_bars
from penstock.components.analyze_rollout.judgement import Judgement, jsonable
from penstock.components.analyze_rollout.setup import Setup
from penstock.components.analyze_rollout.store import Store
from penstock.components.rollout_statistics.traffic import Traffic

FORMAT = 1
MOST_DECISIONS = 200  # the latest


def summarize(traffic: Traffic, setup: Setup, judgement: Judgement, store: Store) -> dict[str, Any]:
    """Return the record."""
    decision, noted = judgement.decision, store.noted()
    decisions = store.rows("SELECT time, action, before, weights, reason FROM decisions ORDER BY time, rowid")
    return jsonable(
        {
            "format": FORMAT,
            "time": setup.clock,
            "strategy": setup.rollout.strategy,
            "champion": setup.champion,
            "challengers": setup.challengers,
            "started_s": setup.started,
            "since_s": setup.since,
            "now_s": setup.now,
            "weights_before": setup.weights,
            "action": decision.action,
            "weights": decision.weights,
            "verdict": judgement.verdict,
            "reasons": decision.reasons,
            "warnings": judgement.warnings,
            "numbers": decision.numbers,
            "arms": {
                version: {
                    "requests": arm.requests.sum(),
                    "errors": arm.errors.sum(),
                    "refused": arm.refused.sum(),
                    "rows": arm.rows.sum(),
                    "nans": arm.nans.sum(),
                    "outcomes": arm.all_outcomes.n,
                    "outcome_mean": arm.all_outcomes.mean if arm.all_outcomes.n else None,
                }
                for version, arm in traffic.arms.items()
            },
            "read": noted,
            "read_anew": store.began_anew,
            "curves": make_curves(traffic, setup, store),
            "scores": make_score_bars(store, setup),
            "decisions": [
                {
                    "time_s": time,
                    "action": action,
                    "before": json.loads(before),
                    "weights": json.loads(weights),
                    "reason": reason,
                }
                for time, action, before, weights, reason in decisions[-MOST_DECISIONS:]
            ],
            "settings": dataclasses.asdict(setup.rollout),
        }
    )
