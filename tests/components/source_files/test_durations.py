import datetime

import pytest

from penstock.components.source_files.durations import before

END = datetime.datetime(2016, 3, 31, 6, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("duration", "start"),
    [
        ("P1D", "2016-03-30T06:00"),
        ("P365D", "2015-04-01T06:00"),
        ("P1Y", "2015-03-31T06:00"),
        ("P1M", "2016-02-29T06:00"),  # there is no 31 February
        ("P1Y1M", "2015-02-28T06:00"),
        ("P3M", "2015-12-31T06:00"),
        ("P2W", "2016-03-17T06:00"),
        ("PT6H", "2016-03-31T00:00"),
        ("P1DT1H30M1S", "2016-03-30T04:29:59"),
    ],
)
def test_a_window_begins_a_duration_before_its_end(duration, start):
    assert before(duration, END) == datetime.datetime.fromisoformat(start).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1", "1D", "P-1D", "-P1D", "P1.5D", "P1DT", "P1H", "p1d", "P1D "]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is no ISO 8601 duration, such as P365D"):
        before(text, END)


def test_a_duration_of_nothing_is_refused():
    with pytest.raises(ValueError, match="'P0D' is no time at all"):
        before("P0D", END)


@pytest.mark.parametrize("text", ["P2016Y", "P9999999Y", "P999999999999999D"])
def test_a_duration_beyond_the_calendar_is_refused(text):
    with pytest.raises(ValueError, match="leads before the year 1"):
        before(text, END)
