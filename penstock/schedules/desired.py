"""What an environment file declares, as the recurring runs that KFP should have.

    for schedule in environment.schedules:
        wanted = desire(project, environment, schedule, now)

A run's window is `since` before `until`, and `until` the time at which its schedule fired. KFP 2.14 puts a schedule's
time nowhere into the parameters of today's pipelines: its [[ScheduledTime]] works for its first version's only. But
each workflow that a schedule starts has the time as a label, and Argo puts labels in place wherever a workflow names
them. So `until` is that label's name after an @, which means seconds since 1970 to our steps. Where the label is
missing, KFP refuses the run (seen on 2.14.3): nothing runs with another window.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.environment_models import Environment, Schedule
from penstock.errors import UserError
from penstock.project import Project
from penstock.schedules.checks import to_moment
from penstock.schedules.cron import Cron, parse_cron
from penstock.schedules.zones import find_zone, translate
from penstock.serving_environment import account_of

if TYPE_CHECKING:
    from penstock.delivery import Delivery

SCHEDULE_TIME = "@{{workflow.labels.scheduledworkflows.kubeflow.org/workflowEpoch}}"
SOME_TIME = "@4102444800"  # stands for it while the other settings are checked: the year 2100
SECOND = datetime.timedelta(seconds=1)


@dataclass(frozen=True)
class Wanted:
    """A recurring run as it should be. Times are in UTC and None where there is no bound."""

    name: str
    cron: Cron  # in the zone in which it will be read
    zone: datetime.tzinfo  # that one
    catch_up: bool
    max_concurrency: int
    start: datetime.datetime | None
    end: datetime.datetime | None
    enabled: bool
    parameters: dict[str, Any]
    delivery: "Delivery"
    pipeline_root: str
    service_account: str

    def next_firing(self, now: datetime.datetime) -> datetime.datetime | None:
        """Return when it fires next, in UTC; None when it does not."""
        if not self.enabled:
            return None
        after = max(now, self.start - SECOND) if self.start else now
        firing = self.cron.after(after, self.zone)
        return firing if firing and (self.end is None or firing <= self.end) else None


def desire(
    project: Project,
    environment: Environment,
    schedule: Schedule,
    now: datetime.datetime,
    lock_path: Path | None = None,
) -> Wanted:
    """Return the recurring run that a schedule declares; nothing is sent.

    Args:
        project: The project.
        environment: Where it is to run.
        schedule: What is declared.
        now: The time.
        lock_path: The digests of the images; default: images.lock.json at the project's root.

    Raises:
        UserError: Its app, its parameters, the lock of images or the pipeline root is wrong.
    """
    from penstock.delivery import deliver

    overrides = dict(schedule.parameters)
    if schedule.window:
        overrides |= {"since": schedule.window, "until": SOME_TIME}
    try:
        delivery = deliver(
            project,
            environment,
            schedule.pipeline,
            schedule.app,
            overrides,
            lock_path=lock_path,
            publish=False,
        )
    except UserError as error:
        raise UserError(f"schedule {schedule.name}: {error}") from error
    zone = find_zone(schedule.time_zone)
    return Wanted(
        name=schedule.name,
        cron=translate(parse_cron(schedule.cron), schedule.time_zone, environment.cron_time_zone, now),
        zone=find_zone(environment.cron_time_zone),
        catch_up=schedule.catch_up,
        max_concurrency=schedule.max_concurrency,
        start=_utc(schedule.start, zone),
        end=_utc(schedule.end, zone),
        enabled=schedule.enabled,
        parameters={**delivery.arguments, **({"until": SCHEDULE_TIME} if schedule.window else {})},
        delivery=delivery,
        pipeline_root=environment.pipeline_root,
        service_account=account_of(environment, delivery.arguments),
    )


def _utc(text: str, zone: datetime.tzinfo) -> datetime.datetime | None:
    return to_moment(text, zone).astimezone(datetime.UTC).replace(microsecond=0) if text else None
