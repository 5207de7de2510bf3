"""The section `serving` of app.yaml."""

import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.validate_serving.settings import Settings, read_settings


def test_defaults_and_given_values():
    assert read_settings({}) == Settings()
    assert read_settings({"p99_ms": 20, "replayed_rows": 5.0}) == Settings(p99_ms=20.0, replayed_rows=5)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"p99": 3}, "'p99' is no setting; there are start_s"),
        ({"p99_ms": "fast"}, "serving.p99_ms is 'fast'; it must be a number"),
        ({"p99_ms": True}, "must be a number"),
        ({"rate": 0}, "must be more than 0"),
        ({"tolerance": -1}, "must be 0 or more"),
        ({"replayed_rows": 1.5}, "must be a whole number"),
        ({"p99_ms": float("nan")}, "must be a number"),
    ],
)
def test_wrong_setting_is_one_sentence(given, sentence):
    with pytest.raises(StepError, match=sentence):
        read_settings(given)
