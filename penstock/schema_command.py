"""The commands `penstock schema infer|check|diff`: the work is done by steps, as processes of their stacks."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import UserError

app = typer.Typer(
    help="Draft, check and compare schemas: what the data must look like.", no_args_is_help=True
)

AppOption = Annotated[
    str, typer.Option("--app", metavar="NAME", help="An app: its data, and its schema.pbtxt.")
]
SourceOption = Annotated[
    str, typer.Option("--source", metavar="FILE", help="File, glob, directory or URI, in place of the app's.")
]
QueryOption = Annotated[str, typer.Option("--query", help="SQL (DuckDB) over the table `source`.")]
FormatOption = Annotated[str, typer.Option("--format", help="auto (by file name), csv, jsonl or parquet.")]


@app.command("infer")
def infer(
    app_name: AppOption = "",
    source: SourceOption = "",
    query: QueryOption = "",
    format_: FormatOption = "",
    output: Annotated[
        str, typer.Option("--output", metavar="FILE", help="Where it goes; default: the app's schema.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Draft a schema from data, with comments on what was guessed. Review it, then commit it.

    Example: penstock schema infer --app churn
    """
    from penstock.project import find_project
    from penstock.schema_data import data_of, draft

    project = find_project()
    data = data_of(project, app_name, source, query, format_, with_schema=False)
    if not output and data.schema_path is None:
        raise UserError("say where the schema goes: --output FILE, or --app NAME")
    path = Path(output) if output else data.schema_path
    assert path is not None
    if path.exists() and not force:
        raise UserError(f"{path} is there already: --force overwrites it, --output FILE writes beside it")
    summary = draft(project, data, path, _tell)
    typer.echo(f"wrote {_relative(path)}: {summary}")
    typer.echo("Next, review it, then check everything:")
    typer.echo(f"  penstock schema check {f'--app {app_name}' if app_name and not output else path}")


@app.command("check")
def check(
    schema: Annotated[
        str, typer.Argument(metavar="[SCHEMA]", help="A schema.pbtxt; default: the app's.")
    ] = "",
    app_name: AppOption = "",
    source: SourceOption = "",
    query: QueryOption = "",
    format_: FormatOption = "",
    data: Annotated[bool, typer.Option(help="Hold the data against it as well.")] = True,
) -> None:
    """Check that a schema makes sense, and that the data of an app or a file fit it.

    Exit code 0: all is well; 2: the schema or the data cannot be read; 3: the data do not fit.

    Example: penstock schema check --app taxi
    """
    from penstock.project import find_project
    from penstock.schema_data import check_schema, data_of, hold_against

    project = find_project()
    if not schema and not app_name:
        raise UserError("say which schema: its file, or --app NAME")
    found = None
    if app_name or source:
        found = data_of(project, app_name, source, query, format_, with_schema=not schema)
    path = Path(schema) if schema else found.schema_path if found else None
    assert path is not None
    typer.echo(check_schema(path, _relative(path)))
    if found is None or not data:
        return
    outcome = hold_against(project, found, path, _tell)
    if outcome.verdict == "pass":
        typer.echo(f"{outcome.rows:,} rows of {_relative(found.source)} fit it")
        return
    count = len(outcome.reasons)
    typer.echo(
        f"{outcome.rows:,} rows of {_relative(found.source)}, {count} finding{'s' if count > 1 else ''}:"
    )
    for reason in outcome.reasons:
        typer.echo(f"- {reason}")
    if outcome.verdict == "block":
        raise typer.Exit(3)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A schema.pbtxt.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell what changed from one schema to another, feature by feature.

    Example: penstock schema diff apps/taxi/schema.pbtxt draft.pbtxt
    """
    import json

    from penstock.schema_data import read_both

    changes = read_both(old, new)
    if as_json:
        typer.echo(json.dumps([change.as_dict() for change in changes], ensure_ascii=False, indent=2))
        return
    if not changes:
        typer.echo("the schemas say the same")
    for change in changes:
        sign = {"added": "+", "removed": "-", "changed": "~"}[change.kind]
        typer.echo(f"{sign} {change.feature}: {change.sentence}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _relative(path: Path | str) -> str:
    """Return a path from the working directory, where it lies inside."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd())) if "://" not in str(path) else str(path)
    except ValueError:
        return str(path)
