"""Runs inside a stack: imports what a step will need, waits for its input, then is that step.

    python -m penstock.local.warm_start penstock.components.train_model.step READY < request

The request is one line of JSON: `arguments` of the step, and `log`, the file for its output. READY is
created when the imports are done. A step says what to import ahead by a function `warm_up` beside `run`.
"""

import contextlib
import importlib
import json
import os
import runpy
import sys
import warnings


def main() -> None:
    """Warm up, wait, run."""
    module, ready = sys.argv[1:]
    with contextlib.suppress(Exception):  # the step itself will say what is wrong, in its log
        importlib.import_module(module).warm_up()
    with open(ready, "w"):  # noqa: PTH123 - without pathlib, which the step may not need
        pass
    line = sys.stdin.readline()
    if not line:
        return  # nobody needs it
    request = json.loads(line)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = [module, *request["arguments"]]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*found in sys.modules.*", category=RuntimeWarning)
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
