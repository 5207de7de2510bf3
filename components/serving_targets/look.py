"""Prints an endpoint's state and its changes as one line of JSON.

    python -m penstock.components.serving_targets.look --target JSON --endpoint NAME

Runs in the control stack, which holds the clients of the targets; the command line has none.
"""

import argparse
import dataclasses
import json
import sys

from penstock.components.serving_targets.opening import open_target
from penstock.components.step_io.errors import StepError


def main(arguments: list[str]) -> int:
    """Print {"state": {…}, "changes": […]}; a sentence on stderr and 2 when the target cannot be asked."""
    parser = argparse.ArgumentParser(description="Look at an endpoint.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--endpoint", required=True)
    given = parser.parse_args(arguments)
    try:
        target = open_target(json.loads(given.target), given.endpoint)
        state, changes = target.state(), target.history()
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    found = {
        "state": dataclasses.asdict(state),
        "changes": [dataclasses.asdict(change) for change in changes],
    }
    print(json.dumps(found, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
