"""The page of a batch: whether it may be used, what the predictions are like, what the inputs held."""

from pathlib import Path

from penstock.components.html_report import charts
from penstock.components.html_report.numbers import number, share
from penstock.components.html_report.page import Cell, Column, Page
from penstock.components.predict_batch.distribution import Distribution
from penstock.components.predict_batch.judgement import Judgement
from penstock.components.predict_batch.scoring import Batch, Scored
from penstock.components.predict_batch.table import ROW

MOST_CLASSES = 30
MOST_INPUTS = 300


def write_report(
    path: Path, batch: Batch, scored: Scored, found: Distribution, judgement: Judgement, model: str
) -> None:
    """Write the page."""
    task = batch.model.task
    page = Page("Batch prediction", subtitle=f"{batch.model.label} ({task}), {scored.rows:,} rows")
    sentence = judgement.reasons[0] if judgement.reasons else "Every row has a prediction."
    page.verdict(judgement.verdict, f"{sentence[0].upper()}{sentence[1:]}")
    if len(judgement.reasons) > 1:
        page.list(judgement.reasons)
    page.facts(
        {
            "Rows": scored.rows,
            "With a prediction": scored.rows - scored.without,
            "Without": scored.without,
            "Model": model or batch.model.label,
            "Shards": len(scored.shards),
            "Size": f"{number(sum(entry['bytes'] for entry in scored.shards) / 1e6, 3)} MB",
        }
    )
    if found.values:
        page.heading("Predictions")
        _predictions(page, batch, found)
    if scored.unscored:
        page.heading("Rows without a prediction")
        page.table(
            ["Why", Column("Rows", numeric=True), Column("Share", numeric=True)],
            [[reason, count, share(count / scored.rows)] for reason, count in scored.unscored.items()],
            caption="The first reason of each row; its column `unscored` says it",
        )
    _inputs(page, batch, scored)
    page.heading("Columns")
    keys = ", ".join(batch.keys) or f"{ROW} (the row's place in the data, from 0)"
    page.table(
        ["Column", "Type"],
        [[field.name, str(field.type)] for field in batch.schema],
        caption=f"Keys: {keys}",
    )
    with page.details(f"{len(scored.shards)} shard{'' if len(scored.shards) == 1 else 's'}"):
        page.table(
            ["File", Column("Rows", numeric=True), Column("Bytes", numeric=True), "SHA-256"],
            [[e["file"], e["rows"], e["bytes"], e["sha256"][:16]] for e in scored.shards[:MOST_INPUTS]],
        )
    page.write(path)


def _predictions(page: Page, batch: Batch, found: Distribution) -> None:
    model = batch.model
    if found.counts:
        name = f"score: P({model.label} = {model.positive})" if model.task == "binary" else model.label
        title = "Score" if model.task == "binary" else "Prediction"
        page.figure(charts.histogram(found.edges, found.counts, title, name))
    if found.labels:
        order = sorted(found.labels.items(), key=lambda pair: -pair[1])
        shown = order[:MOST_CLASSES]
        title = "Rows by predicted class"
        page.figure(charts.bars([name for name, _ in shown], [count for _, count in shown], title))
        rows: list[list[Cell]] = []
        for name, count in order[:MOST_INPUTS]:
            mean = found.means.get(f"probability_{name}")
            if model.task == "binary":
                score = found.means["score"]
                mean = score if name == model.positive else 1 - score
            rows.append([name, count, share(count / found.values), mean])
        page.table(
            [
                "Class",
                Column("Rows", numeric=True),
                Column("Share", numeric=True),
                Column("Mean probability", numeric=True),
            ],
            rows,
            caption="Predicted classes"
            + (f", the first {MOST_INPUTS} of {len(order)}" if len(order) > MOST_INPUTS else ""),
        )
    if found.quantiles:
        name = next(iter(found.means))
        facts = {"mean": found.means[name], "standard deviation": found.deviation, "lowest": found.low}
        facts |= {f"{int(key[1:])} %": value for key, value in found.quantiles.items()}
        facts["highest"] = found.high
        page.table(
            ["Figure", Column("Value", numeric=True)],
            [[name, value] for name, value in facts.items()],
            caption=f"Figures of the {name}; the percentages are quantiles",
        )


def _inputs(page: Page, batch: Batch, scored: Scored) -> None:
    page.heading("Inputs")
    rows: list[list[Cell]] = []
    for found in batch.model.inputs[:MOST_INPUTS]:
        held = str(batch.types[found.name]) if found.name in batch.types else "no such column"
        missing = scored.missing.get(found.name)
        part = share(missing / scored.rows) if missing is not None and scored.rows else None
        needed = "in every row" if found.required else ""
        rows.append([found.name, found.type or found.dtype, held, needed, part])
    more = f", the first {MOST_INPUTS}" if len(batch.model.inputs) > MOST_INPUTS else ""
    page.table(
        ["Input", "Model takes", "Data hold", "Needed", Column("Missing", numeric=True)],
        rows,
        caption=f"The model's {len(batch.model.inputs)} inputs{more}",
    )
