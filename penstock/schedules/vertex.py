"""What a schedule becomes on Vertex AI (PipelineJobSchedule); sending it is not part of this version."""

import json
from collections.abc import Iterator
from typing import Any

from penstock.environment_models import Environment
from penstock.schedules.cron import parse_cron


def vertex_schedules(environment: Environment) -> list[dict[str, Any]]:
    """Return what would be sent for each schedule of an environment on Vertex AI."""
    return [
        {
            "name": schedule.name,
            "pipeline": schedule.pipeline,
            "app": schedule.app,
            "cron": parse_cron(schedule.cron).for_vertex(schedule.time_zone),
            "max_concurrent_run_count": schedule.max_concurrency,
            "start": schedule.start,
            "end": schedule.end,
            "window": schedule.window,
            "paused": not schedule.enabled,
        }
        for schedule in environment.schedules
    ]


def vertex_lines(environment: Environment) -> Iterator[str]:
    """Yield it for people."""
    for one in vertex_schedules(environment):
        yield f"{one.pop('name')}: {one.pop('pipeline')} of {one.pop('app')}"
        yield from (
            f"    {key}: {str(value).lower() if value is True else value}"
            for key, value in one.items()
            if value
        )
    yield (
        f"the environment {environment.name} is on Vertex AI Pipelines, to which this version does not submit yet: "
        "nothing was compared"
    )


def vertex_json(environment: Environment) -> str:
    """Return it for programs."""
    told = {"environment": environment.name, "applied": False, "schedules": vertex_schedules(environment)}
    return json.dumps(told, indent=1, ensure_ascii=False)
