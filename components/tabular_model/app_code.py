"""The app's own Python files: features.py and model.py, loaded from the `code` artifact.

features.py, row-level features:

    def features(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor | None]:
        return {"speed": inputs["trip_miles"] / inputs["trip_seconds"]}

`inputs` holds every raw input by name, shape (n,): float64 (NaN is missing) or string ("" is
missing). What is returned is added to the inputs, or replaces those of the same name; None takes one
away. Results have the shape (n,) and are numbers, booleans or strings: numbers become numeric
features, strings categorical ones (`model.kinds` in app.yaml says otherwise). The function consists
of TensorFlow ops, works on each row alone, and is exported inside the model.

model.py, the network (docs/your_own_model.md has the whole contract):

    def build_model(inputs, settings, label) -> keras.Model: ...
    def search_space(trial: optuna.Trial) -> dict[str, Any]: ...
"""

import contextlib
import difflib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.components.step_io.errors import StepError


class AppModule:
    """One of the app's modules; errors inside it become sentences that name its file and line."""

    def __init__(self, folder: Path, file: str) -> None:
        """Import `file` from `folder`.

        Raises:
            StepError: The module raises while it is imported.
        """
        self.folder, self.file = folder.resolve(), file
        with self.blaming("import"):
            self.module = _import(self.folder, file)

    def function(self, name: str, *, required: bool) -> Callable[..., Any] | None:
        """Return a function of the module.

        Raises:
            StepError: It is not there, though `required`, or it is no function.
        """
        found = getattr(self.module, name, None)
        if callable(found):
            return found
        if found is None and not required:
            return None
        own = [
            key for key, value in vars(self.module).items() if callable(value) and not key.startswith("__")
        ]
        near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else "add it or remove the file"
        raise StepError(f"{self.file} has no function {name!r}; {advice}")

    @contextlib.contextmanager
    def blaming(self, doing: str) -> Iterator[None]:
        """Turn what is raised inside into a StepError with the module's file, line and error."""
        try:
            yield
        except StepError:
            raise
        except Exception as error:
            raise StepError(f"{self._place(error)}: {_first_line(error)} (in: {doing})") from error

    def _place(self, error: Exception) -> str:
        if isinstance(error, SyntaxError) and error.filename:
            return f"{Path(error.filename).name}, line {error.lineno}"
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(self.folder)]
        return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else self.file


def load(folder: Path, file: str) -> AppModule | None:
    """Return the app's module, or None when the app has no such file."""
    return AppModule(folder, file) if (folder / file).is_file() else None


def code_digest(folder: Path) -> str:
    """Return the hash of the code folder's files and their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _import(folder: Path, file: str) -> ModuleType:
    """Import a file under a name of its own; leave no trace in sys.path, sys.modules or the folder."""
    name = f"penstock_app_{hashlib.sha256(str(folder / file).encode()).hexdigest()[:12]}_{Path(file).stem}"
    spec = importlib.util.spec_from_file_location(name, folder / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes
        for added in set(sys.modules) - before:
            origin = getattr(sys.modules[added], "__file__", None) or ""
            if origin and Path(origin).resolve().is_relative_to(folder):
                del sys.modules[added]
    return module


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
