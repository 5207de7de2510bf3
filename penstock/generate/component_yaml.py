"""Writes a step's component.yaml: what other projects load without this package."""

import importlib
import tempfile
from pathlib import Path

from penstock.compile_pipeline import check_ir, import_kfp


def component_yaml(step: str) -> str:
    """Return the text of components/<step>/component.yaml, as kfp's compiler writes it."""
    import_kfp()
    from kfp import compiler

    component = getattr(importlib.import_module(f"penstock.components.{step}.spec"), step)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "component.yaml"
        compiler.Compiler().compile(component, str(path))
        text = path.read_text(encoding="utf-8")
    check_ir(text, f"components/{step}/spec.py")
    return text
