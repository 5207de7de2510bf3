"""The pipeline batch_prediction, delivered and scheduled like training."""

import datetime
from pathlib import Path

from penstock.delivery import deliver
from penstock.environment_models import Environment, Schedule
from penstock.project import Project
from penstock.schedules.desired import SCHEDULE_TIME, desire

NOW = datetime.datetime(2026, 3, 5, tzinfo=datetime.UTC)


def test_delivery_takes_what_it_shares_with_training(
    project: Project, environment: Environment, lock: Path
) -> None:
    stage = environment.model_copy(update={"parameters": {"seed": 7, "rows_per_shard": 100_000}})
    made = deliver(project, stage, "batch_prediction", "taxi", lock_path=lock, publish=False)
    assert made.run_name.startswith("batch_prediction-taxi-")
    assert made.ir["pipelineInfo"]["name"] == "batch-prediction"
    assert made.arguments["rows_per_shard"] == 100_000
    assert made.arguments["source"].startswith(stage.pipeline_root)  # the local file goes along
    assert made.arguments["checkpoint_uri"] == f"{stage.pipeline_root}/checkpoints"
    assert "seed" not in made.arguments


def test_schedule_gives_each_run_its_window(project: Project, environment: Environment, lock: Path) -> None:
    schedule = Schedule(name="daily", pipeline="batch_prediction", app="taxi", cron="0 3 * * *", window="P1D")
    wanted = desire(project, environment, schedule, NOW, lock)
    found = {name: wanted.parameters[name] for name in ("since", "until", "event_time")}
    assert found == {"since": "P1D", "until": SCHEDULE_TIME, "event_time": "trip_start_timestamp"}
