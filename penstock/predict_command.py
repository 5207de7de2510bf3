"""`penstock predict`: predictions for every row of a file, on this machine."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import UserError
from penstock.project import find_project


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict", short_help="Predict every row of a file on this machine.")(predict)


def predict(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the predictions go.")],
    app: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help="A folder in apps/, or a path.  [default: taxi, or the only app]"
        ),
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            metavar="ALIAS|VERSION|FOLDER", help="champion, another alias, a version, or a model's folder."
        ),
    ] = "champion",
    data: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File, glob, directory or URI.  [default: batch_prediction.source of app.yaml, or data.source]",
        ),
    ] = "",
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column that stands beside the predictions; may be given again.  [default: all that are no inputs]",
        ),
    ] = None,
    query: Annotated[
        str, typer.Option(help="SQL (DuckDB) over the table `source`.  [default: that of app.yaml]")
    ] = "",
    format_: Annotated[
        str, typer.Option("--format", help="auto (by file name), csv, jsonl or parquet.")
    ] = "",
    since: Annotated[str, typer.Option(help="Start of a window of data.event_time (included).")] = "",
    until: Annotated[str, typer.Option(help="End of the window (excluded).")] = "",
    max_unscored: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of the rows that may have no prediction.  [default: that of app.yaml]"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in FOLDER.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict every row of a file and write the predictions beside their keys, as Parquet shards.

    FOLDER appears as a whole: shards, manifest.json and report.html. After a kill the same command goes on with
    the first shard that had not been finished. A batch that must not be used goes to FOLDER.blocked instead.

    \b
    Examples:
      penstock predict --data new_trips.csv --out predictions
      penstock predict --app churn --model 3 --data 'customers/*.parquet' --key customer_id --out scored
    \b
    Exit codes:
      0    done
      1    a bug
      2    input or configuration cannot be read
      3    blocked: too many rows without a prediction, or a column that the model needs is absent
      130  Ctrl-C
    """
    from penstock.batch_prediction import Wanted, predict_here
    from penstock.run_command import default_app

    project = find_project()
    overrides: dict[str, object] = {
        "key": key,
        "query": query,
        "format": format_,
        "since": since,
        "until": until,
    }
    overrides |= {"source": data, "max_unscored": max_unscored}
    wanted = Wanted(
        app=app or default_app(project),
        model=model,
        out=out.expanduser().absolute(),
        overrides={name: value for name, value in overrides.items() if value not in (None, "", [])},
    )
    if wanted.out.exists() and not force:
        raise UserError(f"{out} is there already: --force replaces it")
    done = predict_here(project, wanted, lambda line: print(line, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(done.as_dict(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(done.lines()))
    raise typer.Exit(3 if done.verdict == "block" else 0)
