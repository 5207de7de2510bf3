"""What a schedule becomes on Vertex AI (PipelineJobSchedule); sending it is not part of this version."""

from collections.abc import Iterator

from penstock.environment_models import Environment
from penstock.schedules.cron import parse_cron


def vertex_lines(environment: Environment) -> Iterator[str]:
    """Yield what would be sent for each schedule of an environment on Vertex AI."""
    for schedule in environment.schedules:
        yield f"{schedule.name}: {schedule.pipeline} of {schedule.app}"
        yield f"    cron: {parse_cron(schedule.cron).for_vertex(schedule.time_zone)}"
        yield f"    max_concurrent_run_count: {schedule.max_concurrency}"
        for key in ("start", "end", "window"):
            if value := getattr(schedule, key):
                yield f"    {key}: {value}"
        if not schedule.enabled:
            yield "    paused"
    yield (
        f"the environment {environment.name} is on Vertex AI Pipelines, to which this version does not submit yet: "
        "nothing was compared"
    )
