"""Waits for the end of a run on KFP that somebody retried: KFP does not run its exit handler again."""

import logging
import time
from collections.abc import Callable

from penstock.components.notify.kfp_api import KfpApi
from penstock.components.notify.kfp_run import ENDED
from penstock.components.step_io.errors import StepError

log = logging.getLogger(__name__)

INTERVAL_S = 10.0
PATIENCE_S = 900.0  # without an answer


def wait_for_end(
    connect: Callable[[], KfpApi],
    run_id: str,
    limit_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the run has ended.

    Args:
        connect: Makes a connection; its limit on time is for one look.
        run_id: The run.
        limit_s: Seconds after which it is given up.
        sleep: For tests.

    Raises:
        StepError: It did not end in time, or the API gave no answer for long.
    """
    begun = heard = time.monotonic()
    log.info("waiting for the end of run %s", run_id)
    while True:
        try:
            state = connect().run(run_id).get("state")
            heard = time.monotonic()
        except StepError as error:
            if time.monotonic() - heard > PATIENCE_S:
                raise
            log.warning("%s: trying again", error)
            state = ""
        if state in ENDED:
            return
        if time.monotonic() - begun > limit_s:
            raise StepError(f"the run {run_id} has not ended in {limit_s:g} s: look at its page")
        sleep(INTERVAL_S)
