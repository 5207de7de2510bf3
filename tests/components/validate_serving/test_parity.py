"""What counts as training/serving skew."""

import math

import pytest

from penstock.components.validate_serving.parity import compare
from penstock.components.validate_serving.recorded import Recorded


def recorded(**offline):
    return Recorded([{} for _ in next(iter(offline.values()))], offline)


def test_equal_answers_pass():
    found = compare([{"score": 0.25, "label": "no"}], recorded(score=[0.25 + 1e-7], label=["no"]), 1e-5)
    assert (found.rows, found.differing, found.first) == (1, 0, "")
    assert found.largest == pytest.approx(1e-7)


def test_other_number_is_told_with_its_row():
    answers = [{"score": 0.25, "label": "no"}, {"score": 0.3, "label": "no"}]
    found = compare(answers, recorded(score=[0.25, 0.25], label=["no", "no"]), 1e-5)
    assert (found.differing, found.first) == (1, "row 1: score 0.3 instead of 0.25")


def test_other_label_counts_unless_it_is_a_tie():
    wrong = compare([{"score": 0.9, "label": "no"}], recorded(score=[0.9], label=["yes"]), 1e-5)
    assert wrong.differing == 1
    tie = compare([{"score": 0.5, "label": "no"}], recorded(score=[0.500001], label=["yes"]), 1e-5)
    assert tie.differing == 0


def test_multiclass_compares_each_probability():
    answer = {"probabilities": {"a": 0.2, "b": 0.3, "ñ c": 0.5}, "label": "ñ c"}
    offline = {"probability_a": [0.2], "probability_b": [0.3], "probability_ñ c": [0.5], "label": ["ñ c"]}
    assert compare([answer], recorded(**offline), 1e-5).differing == 0
    offline["probability_b"] = [0.31]
    assert "probability_b 0.3 instead of 0.31" in compare([answer], recorded(**offline), 1e-5).first


def test_large_regression_values_are_compared_relatively():
    assert compare([{"prediction": 1_000_001.0}], recorded(prediction=[1_000_000.0]), 1e-5).differing == 0
    assert compare([{"prediction": 1_000_100.0}], recorded(prediction=[1_000_000.0]), 1e-5).differing == 1


@pytest.mark.parametrize("value", [None, math.nan, "0.5", True])
def test_answer_that_is_no_number_differs(value):
    assert compare([{"score": value}], recorded(score=[1.0]), 0.5).differing == 1


def test_lost_answer_is_told():
    found = compare([], recorded(score=[0.5]), 1e-5)
    assert (found.differing, found.first) == (1, "1 rows were sent, 0 answers came")
