import pytest

from penstock.components.prediction_service.settings import Settings
from penstock.components.step_io.errors import StepError

MODEL = ["--model-dir", "/m"]


def test_command_line_wins_over_environment_and_vertex_over_both():
    environment = {"PENSTOCK_HTTP_PORT": "1", "PENSTOCK_GRPC_PORT": "2", "PENSTOCK_MODEL_CONTROL": "yes"}
    found = Settings.read([*MODEL, "--http-port", "3"], environment)
    assert (found.http_port, found.grpc_port, found.model_control) == (3, 2, True)
    found = Settings.read([*MODEL, "--http-port", "3"], {"AIP_HTTP_PORT": "4", "AIP_STORAGE_URI": "gs://b/m"})
    assert (found.http_port, found.model_dir) == (4, "gs://b/m")


def test_form_of_the_request_log_and_of_our_own_lines_have_different_variables():
    found = Settings.read(MODEL, {"PENSTOCK_LOG_FORMAT": "text", "PENSTOCK_REQUEST_LOG_FORMAT": "parquet"})
    assert found.log_format == "parquet"


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(StepError) as caught:
        Settings.read(["--log-format", "xml", "--max-rows", "0"], {"AIP_HEALTH_ROUTE": "health"})
    assert str(caught.value) == (
        "no model is named: give --model-dir (or PENSTOCK_MODEL_DIR, AIP_STORAGE_URI); "
        "--log-format is 'xml', expected one of jsonl, parquet, stdout, cloudevents; "
        "--max-rows is 0, expected 1 or more; health_route is 'health', expected a path (/…)"
    )


def test_cloud_events_need_a_url():
    with pytest.raises(StepError, match="CloudEvents need a URL"):
        Settings.read([*MODEL, "--log-format", "cloudevents", "--log-uri", "/logs"], {})
