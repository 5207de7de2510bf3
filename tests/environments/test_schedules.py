"""The schedules of an environment file: what is refused, with its key and a sentence."""

from pathlib import Path

import pytest

from penstock.app_yaml import AppError
from penstock.environments import read_environment

KFP = """backend: kfp
host: http://kfp.example.com
pipeline_root: s3://bucket/penstock
images: registry.example.com/penstock
registry_uri: http://mlflow.example.com
"""
VERTEX = """backend: vertex
project: p
region: europe-west1
pipeline_root: gs://bucket/penstock
images: registry.example.com/penstock
registry_uri: http://mlflow.example.com
"""


def said(tmp_path: Path, schedule: str, more: str = "", base: str = KFP) -> str:
    path = tmp_path / "stage.yaml"
    path.write_text(f"{base}{more}schedules:\n  - {{name: a, app: taxi, {schedule}}}\n")
    try:
        read_environment(path, "stage.yaml")
    except AppError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ("cron: 0 6 * *", "schedules[0].cron: '0 6 * *' has 4 fields, expected five"),
        (
            "cron: 0 6 * * mon, time_zone: America/Chikago",
            "schedules[0].time_zone: 'America/Chikago' is no IANA",
        ),
        (
            "cron: 0 6 * * mon, time_zone: America/Chicago",
            "schedules[0].time_zone: cron lines are read in UTC (`cron_time_zone`), and the distance of America/Chicago",
        ),
        ("cron: 0 6 * * mon, start: tomorrow", "schedules[0].start: 'tomorrow' is no ISO 8601 date or time"),
        (
            "cron: 0 6 * * mon, start: 2026-01-02, end: 2026-01-01",
            "schedules[0].end: '2026-01-01' is not after start '2026-01-02': nothing would ever fire",
        ),
        ("cron: 0 6 * * mon, window: 30 days", "schedules[0].window: '30 days' is no ISO 8601 duration"),
        (
            "cron: 0 6 * * mon, window: P30D, parameters: {until: 2026-01-01}",
            "schedules[0].window: it sets since and until, and so does `parameters` (until): keep one",
        ),
        (
            "cron: 0 6 * * mon, parameters: {until: '[[ScheduledTime]]'}",
            "schedules[0].parameters.until: nothing is put in place of '[[ScheduledTime]]'",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_its_key(tmp_path, schedule, sentence):
    found = said(tmp_path, schedule)
    assert sentence in found
    assert found.count("\n") == 0


def test_all_faults_of_a_schedule_are_told_at_once(tmp_path):
    assert said(tmp_path, "cron: x, time_zone: y, window: z, end: w").count("\n") == 3


@pytest.mark.parametrize(
    ("schedule", "more"),
    [
        ("cron: 0 6 * * mon, window: P30D, parameters: {seed: 7}", ""),
        ("cron: 0 6 * * mon, time_zone: America/Chicago", "cron_time_zone: America/Chicago\n"),
        ("cron: 0 6 * * mon, time_zone: Asia/Tokyo", ""),
    ],
)
def test_a_schedule_that_can_be_is_taken(tmp_path, schedule, more):
    assert said(tmp_path, schedule, more) == ""


def test_vertex_takes_any_zone_since_its_cron_lines_hold_it(tmp_path):
    assert said(tmp_path, "cron: 0 6 * * mon, time_zone: America/Chicago", base=VERTEX) == ""


def test_an_unknown_zone_of_the_controller_is_refused(tmp_path):
    found = said(tmp_path, "cron: 0 6 * * mon", "cron_time_zone: Chicago\n")
    assert "cron_time_zone: 'Chicago' is no IANA time zone" in found
