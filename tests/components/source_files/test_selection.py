import pytest

from penstock.components.source_files.selection import Selection, make_selection, parse_bound, to_iso
from penstock.components.step_io.errors import StepError

ALL = {"format": "auto", "query": "", "event_time": "t", "event_time_unit": "s", "since": "", "until": ""}


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("", None),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01 00:00:01.5Z", 1_500_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1969-12-31", -86_400_000_000),
    ],
)
def test_a_bound_is_a_date_or_a_time_in_utc_unless_it_has_a_zone(text, us):
    assert parse_bound("since", text) == us


@pytest.mark.parametrize(("us", "text"), [(0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000001Z")])
def test_times_are_written_in_iso_8601(us, text):
    assert to_iso(us) == text


def test_a_selection_is_normal():
    selection = make_selection(**ALL | {"query": " SELECT 1; ", "since": "1970-01-01"})
    assert selection == Selection("auto", "SELECT 1", "t", "s", 0, None)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"format": "xlsx"}, "format is 'xlsx': expected one of auto, csv, jsonl, parquet"),
        ({"event_time_unit": "min"}, "event_time_unit is 'min': expected one of s, ms, us, ns"),
        (
            {"since": "2015-13-01"},
            "since is '2015-13-01', which is no ISO 8601 date or time: "
            "write for instance 2015-01-31 or 2015-01-31T06:00:00Z",
        ),
        (
            {"until": "tomorrow"},
            "until is 'tomorrow', which is no ISO 8601 date or time: "
            "write for instance 2015-01-31 or 2015-01-31T06:00:00Z",
        ),
        (
            {"since": "2015-01-01", "until": "2015-01-01"},
            "since (2015-01-01) is not before until (2015-01-01): the window holds no time at all",
        ),
        (
            {"since": "2015-01-01", "event_time": ""},
            "since is '2015-01-01' but event_time is empty: name the column with the event time",
        ),
    ],
)
def test_wrong_settings(settings, sentence):
    with pytest.raises(StepError) as caught:
        make_selection(**ALL | settings)
    assert str(caught.value) == sentence
