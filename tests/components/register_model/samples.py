"""What the steps before leave for register_model: small, but as they write it."""

import json
from pathlib import Path
from typing import Any

MEASURES = {"auc": True, "log_loss": False}
PARAMETERS: dict[str, Any] = {
    "model_name": "taxi",
    "run_id": "run-1",
    "app_version": "a" * 64,
    "code_version": "c" * 16,
    "fingerprint": "f" * 64,
    "source": "s3://me:secret@bucket/trips.csv",
    "query": "",
    "since": "",
    "until": "2015-01-01",
    "data_fingerprint": "d" * 64,
    "watermark": "2014-12-31T23:00:00Z",
    "rows": 10_000,
    "split_rows": {"train": 7_000, "validation": 1_500, "test": 1_500},
    "label_spec": {"name": "big_tip", "task": "binary", "classes": ["false", "true"], "positive": "true"},
    "verdict": "pass",
    "drift": "none",
    "champion_version": "",
}
NAMES = ("model", "statistics", "evaluation", "rules", "explanation", "app")
OUTPUTS = {"card": "system.HTML", "card_markdown": "system.Markdown"}


def estimate(value: float | None, half_width: float | None = 0.02) -> dict[str, float | None]:
    """Return an estimate with a symmetric interval."""
    if value is None or half_width is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": value - half_width, "high": value + half_width}


def group(rows: int, auc: float | None, half_width: float | None = 0.02, **more: Any) -> dict[str, Any]:
    """Return a group of evaluation.json without a champion."""
    challenger = {"auc": estimate(auc, half_width), "log_loss": estimate(0.5)}
    return {
        "rows": rows,
        "note": "",
        "challenger": challenger,
        "champion": None,
        "difference": None,
        **more,
    }


def slice_of(column: str, value: str, *numbers: Any) -> dict[str, Any]:
    """Return a slice of evaluation.json."""
    return {"by": [column], "value": {column: value}, "name": f"{column} = {value}", **group(*numbers)}


def evaluation(**changed: Any) -> dict[str, Any]:
    """Return the content of evaluation.json."""
    return {
        "task": "binary",
        "label": "big_tip",
        "rows": 1_500,
        "confidence": 0.95,
        "resamples": 1_000,
        "primary_metric": "auc",
        "champion_version": "",
        "champion_note": "",
        "metrics": {name: {"higher_is_better": better} for name, better in MEASURES.items()},
        "overall": group(1_500, 0.8),
        "slices": [
            slice_of("payment", "Card", 900, 0.81),
            slice_of("payment", "Cash", 560, 0.6),
            slice_of("payment", "Voucher", 40, 0.9),
        ],
        **changed,
    }


def against_champion(difference: float, half_width: float = 0.01) -> dict[str, Any]:
    """Return an `overall` that was compared with a champion."""
    return group(
        1_500,
        0.8,
        champion={"auc": estimate(0.8 - difference), "log_loss": estimate(0.5)},
        difference={"auc": estimate(difference, half_width), "log_loss": estimate(0.0)},
    )


def write_inputs(
    folder: Path,
    weights: bytes = b"\0weights",
    judged: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
) -> dict[str, Path]:
    """Write all input artifacts and return their folders by name."""
    inputs = {name: folder / name for name in NAMES}
    (inputs["model"] / "saved_model" / "variables").mkdir(parents=True)
    for name in NAMES[1:]:
        inputs[name].mkdir()
    (inputs["model"] / "saved_model" / "saved_model.pb").write_bytes(b"\0graph")
    (inputs["model"] / "saved_model" / "variables" / "variables.data-00000-of-00001").write_bytes(weights)
    _json(
        inputs["model"] / "model.json",
        {
            "format": 1,
            "task": "binary",
            "label": "big_tip",
            "classes": ["false", "true"],
            "positive": "true",
            "inputs": [{"name": "fare", "dtype": "float64"}, {"name": "payment", "dtype": "string"}],
            "outputs": ["score", "label"],
            "parameters": {"hidden_units": [64, 32], "learning_rate": 0.001, "optimizer": "adam"},
            "seed": 7,
            "versions": {"tensorflow": "2.21.0", "keras": "3.12.0", "python": "3.11.7"},
            "train_rows": 7_000,
            "validation_rows": 1_500,
        },
    )
    (inputs["statistics"] / "statistics.pb").write_bytes(b"\0statistics")
    _json(inputs["evaluation"] / "evaluation.json", judged or evaluation())
    rule = {"name": "auc min", "verdict": "pass", "sentence": "auc 0.80 is at least 0.7: pass"}
    _json(inputs["rules"] / "rules.json", {"verdict": "pass", "rules": rules or [rule]})
    _json(inputs["explanation"] / "background.json", {"instances": [{"fare": 7.5, "payment": "Cash"}]})
    (inputs["app"] / "app.yaml").write_text(
        "name: taxi\ndescription: Whether a trip ends with a big tip.\n"
        "cleaning:\n  - {drop: fare <= 0, because: no fare}\n"
        "thresholds: {slices: {min_rows: 100}}\n"
    )
    (inputs["app"] / "schema.pbtxt").write_text('feature { name: "fare" type: FLOAT }\n')
    return inputs


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))
