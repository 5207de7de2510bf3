"""Makes two models that answer differently, and registers them when a registry is named.

python make_models.py FOLDER                 in the serving stack: FOLDER/1 and FOLDER/2
python make_models.py FOLDER REGISTRY_URI    in the control stack: as versions 1 and 2 of `taxi`, 1 the champion
"""

import json
import math
import sys
from pathlib import Path

folder = Path(sys.argv[1])
if len(sys.argv) == 2:
    from tests.components.evaluate_model.tiny_models import save_model

    for version, factor in (("1", 1.0), ("2", -1.0)):
        model = save_model(
            folder / version,
            "binary",
            classes=["no", "ja"],
            positive="ja",
            numbers={"miles": factor},
            texts={"payment": {"Cash": 2.0}},
        )
        if version == "1":
            score = 1 / (1 + math.exp(-2.5))
            examples = {
                "instances": [{"miles": 2.5, "payment": "it's cash"}],
                "predictions": [{"score": score, "label": "ja"}],
            }
            (model / "examples.json").write_text(json.dumps(examples))
else:
    from penstock.components.model_registry.names import CHAMPION
    from penstock.components.model_registry.opening import open_store

    store = open_store(sys.argv[2])
    run = store.start_run("penstock/taxi", "made for a test", 0, {})
    for number in ("1", "2"):
        store.create_version("taxi", str(folder / number), run.id, "", {})
    store.set_alias("taxi", CHAMPION, 1)
