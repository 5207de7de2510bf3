from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from penstock.components.data_schema.checks import faults_of
from penstock.components.data_schema.draft import Draft, draft_schema
from tests.components.compute_statistics.tables import describe

ROWS = 400


def draft_of(
    folder: Path, values: object, name: str = "x", event_time: str = ""
) -> tuple[Draft, schema_pb2.Feature]:
    draft = draft_schema(describe(folder / "data", {name: values})[0], event_time)
    assert faults_of(draft.schema) == []
    return draft, draft.schema.feature[0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], schema_pb2.BYTES),
        ([1, 2], schema_pb2.INT),
        ([1.5, 2.0], schema_pb2.FLOAT),
        ([True, False], schema_pb2.INT),
    ],
)
def test_types(tmp_path: Path, values: list[object], kind: int) -> None:
    assert draft_of(tmp_path, values)[1].type == kind


def test_a_column_without_missing_values_is_required(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [1.0, 2.0])
    assert (feature.presence.min_fraction, feature.presence.min_count) == (1.0, 1)


def test_a_column_with_missing_values_gets_slack(tmp_path: Path) -> None:
    values = pa.array(np.arange(ROWS) + 0.5, mask=np.arange(ROWS) % 5 == 0)  # a fifth is missing
    _, feature = draft_of(tmp_path, values)
    assert feature.presence.min_fraction == pytest.approx(0.74)  # 0.8 - 3 sqrt(0.8 * 0.2 / 400)


def test_a_column_that_is_nearly_empty_is_optional(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [1.0] + [None] * 99)
    assert not feature.HasField("presence")


def test_a_column_without_values_is_a_guess(tmp_path: Path) -> None:
    draft, feature = draft_of(tmp_path, pa.array([None] * 5, pa.string()))
    assert not feature.HasField("presence")
    assert draft.comments["x"] == [
        "no row has a value: the type is a guess, and so is whether the column is needed"
    ]


def test_a_few_texts_are_the_only_ones_allowed(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, ["yes", "no"] * 50)
    assert list(feature.string_domain.value) == ["no", "yes"]
    assert not feature.HasField("distribution_constraints")


def test_many_texts_leave_room_for_a_new_one(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [f"shop {i % 40}" for i in range(ROWS)])
    assert len(feature.string_domain.value) == 40
    assert feature.distribution_constraints.min_domain_mass == 0.99


def test_texts_seen_once_leave_more_room(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, ["Rom"] * 95 + ["Ulm", "Bonn"])
    assert feature.distribution_constraints.min_domain_mass == pytest.approx(0.93)  # 1 - 3 * 2 / 97


def test_identifiers_get_no_domain_and_no_drift(tmp_path: Path) -> None:
    draft, feature = draft_of(tmp_path, [f"id-{i}" for i in range(ROWS)])
    assert not feature.HasField("string_domain")
    assert list(feature.annotation.tag) == ["no_drift"]
    assert draft.comments["x"] == [
        "different in nearly every row, like an identifier: leave it out of the model's features"
    ]


def test_sentences_are_natural_language(tmp_path: Path) -> None:
    texts = [f"the driver number {i} was very friendly and quick" for i in range(ROWS)]
    assert draft_of(tmp_path, texts)[1].HasField("natural_language_domain")


def test_zero_and_one_are_no_and_yes(tmp_path: Path) -> None:
    assert draft_of(tmp_path, [0, 1] * 50)[1].WhichOneof("domain_info") == "bool_domain"


def test_truth_values_are_truth_values(tmp_path: Path) -> None:
    assert draft_of(tmp_path, [True, False, True])[1].WhichOneof("domain_info") == "bool_domain"


@pytest.mark.parametrize(
    ("name", "different", "categorical"),
    [
        ("weekday", 7, True),
        ("wing", 7, True),
        ("number_of_children", 7, False),
        ("pickup_area", 60, True),
        ("distance", 60, False),
        ("pickup_area", 300, False),
    ],
)
def test_few_whole_numbers_are_categories(
    tmp_path: Path, name: str, different: int, categorical: bool
) -> None:
    _, feature = draft_of(tmp_path, [i % different for i in range(5 * different)], name)
    assert feature.int_domain.is_categorical == categorical


def test_the_event_time_does_not_drift(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [1_400_000_000, 1_400_000_900], "started", event_time="started")
    assert list(feature.annotation.tag) == ["no_drift"]


def test_numbers_that_look_like_a_time_do_not_drift(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [1_400_000_000 + 900 * (i % 200) for i in range(ROWS)], "created_at")
    assert list(feature.annotation.tag) == ["no_drift"]


def test_nan_is_refused_when_none_was_seen(tmp_path: Path) -> None:
    _, feature = draft_of(tmp_path, [1.5, 2.5])
    assert feature.float_domain.disallow_nan
    assert feature.float_domain.disallow_inf


def test_nan_is_allowed_when_some_were_seen(tmp_path: Path) -> None:
    draft, feature = draft_of(tmp_path, [1.5, float("nan"), float("inf")])
    assert not feature.float_domain.disallow_nan
    assert not feature.float_domain.disallow_inf
    assert draft.comments["x"] == [
        "1 values are NaN: better missing than NaN",
        "1 values are infinite",
        "one and the same value in all rows that have one",
    ]
