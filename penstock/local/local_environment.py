"""What manifests/environments/local.yaml says of runs on this machine."""

import os

from penstock.environment_models import NOTIFY_VARIABLE, Environment
from penstock.environments import environment_names, load_environment
from penstock.project import Project

LOCAL = "local"


def local_environment(project: Project) -> Environment:
    """Return the environment `local`; where the project has no such file, one that says nothing.

    Raises:
        AppError: The file is wrong.
    """
    if LOCAL not in environment_names(project):
        return Environment(name=LOCAL, backend="local")
    return load_environment(project, LOCAL)


def name_notifications(environment: Environment) -> None:
    """Let the step notify find its URLs, where the environment has them in a variable of another name."""
    if urls := os.environ.get(environment.notifications.variable):
        os.environ.setdefault(NOTIFY_VARIABLE, urls)
