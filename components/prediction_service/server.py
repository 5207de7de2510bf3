"""The prediction service: one model over REST and gRPC, on KServe's model server.

python -m penstock.components.prediction_service.server --model-dir FOLDER --model-name taxi --model-version 3

Ports open when the model is loaded and warm. SIGTERM: not ready at once, still serving for --drain-s, then
no new requests, those in flight end (at most --grace-s), the request log is written out; exit code 0. A
second signal ends it at once. SIGHUP: loads what --model-dir names now and swaps, without a dropped request.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from penstock.components.prediction_service.settings import Settings
from penstock.components.step_io import logs
from penstock.components.step_io.errors import StepError

log = logging.getLogger("penstock.prediction_service")

LOG_END_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    logs.configure("prediction_service")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.argv = sys.argv[:1]  # KServe reads the command line as well, when it is imported
    try:
        settings = Settings.read(arguments)
        return serve(settings)
    except StepError as error:
        log.error("%s", error)
        return error.exit_code


def serve(settings: Settings) -> int:
    """Load the model and serve it until a signal comes.

    Raises:
        StepError: The model cannot be loaded, or a port is taken.
    """
    os.environ.setdefault("KSERVE_LOGLEVEL", "WARNING")
    from penstock.components.prediction_service.service import Service

    logs.configure("prediction_service")  # KServe's import configures logging of its own
    service = Service(settings)
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(service.run())
    finally:
        service.close(LOG_END_S)
    return 0


def on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, reload: asyncio.Event) -> None:
    """Set `stop` at SIGTERM and SIGINT, `reload` at SIGHUP; the second stop ends the process."""

    def end() -> None:
        if stop.is_set():
            log.warning("a second signal: requests in flight are dropped")
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reload.set)


if __name__ == "__main__":
    sys.exit(main())
