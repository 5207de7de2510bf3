"""The training loop: seeded, with early stopping on the validation loss, resumable after an interruption."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model import metrics
from penstock.components.tabular_model.app_code import AppModule
from penstock.components.tabular_model.encoding import tf
from penstock.components.tabular_model.examples import Examples, Rows
from penstock.components.tabular_model.label import Label
from penstock.components.tabular_model.network import Network

log = logging.getLogger(__name__)

CHUNK_ROWS = 16_384  # rows between two looks at the clock
PREDICT_ROWS = 8_192
CURVE_ROWS = 20_000  # training rows on which the curve of the primary metric is measured


class Diverged(StepError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Epoch:
    """What was measured after an epoch; NaN where it is undefined."""

    number: int  # from 1
    train_loss: float  # mean over the epoch, while the weights changed
    validation_loss: float
    train_primary: float
    validation_primary: float


@dataclass
class State:
    """All that training needs to go on from a point inside an epoch."""

    epoch: int = 0  # finished ones
    block: int = 0
    position: int = 0  # rows of the block that are done
    loss: float = 0.0  # weighted sum over the epoch so far
    weight: float = 0.0
    best_epoch: int = 0
    best_loss: float = float("inf")
    history: list[Epoch] = field(default_factory=list)
    variables: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)


class Checkpoints(Protocol):
    """Where states are kept; see checkpoints.py."""

    def load(self) -> State | None: ...

    def due(self) -> bool: ...

    def save(self, state: State) -> None: ...


@dataclass
class Trained:
    """A network with the weights of its best epoch."""

    network: Network
    history: list[Epoch]
    best_epoch: int

    @property
    def best(self) -> Epoch:
        return self.history[self.best_epoch - 1]


def train(
    examples: Examples,
    settings: Mapping[str, Any],
    seed: int,
    own: AppModule | None = None,
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train until the validation loss has not fallen for `patience` epochs; return the best epoch's weights.

    The same examples, settings and seed give the same weights, also when training was interrupted and
    went on from a checkpoint. Without validation rows all epochs are trained.

    Raises:
        Diverged: The loss is NaN or infinite.
        StepError: The app's model.py raises.
    """
    tf.keras.utils.set_random_seed(seed % 2**32)
    label = examples.label
    network = Network(examples.encoder, settings, label, examples.start, own)
    first = next(examples.train.blocks())
    network({name: code[:1] for name, code in first.codes.items()})
    loop = _Loop(network, label, settings)
    state = (checkpoints.load() if checkpoints else None) or State()
    if state.variables:
        loop.restore(state)
        log.info("going on after %d finished epochs", state.epoch)
    watched = bool(examples.validation.rows)
    curve = Rows(
        {name: code[:CURVE_ROWS] for name, code in first.codes.items()},
        first.target[:CURVE_ROWS],
        first.weight[:CURVE_ROWS],
    )
    while state.epoch < settings["epochs"]:
        if watched and state.epoch - state.best_epoch >= settings["patience"] and state.best:
            break
        _train_epoch(loop, examples, state, seed, checkpoints)
        done = Epoch(
            state.epoch + 1,
            state.loss / state.weight if state.weight else float("nan"),
            *_measure(loop, examples, curve, watched),
        )
        if watched and not np.isfinite(done.validation_loss):
            raise _diverged(examples, settings, own, done.validation_loss, done.number, "validation")
        judged = done.validation_loss if watched else -done.number
        if judged < state.best_loss:
            state.best_loss, state.best_epoch = judged, done.number
            state.best = [variable.numpy() for variable in network.variables]
        state.history.append(done)
        state.epoch, state.block, state.position, state.loss, state.weight = done.number, 0, 0, 0.0, 0.0
        if checkpoints and checkpoints.due():
            checkpoints.save(loop.captured(state))
        on_epoch(done)
    for variable, value in zip(network.variables, state.best, strict=True):
        variable.assign(value)
    return Trained(network, state.history, state.best_epoch)


def predict(network: Network, examples: Examples, blocks: Iterable[Rows]) -> np.ndarray:
    """Return P(positive), probabilities or values in the label's unit for encoded rows."""
    loop = getattr(network, "predictor", None) or _predictor(network)
    raw = np.concatenate(
        [loop(rows.codes).numpy() for rows in blocks] or [np.zeros((0, examples.label.outputs))]
    )
    return finish(examples, tf.constant(raw)).numpy()


def finish(examples: Examples, raw: Any) -> Any:
    """Return raw outputs as what a model gives: probabilities, or values in the label's unit."""
    if examples.label.task == "binary":
        return tf.sigmoid(raw[:, 0])
    if examples.label.task == "multiclass":
        return tf.nn.softmax(raw)
    values = tf.cast(raw[:, 0], tf.float64) * examples.scale.deviation + examples.scale.mean
    return tf.cast(values, tf.float32)


def losses(label: Label, target: Any, raw: Any) -> Any:
    """Return the loss of each row: log loss, or the squared error of the standardised value."""
    if label.task == "binary":
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=raw[:, 0])
    if label.task == "multiclass":
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=raw)
    return tf.square(raw[:, 0] - target)


class _Loop:
    """The steps of training as graphs."""

    def __init__(self, network: Network, label: Label, settings: Mapping[str, Any]) -> None:
        self.network, self.label, self.settings = network, label, settings
        rate = settings["learning_rate"]
        if settings["weight_decay"]:
            self.optimizer = tf.keras.optimizers.AdamW(rate, weight_decay=settings["weight_decay"])
        else:
            self.optimizer = tf.keras.optimizers.Adam(rate)
        self.optimizer.build(network.trainable_variables)
        self.step = tf.function(self._steps, autograph=False, reduce_retracing=True)
        self.predict = _predictor(network)

    def _steps(self, rows: tuple[Any, Any, Any], order: Any) -> tuple[Any, Any, Any]:
        """Take one gradient step per batch; return the sums of loss and weight and the batches done.

        It stops behind the first batch whose loss is not finite.
        """
        size = self.settings["batch_size"]
        total = tf.shape(order)[0]
        codes, target, weight = rows

        def unfinished(batch: Any, loss: Any, seen: Any) -> Any:
            return (batch * size < total) & tf.math.is_finite(loss)

        def one(batch: Any, loss: Any, seen: Any) -> tuple[Any, Any, Any]:
            picked = order[batch * size : (batch + 1) * size]
            some = {name: tf.gather(code, picked) for name, code in codes.items()}
            weights = tf.gather(weight, picked)
            with tf.GradientTape() as tape:
                raw = self.network(some, training=True)
                each = losses(self.label, tf.gather(target, picked), raw)
                summed = tf.reduce_sum(each * weights)
                mean = tf.math.divide_no_nan(summed, tf.reduce_sum(weights))
                mean += tf.add_n(self.network.losses) if self.network.losses else 0.0
            variables = self.network.trainable_variables
            self.optimizer.apply(tape.gradient(mean, variables), variables)
            return (
                batch + 1,
                loss + tf.cast(summed, tf.float64),
                seen + tf.cast(tf.reduce_sum(weights), tf.float64),
            )

        start = (tf.constant(0), tf.constant(0.0, tf.float64), tf.constant(0.0, tf.float64))
        batches, loss, seen = tf.while_loop(unfinished, one, start, parallel_iterations=1)
        return loss, seen, batches

    def captured(self, state: State) -> State:
        """Return the state with the values that all variables have now."""
        state.variables = [variable.numpy() for variable in self.network.variables]
        state.optimizer = [variable.numpy() for variable in self.optimizer.variables]
        return state

    def restore(self, state: State) -> None:
        """Give all variables the values that they had when the state was captured."""
        for variable, value in zip(self.network.variables, state.variables, strict=True):
            variable.assign(value)
        for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)


def _train_epoch(
    loop: _Loop, examples: Examples, state: State, seed: int, checkpoints: Checkpoints | None
) -> None:
    size = loop.settings["batch_size"]
    chunk = max(CHUNK_ROWS // size, 1) * size
    for number, (rows, order) in enumerate(examples.train.shuffled(seed, state.epoch)):
        if number < state.block:
            continue
        data = (rows.codes, rows.target, rows.weight)
        for at in range(state.position, len(order), chunk):
            loss, weight, batches = loop.step(data, tf.constant(order[at : at + chunk]))
            state.loss += float(loss)
            state.weight += float(weight)
            if not np.isfinite(state.loss):
                batch = at // size + int(batches)
                raise _diverged(
                    examples, loop.settings, loop.network.own, state.loss, state.epoch + 1, f"batch {batch}"
                )
            state.position = at + chunk
            if checkpoints and at + chunk < len(order) and checkpoints.due():
                checkpoints.save(loop.captured(state))
        state.block, state.position = number + 1, 0


def _measure(loop: _Loop, examples: Examples, curve: Rows, watched: bool) -> tuple[float, float, float]:
    """Return validation loss, and the primary metric on training and validation rows."""
    label = examples.label
    raw = loop.predict(curve.codes)
    train_primary = _primary(examples, raw, curve.target.numpy(), curve.weight.numpy())
    if not watched:
        return float("nan"), train_primary, float("nan")
    raws, targets, weights, loss = [], [], [], 0.0
    for rows in examples.validation.blocks():
        raw = loop.predict(rows.codes)
        each = losses(label, rows.target, raw).numpy().astype(np.float64)
        loss += float(np.sum(each * rows.weight.numpy()))
        raws.append(raw.numpy())
        targets.append(rows.target.numpy())
        weights.append(rows.weight.numpy())
    weight = np.concatenate(weights)
    total = float(weight.sum(dtype=np.float64)) or 1.0
    primary = _primary(examples, tf.constant(np.concatenate(raws)), np.concatenate(targets), weight)
    return loss / total, train_primary, primary


def _primary(examples: Examples, raw: Any, target: np.ndarray, weight: np.ndarray) -> float:
    predicted = finish(examples, raw).numpy()
    if examples.label.task == "regression":
        target = target.astype(np.float64) * examples.scale.deviation + examples.scale.mean
    return metrics.primary(examples.label, target, predicted, weight)


def _predictor(network: Network) -> Callable[[Mapping[str, Any]], Any]:
    """Return the network as a function of codes that keeps memory bounded however many rows come."""
    graph = tf.function(lambda codes: network(codes, training=False), autograph=False, reduce_retracing=True)

    def run(codes: Mapping[str, Any]) -> Any:
        rows = int(next(iter(codes.values())).shape[0])
        if rows <= PREDICT_ROWS:
            return graph(dict(codes))
        parts = [
            graph({name: code[at : at + PREDICT_ROWS] for name, code in codes.items()})
            for at in range(0, rows, PREDICT_ROWS)
        ]
        return tf.concat(parts, axis=0)

    network.predictor = run
    return run


def _diverged(
    examples: Examples,
    settings: Mapping[str, Any],
    own: AppModule | None,
    loss: float,
    epoch: int,
    where: str,
) -> Diverged:
    """Return the error of a loss that is no number, with the feature that is most likely its cause."""
    word = "NaN" if np.isnan(loss) else "infinite"
    text = f"the loss became {word} in epoch {epoch} ({where})"
    made = {feature.name for feature in examples.row_features.features if feature.made}
    if own is not None:
        text += f"; look first at the network of {own.file}"
    if examples.plan.numeric:
        farthest = max(examples.plan.numeric, key=lambda found: found.largest)
        origin = ", made by features.py" if farthest.name in made else ""
        text += (
            f"; the feature with the largest normalised magnitude is {farthest.name!r}{origin} "
            f"(up to {farthest.largest:.3g} standard deviations from its mean)"
        )
    return Diverged(
        f"{text}; lower model.learning_rate (now {settings['learning_rate']:g}) or fix the feature"
    )
