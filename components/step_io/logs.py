"""Logging of a step: human text on a terminal, one JSON object per line elsewhere."""

import datetime
import json
import logging
import os
import sys


class JsonLines(logging.Formatter):
    """Formats a record as Cloud Logging and log collectors read it."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step = step

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "severity": record.levelname,
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(),
            "step": self.step,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(step: str) -> None:
    """Send our own log lines from INFO on, other libraries' from WARNING on, to stderr.

    PENSTOCK_LOG_FORMAT=text or json overrides the choice by terminal.
    """
    style = os.environ.get("PENSTOCK_LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(JsonLines(step))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for ours in ("penstock", "__main__"):  # a step that runs as a process is __main__
        logging.getLogger(ours).setLevel(logging.INFO)
