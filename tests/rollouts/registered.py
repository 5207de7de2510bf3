"""Registers small models for the tests of rollouts. Two programs, since no stack holds both libraries:

    python -m tests.rollouts.registered save FOLDER          (tensorflow)
    python -m tests.rollouts.registered register URI FOLDER  (control)

Version 1 is the champion; version 2 answers the same; version 3 answers without a number.
"""

import sys
from pathlib import Path

MODEL = "toy"
BIASES = {"1": 0.0, "2": 0.0, "3": float("nan")}


def save(folder: Path) -> None:
    from tests.components.evaluate_model.tiny_models import save_model

    for version, bias in BIASES.items():
        save_model(
            folder / version,
            "binary",
            classes=["false", "true"],
            positive="true",
            numbers={"miles": 0.5},
            texts={"farbe": {"röt": 1.0}},
            bias=bias,
        )


def register(uri: str, folder: Path) -> None:
    from penstock.components.model_registry.names import CHAMPION
    from penstock.components.model_registry.opening import open_store

    store = open_store(uri)
    for version in BIASES:
        run = store.start_run("test", version, 1, {})
        store.create_version(MODEL, str(folder / version), run.id, "", {})
    store.set_alias(MODEL, CHAMPION, 1)


if __name__ == "__main__":
    save(Path(sys.argv[2])) if sys.argv[1] == "save" else register(sys.argv[2], Path(sys.argv[3]))
