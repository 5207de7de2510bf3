"""Small SavedModels of three inputs, with names that are Python identifiers or not."""

import json

from penstock.components.tabular_model.export import _rename_inputs
from tests.components.evaluate_model.tiny_models import save_model

PLAIN = ("miles", "delay", "size")
ODD = ("trip miles", "a-b", "größe")
CLASSES = {
    "binary": {"classes": ["nein", "ja, sehr"], "positive": "ja, sehr"},
    "multiclass": {"classes": ["a b", "ü", "c"]},
    "regression": {},
}


def save(folder, task, names=PLAIN):
    """Write a model of 2 x the first input, -1 x the second, and the third: klein 1.5, groß -0.5."""
    first, second, third = PLAIN
    save_model(
        folder,
        task,
        numbers={first: 2.0, second: -1.0},
        texts={third: {"klein": 1.5, "groß": -0.5}},
        bias=0.3,
        **CLASSES[task],
    )
    if names != PLAIN:
        real = dict(zip(PLAIN, names, strict=True))
        _rename_inputs(folder / "saved_model" / "saved_model.pb", real)
        described = json.loads((folder / "model.json").read_text())
        for found in described["inputs"]:
            found["name"] = real[found["name"]]
        (folder / "model.json").write_text(json.dumps(described))
    return folder


def score(first, second, third):
    """Return what the model computes before its sigmoid or softmax, for one row."""
    known = [0.0 if value is None or value != value else value for value in (first, second)]
    return 0.3 + 2 * known[0] - known[1] + {"klein": 1.5, "groß": -0.5}.get(third, 0.0)
