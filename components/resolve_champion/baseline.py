"""Finds the statistics that new data are compared with."""

import logging
from typing import NamedTuple

from penstock.components.model_registry.names import (
    FINGERPRINT,
    RUN_ID,
    STATISTICS_URI,
    TRAINED,
    UNTIL,
    WATERMARK,
    experiment_name,
)
from penstock.components.model_registry.places import can_be_fetched
from penstock.components.model_registry.store import Store, StoredRun, Version
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

CHAMPION, PREVIOUS_SPAN = "champion", "previous_span"
LOOK_BACK = 50  # runs; on more than these the data have not changed, or their statistics are gone


class Baseline(NamedTuple):
    """Statistics, and what they are for people; both empty when there are none."""

    name: str = ""
    uri: str = ""


def find_baseline(
    kind: str, store: Store, model: str, champion: Version | None, fingerprint: str
) -> Baseline:
    """Return the statistics to compare with.

    Args:
        kind: champion (the champion's training data) or previous_span (the last data, other than those of
            `fingerprint`, that a model was trained on; without such a run the champion's).
        store: The registry.
        model: Name of the registered model.
        champion: The live model, if there is one.
        fingerprint: Of the data at the source now.

    Raises:
        StepError: `kind` is neither of the two.
    """
    if kind not in (CHAMPION, PREVIOUS_SPAN):
        raise StepError(f"baseline is {kind!r}: it must be {CHAMPION!r} or {PREVIOUS_SPAN!r}")
    if kind == PREVIOUS_SPAN:
        for run in store.runs(
            experiment_name(model), {TRAINED: "true"}, LOOK_BACK, but_not={FINGERPRINT: fingerprint}
        ):
            uri = run.tags.get(STATISTICS_URI, "")
            if uri and can_be_fetched(uri):
                return Baseline(f"the run before ({_span(run)})", uri)
        log.info(
            "no earlier run on other data has its statistics still: compared with the champion's instead"
        )
    if champion is None:
        return Baseline()
    uri = champion.tags.get(STATISTICS_URI, "")
    if not uri:
        log.warning("champion version %d has no statistics: there is no baseline", champion.number)
        return Baseline()
    return Baseline(f"champion version {champion.number}", uri)


def _span(run: StoredRun) -> str:
    """Say which data a run saw, in two or three words."""
    if until := run.tags.get(UNTIL):
        return f"until {until}"
    if watermark := run.tags.get(WATERMARK):
        return f"up to {watermark}"
    return run.tags.get(RUN_ID, run.name)
