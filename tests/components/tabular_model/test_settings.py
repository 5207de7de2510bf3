import pytest

from penstock.components.step_io.errors import StepError
from penstock.components.tabular_model.settings import (
    DEFAULTS,
    SETTINGS,
    TUNING,
    problems,
    resolve,
    resolve_tuning,
)


def test_defaults_lie_in_their_ranges():
    assert problems(DEFAULTS, SETTINGS, "model") == []
    assert problems({name: s.default for name, s in TUNING.items()}, TUNING, "tuning") == []


def test_best_parameters_override_settings_which_override_defaults():
    found = resolve({"dropout": 0.1, "epochs": 5}, {"dropout": 0.3})
    assert (found["dropout"], found["epochs"], found["batch_size"]) == (0.3, 5, 256)


def test_parameters_of_the_search_that_are_no_settings_reach_custom():
    assert resolve({"custom": {"depth": 1}}, {"depth": 2, "width": 3})["custom"] == {"depth": 2, "width": 3}


def test_numbers_get_their_declared_type():
    found = resolve({"epochs": 5.0, "dropout": 0})
    assert (type(found["epochs"]), type(found["dropout"])) == (int, float)


def test_all_faults_are_named_at_once():
    with pytest.raises(StepError) as error:
        resolve({"droput": 0.1, "batch_size": 0, "hidden_units": "64"})
    assert str(error.value) == (
        "model.droput is no setting; did you mean 'dropout'?; "
        "model.batch_size is 0, expected a whole number from 1 to 65536; "
        "model.hidden_units is '64', expected a list of whole numbers from 1 to 8192"
    )


def test_unknown_tuning_key_is_an_error():
    with pytest.raises(StepError, match=r"tuning.timeout is no setting; did you mean 'timeout_s'"):
        resolve_tuning({"timeout": 3})
