"""Statistics of one dataset or slice: TFDV's own combiners, fed with batches and merged in a fixed order."""

from typing import Any

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.components.compute_statistics.arrow_lists import as_lists
from penstock.components.compute_statistics.value_counts import FEW_VALUES, MOST_COUNTED, ValueCounts
from penstock.components.tfdv_library import custom_statistics as custom
from penstock.components.tfdv_library.light_import import tfdv_module

basic_stats = tfdv_module("statistics.generators.basic_stats_generator")
top_k_stats = tfdv_module("statistics.generators.top_k_uniques_sketch_stats_generator")
example_weights = tfdv_module("utils.example_weight_map")

RANK_ERROR = 0.005  # of quantiles, as a share of the rows; TFDV's own default is 0.01
MOST_TEXTS = 1_000  # values of text listed by frequency; exact when there are no more
TOP_VALUES = 20
KMV_CELLS = 8_000_000  # bounds the memory of the sketches of very wide data
FEW_COLUMNS = 500  # up to here quantiles are kept by per cent, above by 5 per cent

Accumulator = tuple[Any, Any, dict[str, ValueCounts]]


class Combiner:
    """Makes, fills, merges and reads accumulators. All of them are made for the same columns."""

    def __init__(self, columns: pa.Schema, weight: str = "") -> None:
        weights = example_weights.ExampleWeightMap(weight or None)
        self._columns = columns
        few = len(columns) <= FEW_COLUMNS
        self._basic = basic_stats.BasicStatsGenerator(
            example_weight_map=weights,
            epsilon=RANK_ERROR,
            num_quantiles_histogram_buckets=10 if few else 2,  # each costs TFDV 0.4 ms for each column
        )
        self._top_k = top_k_stats.TopKUniquesSketchStatsGenerator(
            example_weight_map=weights,
            num_top_values=TOP_VALUES,
            num_rank_histogram_buckets=MOST_TEXTS,
            num_misragries_buckets=MOST_TEXTS + 24,
            num_kmv_buckets=int(np.clip(KMV_CELLS // max(len(columns), 1), 1024, 16_384)),
            length_counter_sampling_rate=-1.0,  # a Beam counter of lengths, drawn at random
        )
        self._quantiles = 100 if few else 20

    def empty(self) -> Accumulator:
        """Return the accumulator of no rows."""
        most = MOST_COUNTED if len(self._columns) <= FEW_COLUMNS else FEW_VALUES
        numbers = [field.name for field in self._columns if not pa.types.is_string(field.type)]
        counts = {name: ValueCounts(most) for name in numbers}
        return self._basic.create_accumulator(), self._top_k.create_accumulator(), counts

    def add(self, accumulator: Accumulator, batch: pa.RecordBatch) -> Accumulator:
        """Count the rows of a batch."""
        basic, top_k, counts = accumulator
        for name, counted in counts.items():
            counted.add(batch.column(batch.schema.get_field_index(name)))
        lists = as_lists(batch)
        with np.errstate(invalid="ignore"):  # the variance of infinite values is none
            basic = self._basic.add_input(basic, lists)
        return basic, self._top_k.add_input(top_k, lists), counts

    def merge(self, first: Accumulator, second: Accumulator) -> Accumulator:
        """Return the accumulator of the rows of both; the order matters to the last digit only."""
        for name, counted in first[2].items():
            counted.merge(second[2][name])
        with np.errstate(invalid="ignore"):
            basic = self._basic.merge_accumulators([first[0], second[0]])
        return basic, self._top_k.merge_accumulators([first[1], second[1]]), first[2]

    def compact(self, accumulator: Accumulator) -> Accumulator:
        """Return a smaller accumulator, to be sent to another process."""
        return self._basic.compact(accumulator[0]), self._top_k.compact(accumulator[1]), accumulator[2]

    def statistics(self, accumulator: Accumulator, name: str) -> statistics_pb2.DatasetFeatureStatistics:
        """Return the statistics of the rows counted; the accumulator cannot be used any more."""
        basic, top_k, counts = self.compact(accumulator)
        result = self._basic.extract_output(basic)
        result.name = name
        features = {feature.path.step[0]: feature for feature in result.features}
        for found in self._top_k.extract_output(top_k).features:
            feature = features[found.path.step[0]]
            found.ClearField("path")
            feature.MergeFrom(found)
        for path, partial in basic.items():
            column = path.steps()[0]
            feature = features[column]
            feature.custom_stats.append(
                custom.text(custom.COLUMN_TYPE, str(self._columns.field(column).type))
            )
            if column in counts:
                self._add_numbers(feature, partial.numeric_stats, counts[column])
        return result

    def _add_numbers(self, feature: Any, numeric: Any, counts: ValueCounts) -> None:
        """Add what TFDV does not tell of numbers: distinct values, infinite ones, fine quantiles."""
        feature.custom_stats.append(custom.number(custom.UNIQUE, counts.distinct()))
        if counts.infinite:
            feature.custom_stats.append(custom.number(custom.INFINITE, counts.infinite))
        listed = counts.worth_listing()
        if listed:
            feature.custom_stats.append(custom.values(custom.VALUES, listed))
        if np.isfinite(numeric.finite_min):
            found, weights = numeric.quantiles_summary.GetQuantilesAndCumulativeWeights(self._quantiles)
            feature.custom_stats.append(
                custom.quantiles(custom.QUANTILES, found.flatten().to_pylist(), weights.flatten().to_pylist())
            )
