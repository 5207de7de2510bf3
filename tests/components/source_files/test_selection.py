import pytest

from penstock.components.source_files.selection import Selection, fixed, make_selection, parse_bound, to_iso
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
        ("@86400", 86_400_000_000),
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


def test_a_window_may_begin_a_duration_before_its_end():
    selection = make_selection(**ALL | {"since": "P30D", "until": "@2678400"})  # 1970-02-01
    assert (selection.since_us, selection.until_us) == (86_400_000_000, 2_678_400_000_000)


@pytest.mark.parametrize(
    ("text", "us", "same"),
    [
        ("", None, ""),
        ("P30D", 86_400_000_000, "1970-01-02T00:00:00Z"),
        ("@86400", 86_400_000_000, "1970-01-02T00:00:00Z"),
        ("1970-01-02", 86_400_000_000, "1970-01-02"),
    ],
)
def test_a_bound_that_moves_is_fixed_and_others_stay_as_they_were_written(text, us, same):
    assert fixed(text, us) == same


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
            {"since": "P30D"},
            "since is 'P30D', a duration before until, but until is empty: set until, "
            "or write since as a date or time",
        ),
        (
            {"since": "P1X", "until": "2015-01-01"},
            "since: 'P1X' is no ISO 8601 duration, such as P365D, P1Y, P2W or PT6H",
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
