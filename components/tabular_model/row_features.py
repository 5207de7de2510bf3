"""What the app's features.py makes of the raw inputs, in training and inside the exported model alike."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.app_code import AppModule, load
from penstock.components.tabular_model.columns import RawInput
from penstock.components.tabular_model.settings import KINDS

log = logging.getLogger(__name__)

PROBE_ROWS = 512


@dataclass(frozen=True)
class Feature:
    """A feature as the network's encoding sees it: a raw input, or a result of features.py."""

    name: str
    dtype: str  # float64 or string
    kind: str  # numeric, categorical or text; drop: not used
    made: bool = False  # a result of features.py


class RowFeatures:
    """The row-level features of an app: those of its features.py, or the raw inputs as they are."""

    def __init__(
        self, inputs: Sequence[RawInput], module: AppModule | None, kinds: Mapping[str, str]
    ) -> None:
        self.inputs = list(inputs)
        self.module = module
        self.function = module.function("features", required=True) if module else None
        self.kinds = kinds
        self.features = [Feature(found.name, found.dtype, found.kind) for found in inputs]
        self._graph: Any = None

    @classmethod
    def load(cls, code: Path, inputs: Sequence[RawInput], kinds: Mapping[str, str]) -> "RowFeatures":
        """Load features.py from the code folder, if it is there.

        Raises:
            StepError: It raises while it is imported, or has no function `features`.
        """
        return cls(inputs, load(code, "features.py"), kinds)

    def compute(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the features of raw inputs of shape (n,); to be traced into a graph."""
        if self.function is None or self.module is None:
            return dict(raw)
        import tensorflow as tf

        graph = "" if tf.executing_eagerly() else ", as a graph: it must consist of TensorFlow ops"
        with self.module.blaming(f"features(inputs){graph}"):
            made = self.function(dict(raw))
        return self._merge(raw, made)

    def __call__(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the features of a block of rows, from the same graph that is exported."""
        if self.function is None:
            return dict(raw)
        if self._graph is None:
            import tensorflow as tf

            self._graph = tf.function(self.compute, autograph=False, reduce_retracing=True)
        assert self.module is not None
        with self.module.blaming("features(inputs)"):
            return self._graph(dict(raw))

    def probe(self, raw: Mapping[str, Any]) -> None:
        """Run features.py once, eagerly, on some rows, and learn from that which features there are.

        Raises:
            StepError: It raises, returns something else than a dict of tensors of shape (n,), or what
                it returns for a row depends on the other rows.
        """
        if self.function is None or self.module is None:
            return
        some = {name: tensor[:PROBE_ROWS] for name, tensor in raw.items()}
        together = self.compute(some)
        alone = self.compute({name: tensor[:1] for name, tensor in some.items()})
        for name, tensor in together.items():
            if name not in alone or not _same(tensor[:1].numpy(), alone[name].numpy()):
                raise StepError(
                    f"{self.module.file}: the feature {name!r} of a row changes with the other rows; "
                    "features work on each row alone (no mean, rank or total over the rows)"
                )
        before = {found.name: found for found in self.inputs}
        self.features = []
        for name, tensor in together.items():
            made = name not in some or tensor is not some[name]
            self.features.append(self._feature(name, tensor, before.get(name), made))

    def check(self, raw: Mapping[str, Any], features: Mapping[str, Any]) -> None:
        """Look for numbers that features.py should not have returned for these rows.

        Raises:
            StepError: A result is infinite, or NaN in a row that has all its inputs.
        """
        if self.module is None:
            return
        complete: np.ndarray | None = None
        for feature in self.features:
            if not feature.made or feature.dtype == "string":
                continue
            if complete is None:
                complete = _complete(raw)
            values = features[feature.name].numpy()
            wrong = {
                "infinite": np.isinf(values) & complete,
                "NaN": np.isnan(values) & complete,
            }
            for word, rows in wrong.items():
                if rows.any():
                    raise StepError(
                        f"{self.module.file}: the feature {feature.name!r} is {word} in {int(rows.sum())} of "
                        f"{len(rows)} rows that have all their inputs; "
                        "guard the division or logarithm (tf.where, tf.math.divide_no_nan, tf.math.log1p)"
                    )

    def _merge(self, raw: Mapping[str, Any], made: Any) -> dict[str, Any]:
        import tensorflow as tf

        assert self.module is not None
        where = f"{self.module.file}: features(inputs)"
        if not isinstance(made, Mapping):
            raise StepError(
                f"{where} returned a {type(made).__name__}, expected a dict of tensors by feature"
            )
        merged = dict(raw)
        rows = tf.shape(next(iter(raw.values())))[0]
        for name, value in made.items():
            if not isinstance(name, str):
                raise StepError(f"{where} returned the key {name!r}, expected the name of a feature")
            if value is None:
                merged.pop(name, None)
                continue
            if value is raw.get(name):
                continue
            try:
                tensor = tf.convert_to_tensor(value)
            except (ValueError, TypeError) as error:
                raise StepError(
                    f"{where} returned {name!r} as a {type(value).__name__}, no tensor"
                ) from error
            if tensor.shape.rank != 1 or (tf.executing_eagerly() and tensor.shape[0] != int(rows)):
                expected = f"({int(rows)},)" if tf.executing_eagerly() else "(n,)"
                raise StepError(
                    f"{where} returned {name!r} with the shape {tuple(tensor.shape)}, "
                    f"expected {expected}: one value for each row"
                )
            merged[name] = _plain(tensor, where, name)
        if not merged:
            raise StepError(f"{where} took all features away")
        return merged

    def _feature(self, name: str, tensor: Any, before: RawInput | None, made: bool) -> Feature:
        dtype = "string" if tensor.dtype.name == "string" else "float64"
        if before is not None and before.dtype == dtype:
            kind = before.kind
        else:
            kind = "categorical" if dtype == "string" else "numeric"
        kind = self.kinds.get(name, kind)
        if dtype == "string" and kind == "numeric":
            raise StepError(f"model.kinds: {name!r} is text and cannot be numeric")
        assert kind in KINDS
        return Feature(name, dtype, kind, made)


def _plain(tensor: Any, where: str, name: str) -> Any:
    """Return numbers and booleans as float64, strings as they are."""
    import tensorflow as tf

    if tensor.dtype == tf.string:
        return tensor
    if tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool:
        return tf.cast(tensor, tf.float64)
    raise StepError(
        f"{where} returned {name!r} as {tensor.dtype.name}, expected numbers, booleans or strings"
    )


def _complete(raw: Mapping[str, Any]) -> np.ndarray:
    """Return which rows have a value, and no infinite one, in every raw input."""
    complete: Any = True
    for tensor in raw.values():
        values = tensor.numpy()
        complete &= np.isfinite(values) if values.dtype.kind == "f" else values != b""
    return np.asarray(complete)


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    if left.dtype.kind != "f":
        return bool((left == right).all())
    return bool(np.allclose(left, right, rtol=1e-9, atol=0, equal_nan=True))
