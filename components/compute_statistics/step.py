from typing import NamedTuple

from penstock.components.step_io.artifacts import InputArtifact, OutputArtifact
from penstock.components.step_io.main import main


class Outputs(NamedTuple):
    rows: int


def run(
    dataset: InputArtifact,
    statistics: OutputArtifact,
    report: OutputArtifact,
    slices: list = [],  # noqa: B006 - the spec's default; never changed
    weight: str = "",
) -> Outputs:
    """Compute exact statistics of a dataset and draw them as a page."""
    from penstock.components.compute_statistics.computation import compute
    from penstock.components.compute_statistics.report import write_report
    from penstock.components.tfdv_library.summary import STATISTICS_FILE, summarize

    found = compute(dataset.path, slices, weight)
    statistics.path.mkdir(parents=True)
    (statistics.path / STATISTICS_FILE).write_bytes(found.SerializeToString(deterministic=True))
    datasets = [summarize(one) for one in found.datasets]
    write_report(datasets, report.path)
    statistics.metadata |= {"rows": datasets[0].rows, "columns": len(datasets[0].features)}
    return Outputs(datasets[0].rows)


if __name__ == "__main__":
    main(run)
