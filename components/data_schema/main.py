"""Works on schemas as a process of the tfdv stack, for `penstock schema`.

    python -m penstock.components.data_schema.main infer --statistics FOLDER --output FILE
    python -m penstock.components.data_schema.main check FILE [--column NAME ...]
    python -m penstock.components.data_schema.main diff OLD NEW [--json]

Results go to stdout; what is wrong is one sentence a line on stderr, with exit code 2.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.components.data_schema.checks import faults_of, located
from penstock.components.data_schema.difference import diff_schemas
from penstock.components.data_schema.schema_text import (
    lines_of_features,
    read_schema,
    schema_text,
    write_text,
)
from penstock.components.step_io.errors import StepError


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    parser = argparse.ArgumentParser(prog="data_schema")
    commands = parser.add_subparsers(dest="command", required=True)
    infer = commands.add_parser("infer")
    infer.add_argument("--statistics", type=Path, required=True)
    infer.add_argument("--output", type=Path, required=True)
    infer.add_argument("--event-time", default="")
    check = commands.add_parser("check")
    check.add_argument("schema", type=Path)
    check.add_argument("--name", default="")
    check.add_argument("--column", action="append", default=[])
    diff = commands.add_parser("diff")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        if given.command == "infer":
            return _infer(given.statistics, given.output, given.event_time)
        if given.command == "check":
            return _check(given.schema, given.name or str(given.schema), given.column)
        return _diff(given.old, given.new, given.json)
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _infer(statistics: Path, output: Path, event_time: str) -> int:
    from penstock.components.data_schema.draft import HEAD, draft_schema
    from penstock.components.tfdv_library.summary import read_statistics

    dataset = read_statistics(statistics)[0]
    draft = draft_schema(dataset, event_time)
    write_text(output, schema_text(draft.schema, HEAD, draft.comments))
    guesses = sum(len(lines) for lines in draft.comments.values())
    print(f"{len(draft.schema.feature)} columns of {dataset.rows:,} rows, {guesses} comments to review")
    return 0


def _check(path: Path, name: str, columns: Sequence[str]) -> int:
    schema = read_schema(path, name)
    faults = faults_of(schema)
    known = [feature.name for feature in schema.feature]
    for column in columns:
        if column not in known:
            near = difflib.get_close_matches(column, known, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else ""
            faults.append(("", f"the column {column!r} of app.yaml is no feature of it{advice}"))
    lines = lines_of_features(path)
    for feature, fault in faults:
        print(located(name, lines, feature, fault), file=sys.stderr)
    if faults:
        return StepError.exit_code
    print(f"{name}: {len(known)} features, nothing wrong")
    return 0


def _diff(old: Path, new: Path, as_json: bool) -> int:
    changes = diff_schemas(read_schema(old), read_schema(new))
    if as_json:
        print(json.dumps([change.as_dict() for change in changes], ensure_ascii=False, indent=2))
        return 0
    if not changes:
        print("the schemas say the same")
    for change in changes:
        sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
        print(f"{sign} {change.feature}: {change.sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
