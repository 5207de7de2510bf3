import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from penstock.components.model_registry.run_account import RunAccount
from penstock.components.notify.channels import FILE_VARIABLE, URLS_VARIABLE, append_line, send
from penstock.components.notify.kfp_api import KfpApi
from penstock.components.notify.kfp_run import read_kfp_run
from penstock.components.notify.kfp_wait import wait_for_end
from penstock.components.notify.local_run import read_local_run
from penstock.components.notify.message import compose
from penstock.components.step_io.errors import StepError
from penstock.components.step_io.main import main

log = logging.getLogger("penstock.components.notify.step")  # __name__ is __main__ in the process

RUN_FOLDER = "PENSTOCK_RUN_DIR"
PUBLISH_S = 60.0
T = TypeVar("T")


def run(
    pipeline: str,
    app: str,
    run_id: str,
    registry_uri: str = "",
    wait_s: int = 0,
) -> None:
    """Tell people, then MLflow, how the run ended.

    KFP's own status of the run is not asked for: what it gives an exit handler is wrong.
    """
    account = attempt("the account of the run", lambda: read_account(pipeline, app, run_id, wait_s))
    if account is None:
        return
    message = compose(account)
    log.info("%s", message.text)
    if path := os.environ.get(FILE_VARIABLE):
        attempt("the file of notifications", lambda: append_line(Path(path), account, message))
    urls = os.environ.get(URLS_VARIABLE, "").split()
    if urls and not message.is_quiet:
        for fault in attempt("notifying", lambda: send(urls, message)) or []:
            log.error("%s", fault)
    attempt("the record of the run in MLflow", lambda: publish(registry_uri, account))


def read_account(pipeline: str, app: str, run_id: str, wait_s: int = 0) -> RunAccount:
    """Return the account of the run: from its folder, else from the KFP API, once it has ended."""
    if folder := os.environ.get(RUN_FOLDER):
        return read_local_run(Path(folder))
    if wait_s > 0:
        wait_for_end(KfpApi, run_id, wait_s)
    return read_kfp_run(KfpApi(), run_id, pipeline, app, ends_now=wait_s <= 0)


def publish(registry_uri: str, account: RunAccount) -> None:
    """Write the run to MLflow, for as long as that may take."""
    from penstock.components.model_registry.opening import open_store
    from penstock.components.model_registry.run_record import publish_run

    within(PUBLISH_S, lambda: publish_run(open_store(registry_uri), account))


def within(limit_s: float, call: Callable[[], object]) -> None:
    """Run `call` and raise what it raises; stop waiting when the time is over.

    Raises:
        StepError: It took too long.
    """
    raised: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise StepError(f"it was not done after {limit_s:g} s")
    if raised:
        raise raised[0]


def attempt(what: str, call: Callable[[], T]) -> T | None:
    """Return what `call` returns; log why not when it fails: the exit handler never fails a run."""
    try:
        return call()
    except StepError as error:
        log.error("%s: %s", what, error)
    except Exception:
        log.exception("%s: a bug in the step", what)
    return None


def warm_up() -> None:
    """Import what takes seconds: the local runner calls this while an earlier step is still at work."""
    from penstock.components.model_registry.opening import import_client

    import_client()


if __name__ == "__main__":
    main(run)
