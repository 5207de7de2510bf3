"""Imports single modules of TFDV without TensorFlow and Apache Beam: 0.3 s instead of 3 s in each step.

`import tensorflow_data_validation` imports both eagerly, for pipelines and TFRecord files that the
steps never touch. What they need, the combiners of statistics and the C++ validation, uses of Beam
only counters and base classes, and nothing of TensorFlow. So, while such a module is imported, a
stand-in answers for the two. This holds for the version below, which the stack's lock pins; with any
other, with PENSTOCK_TFDV_IMPORT=full, or where TFDV was imported already, the library itself is used.
"""

import importlib
import importlib.util
import logging
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

log = logging.getLogger(__name__)

PACKAGE = "tensorflow_data_validation"
KNOWN_VERSION = "1.16.1"
STOOD_IN_FOR = ("apache_beam", "tensorflow")


def tfdv_module(name: str) -> Any:
    """Return the module `tensorflow_data_validation.<name>`, the lightest way that is safe.

    Example:
        basic = tfdv_module("statistics.generators.basic_stats_generator")
    """
    full = f"{PACKAGE}.{name}"
    if full in sys.modules:
        return sys.modules[full]
    import pyarrow_hotfix  # noqa: F401 - closes CVE-2023-47248 of pyarrow 10

    if not _may_stand_in():
        return importlib.import_module(full)
    with _stand_ins():
        return importlib.import_module(full)


def _may_stand_in() -> bool:
    if os.environ.get("PENSTOCK_TFDV_IMPORT") == "full":
        return False
    loaded = sys.modules.get(PACKAGE)
    if loaded is not None:
        return isinstance(loaded, _Unopened)
    return metadata.version("tensorflow-data-validation") == KNOWN_VERSION


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Keep the package's __init__ from running, and answer for the libraries that are not needed."""
    spec = importlib.util.find_spec(PACKAGE) if PACKAGE not in sys.modules else None
    if spec is not None:
        package = _Unopened(PACKAGE)
        package.__path__ = list(spec.submodule_search_locations or [])
        package.__spec__ = spec
        sys.modules[PACKAGE] = package
    added = [name for name in STOOD_IN_FOR if name not in sys.modules]
    for name in added:
        sys.modules[name] = _Module(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


class _Unopened(types.ModuleType):
    """The package without what its __init__ would have imported."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{PACKAGE}.{name} is not there: single modules were imported without the package; "
            "set PENSTOCK_TFDV_IMPORT=full to import all of it"
        )


class _Any(type):
    """A class any attribute, item or call of which is itself; as a decorator it changes nothing."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _decorator_factory if name.startswith("with_") else _Anything

    def __getitem__(cls, item: Any) -> Any:
        return _Anything

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        decorates = len(args) == 1 and not kwargs and isinstance(args[0], (type, types.FunctionType))
        return args[0] if decorates and not isinstance(args[0], _Any) else _Anything


class _Anything(metaclass=_Any):
    pass


def _decorator_factory(*args: Any, **kwargs: Any) -> Any:
    """Answer for with_input_types and the like: called with types, they return a decorator."""
    return lambda decorated: decorated


class _Module(types.ModuleType):
    """Stands in for a library while modules that name it are imported."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything
