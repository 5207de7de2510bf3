"""Judges a dataset: schema skew and value skew, and what they lead to."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.checks import load_schema
from penstock.components.data_schema.schema_text import SCHEMA_FILE
from penstock.components.step_io.errors import StepError
from penstock.components.tfdv_library.summary import Dataset, read_statistics
from penstock.components.validate_data.findings import Finding
from penstock.components.validate_data.library_check import find_what_only_tfdv_checks
from penstock.components.validate_data.offending import Shards
from penstock.components.validate_data.schema_skew import find_schema_skew
from penstock.components.validate_data.thresholds import read_thresholds
from penstock.components.validate_data.value_skew import Comparison, compare

log = logging.getLogger(__name__)

OFF, WARN, BLOCK = "off", "warn", "block"
MOST_REASONS = 20


@dataclass(frozen=True)
class Modes:
    """What skew leads to."""

    schema_skew: str = BLOCK
    value_skew: str = WARN
    min_rows: int = 100

    def check(self) -> None:
        """Refuse unknown modes.

        Raises:
            StepError: A mode is unknown, or min_rows is negative.
        """
        for name, value, allowed in (
            ("schema_skew", self.schema_skew, (OFF, WARN, BLOCK)),
            ("value_skew", self.value_skew, (OFF, WARN)),
        ):
            if value not in allowed:
                raise StepError(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
        if self.min_rows < 0:
            raise StepError(f"min_rows is {self.min_rows}, expected 0 or more")


@dataclass
class Judgement:
    """The result: findings worst first, the comparison with the baseline, the verdict."""

    data: Dataset
    schema: schema_pb2.Schema
    modes: Modes
    findings: list[Finding] = field(default_factory=list)
    comparison: Comparison | None = None
    baseline_name: str = ""
    baseline_rows: int = 0

    @property
    def verdict(self) -> str:
        """pass, warn or block."""
        if self.modes.schema_skew == BLOCK and any(found.severity == BLOCK for found in self.findings):
            return BLOCK
        return WARN if self.findings or self.drift == "drifted" else "pass"

    @property
    def drift(self) -> str:
        """none or drifted."""
        return "drifted" if self.comparison and self.comparison.drifted else "none"

    @property
    def reasons(self) -> list[str]:
        """A sentence for each finding, worst first, then for each drifted feature; the last counts the rest."""
        drifted = self.comparison.drifted if self.comparison else []
        sentences = [found.sentence for found in self.findings]
        sentences += [f"{drift.sentence} (drift from {self.baseline_name})" for drift in drifted]
        if len(sentences) <= MOST_REASONS:
            return sentences
        left = len(sentences) - MOST_REASONS + 1
        return [*sentences[: MOST_REASONS - 1], f"and {left} more findings: see the report"]

    @property
    def drifted_features(self) -> list[str]:
        """Names of the drifted features, worst first."""
        drifted = self.comparison.drifted if self.comparison else []
        return [drift.feature for drift in drifted[:MOST_REASONS]]


def judge(
    dataset: Path,
    statistics: Path,
    schema: Path,
    baseline: Path,
    baseline_name: str,
    modes: Modes,
    drift_thresholds: Mapping[str, Any],
) -> Judgement:
    """Compare a dataset's statistics with a schema and with a baseline.

    Args:
        dataset: Folder of Parquet shards; read only where the statistics do not tell enough.
        statistics: Folder with the dataset's statistics.
        schema: Folder with schema.pbtxt.
        baseline: Folder with the baseline's statistics; not looked at when `baseline_name` is empty.
        baseline_name: What the baseline is, for people.
        modes: What skew leads to.
        drift_thresholds: The setting `drift_thresholds`.

    Raises:
        StepError: A mode, a threshold, the schema or the statistics cannot be read.
    """
    modes.check()
    expected = load_schema(schema / SCHEMA_FILE, SCHEMA_FILE)
    thresholds = read_thresholds(drift_thresholds, [feature.name for feature in expected.feature])
    data = read_statistics(statistics)[0]
    shards = Shards(dataset)
    if shards.rows() != data.rows:
        raise StepError(
            f"the statistics tell of {data.rows:,} rows, the dataset has {shards.rows():,}: "
            "they are not of one run"
        )
    result = Judgement(data, expected, modes, baseline_name=baseline_name)
    if modes.schema_skew != OFF:
        result.findings = find_schema_skew(data, expected, shards, modes.min_rows)
        result.findings += find_what_only_tfdv_checks(data.proto, expected)
    if modes.value_skew != OFF and baseline_name:
        before = read_statistics(baseline)[0]
        result.baseline_rows = before.rows
        result.comparison = compare(data, before, expected, thresholds)
    log.info(
        "%d findings against %d features of the schema, %d of %d features drifted, verdict %s",
        len(result.findings),
        len(expected.feature),
        len(result.comparison.drifted) if result.comparison else 0,
        len(result.comparison.drifts) if result.comparison else 0,
        result.verdict,
    )
    return result
