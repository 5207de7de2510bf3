"""Cron lines: what is read, what KFP and Vertex get, and when they fire."""

import datetime
import random
import zoneinfo

import pytest

from penstock.schedules.cron import parse_cron
from penstock.schedules.zones import find_zone, translate

UTC = datetime.UTC
NOW = datetime.datetime(2026, 11, 21, 14, 0, tzinfo=UTC)  # a Saturday
CHICAGO = zoneinfo.ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("line", "kfp"),
    [
        ("0 6 * * mon", "0 0 6 * * 1"),
        ("*/15 * * * *", "0 */15 * * * *"),
        ("5/20 0-4 1,15 * *", "0 5-59/20 0-4 1,15 * *"),
        ("0 0 * JAN-mar Sun", "0 0 0 * 1-3 0"),
        ("0 0 * * 7", "0 0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 0 * * 0,5,6"),
        ("0 0 * * mon-sun", "0 0 0 * * *"),
        ("0 0 * * fri-sun", "0 0 0 * * 0,5,6"),
        ("30 9 1-7 */3 *", "0 30 9 1-7 */3 *"),
        ("  0   6 * *  1-5 ", "0 0 6 * * 1-5"),
    ],
)
def test_five_fields_become_kfps_six_and_vertexs_five(line, kfp):
    assert parse_cron(line).for_kfp() == kfp
    assert parse_cron(line).for_vertex("America/Chicago") == f"TZ=America/Chicago {kfp[2:]}"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("0 6 * *", "'0 6 * *' has 4 fields, expected five: minute, hour, day of month, month, day of week"),
        (
            "0 0 6 * * mon",
            "'0 0 6 * * mon' has six fields, expected five (minute, hour, day of month, month, day of week): "
            "there are no seconds",
        ),
        ("@daily", "'@daily' is no cron line, expected five fields: write '0 0 * * *'"),
        ("@every 1h", "'@every 1h' is no cron line, expected five fields such as '0 6 * * mon'"),
        (
            "TZ=UTC 0 6 * * *",
            "'TZ=UTC 0 6 * * *' holds a zone: put it under `time_zone`, and five fields here",
        ),
        ("61 * * * *", "'61' is out of range as minute: expected 0 to 59"),
        ("0 6 0 * *", "'0' is out of range as day of month: expected 1 to 31"),
        (
            "0 6 * * mon-fry",
            "'fry' is no day of week: expected sun, mon, tue, wed, thu, fri, sat or a number",
        ),
        ("a * * * *", "'a' is no minute: expected a number"),
        (
            "0 6 ? * *",
            "'?' is a word of other crons as day of month: expected a number, a range 1-5, a list 1,3 or a step */2",
        ),
        (
            "1,,2 * * * *",
            "'' cannot be read as minute: expected a number, a range 1-5, a list 1,3 or a step */2",
        ),
        ("*/0 * * * *", "'*/0' steps by 0 as minute: expected 1 or more"),
        ("0 22-3 * * *", "'22-3' runs backwards as hour: write two ranges, such as 22-23,0-3"),
        ("0 0 31 2 *", "'0 0 31 2 *' never fires: no month of it has such a day"),
    ],
)
def test_what_is_no_cron_line_is_refused_with_its_sentence(line, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared whole
        parse_cron(line)
    assert str(caught.value) == sentence


def next_of(line, zone=UTC, count=4):
    found, moment = [], NOW
    for _ in range(count):
        moment = parse_cron(line).after(moment, zone)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


def test_firings_follow_the_fields():
    assert next_of("0 6 * * mon", count=2) == ["11-23 06:00", "11-30 06:00"]
    assert next_of("*/20 14 * * *") == ["11-21 14:20", "11-21 14:40", "11-22 14:00", "11-22 14:20"]
    assert next_of("0 0 29 2 *", count=1) == ["02-29 00:00"]


def test_either_day_fires_where_both_are_restricted():
    assert next_of("0 0 1 * mon", count=3) == ["11-23 00:00", "11-30 00:00", "12-01 00:00"]
    assert next_of("0 0 */10 * mon", count=2) == ["12-21 00:00", "01-11 00:00"]  # a star: both must agree


def test_the_last_firing_is_the_one_before():
    line = parse_cron("30 6 * * *")
    assert line.before(NOW, UTC) == datetime.datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
    exact = datetime.datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
    assert line.before(exact, UTC) == exact
    assert line.after(exact, UTC) == exact + datetime.timedelta(days=1)


def test_a_time_that_the_clock_skips_does_not_fire_and_one_that_it_repeats_fires_twice():
    def of(line, month, day):
        return [
            f"{one:%H:%M}" for one in parse_cron(line).firings_of(datetime.date(2026, month, day), CHICAGO)
        ]

    assert of("30 2 * * *", 3, 8) == []
    assert of("30 1 * * *", 11, 1) == ["06:30", "07:30"]
    assert of("30 6 * * *", 3, 8) == ["11:30"]
    assert of("30 6 * * *", 3, 7) == ["12:30"]


@pytest.mark.parametrize(
    ("line", "zone", "into", "there"),
    [
        ("0 6 * * mon", "Asia/Tokyo", "UTC", "0 21 * * 0"),
        ("0 20 * * sat", "America/Phoenix", "UTC", "0 3 * * 0"),
        ("30 6 * * *", "Asia/Kolkata", "UTC", "0 1 * * *"),
        ("*/30 * * * *", "Asia/Kolkata", "UTC", "*/30 * * * *"),
        ("0 6 1 * *", "Etc/UTC", "UTC", "0 6 1 * *"),
        ("0 6 1 * *", "Europe/Paris", "Europe/Berlin", "0 6 1 * *"),
        ("0 10 1 * *", "Asia/Tokyo", "UTC", "0 1 1 * *"),
        ("0 6 * * *", "America/Chicago", "America/Chicago", "0 6 * * *"),
        ("0 6 * * *", "America/New_York", "America/Chicago", None),  # for an hour on two days of a year
        ("0 6 * * *", "America/Chicago", "UTC", None),
        ("0 6 1 * *", "Asia/Tokyo", "UTC", None),
        ("15,50 6,12 * * *", "Asia/Kolkata", "UTC", None),  # no product of minutes and hours
    ],
)
def test_a_line_of_one_zone_is_rewritten_for_another_or_refused(line, zone, into, there):
    if there is None:
        with pytest.raises(ValueError, match=rf"cron lines are read in {into} \(`cron_time_zone`\)"):
            translate(parse_cron(line), zone, into, NOW)
    else:
        assert translate(parse_cron(line), zone, into, NOW).text == there


def test_a_rewritten_line_fires_at_the_same_moments():
    chosen = random.Random(4)
    rewritten = 0
    zones = ["Asia/Tokyo", "Asia/Kathmandu", "America/Phoenix", "Pacific/Kiritimati", "Pacific/Marquesas"]
    for _ in range(60):
        hours = ",".join(str(chosen.randrange(24)) for _ in range(chosen.randrange(1, 3)))
        weekday = chosen.choice(["*", str(chosen.randrange(7)), "1-5"])
        line = parse_cron(f"{chosen.randrange(60)} {hours} * * {weekday}")
        zone = chosen.choice(zones)
        try:
            there = translate(line, zone, "UTC", NOW)
        except ValueError:
            continue
        rewritten += 1
        moment = NOW
        for _ in range(10):
            expected = line.after(moment, zoneinfo.ZoneInfo(zone))
            assert there.after(moment, UTC) == expected, (line.text, zone, there.text)
            moment = expected
    assert rewritten > 30


def test_an_unknown_zone_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"'America/Chikago' is no IANA time zone.*'America/Chicago'"):
        find_zone("America/Chikago")


def test_a_machine_without_zones_says_what_to_install():
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=[])
    try:
        with pytest.raises(ValueError, match="has no time zones: install the package tzdata"):
            find_zone("America/Chicago")
        assert find_zone("UTC") is UTC
    finally:
        zoneinfo.reset_tzpath()
