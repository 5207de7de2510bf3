"""Drafts a schema from statistics, as a process of the tfdv stack.

    python -m penstock.components.data_schema.main infer --statistics FOLDER --output FILE

What was drafted is told on stdout; what is wrong in one sentence on stderr, with exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.components.data_schema.draft import HEAD, draft_schema
from penstock.components.data_schema.schema_text import schema_text, write_text
from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library.summary import read_statistics


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    parser = argparse.ArgumentParser(prog="data_schema")
    infer = parser.add_subparsers(dest="command", required=True).add_parser("infer")
    infer.add_argument("--statistics", type=Path, required=True)
    infer.add_argument("--output", type=Path, required=True)
    infer.add_argument("--event-time", default="")
    given = parser.parse_args(arguments)
    try:
        print(draft_into(given.output, given.statistics, given.event_time))
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def draft_into(output: Path, statistics: Path, event_time: str) -> str:
    """Write the draft and return what it holds, in a few words."""
    dataset = read_statistics(statistics)[0]
    draft = draft_schema(dataset, event_time)
    write_text(output, schema_text(draft.schema, HEAD, draft.comments))
    guesses = sum(len(lines) for lines in draft.comments.values())
    comments = "1 comment" if guesses == 1 else f"{guesses} comments"
    return f"{len(draft.schema.feature)} columns of {dataset.rows:,} rows, {comments} to review"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
