"""What the types of an environment file cannot tell: keys that need one another, and values that look secret."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from penstock.app_yaml import Document, Fault
from penstock.environment_models import Environment
from penstock.schedules.checks import schedule_faults
from penstock.schedules.zones import find_zone
from penstock.serving_environment import foreign_keys, kind_of, tried_as_pod

NEEDED = {
    "local": (),
    "kfp": ("host", "pipeline_root", "images", "registry_uri"),
    "vertex": ("project", "region", "pipeline_root", "images", "registry_uri"),
}
ROOTS = {
    "local": ("",),
    "kfp": ("minio", "s3", "gs"),
    "vertex": ("gs",),
}
# Words in a variable's name that say: its value is no plain text.
SECRET_WORDS = re.compile(r"(?i)(SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|ACCESS_KEY|API_KEY|PRIVATE_KEY)")
MAY_BE_PLAIN = re.compile(r"(_FILE|_PATH|_VARIABLE|_NAME|_URI|_URL)$")


def faults_of(environment: Environment, document: Document) -> list[Fault]:
    """Return everything that is wrong with an environment whose types are right."""
    return [
        *_missing(environment, document),
        *_addresses(environment, document),
        *_auth(environment, document),
        *_secrets(environment, document),
        *_serving(environment, document),
        *_schedules(environment, document),
    ]


def _missing(environment: Environment, document: Document) -> Iterator[Fault]:
    for key in NEEDED[environment.backend]:
        if not getattr(environment, key):
            yield document.fault((key,), f"the backend {environment.backend} needs this key")


def _addresses(environment: Environment, document: Document) -> Iterator[Fault]:
    for path, url in ((("host",), environment.host), (("store", "endpoint"), environment.store.endpoint)):
        if url and urlsplit(url).scheme not in ("http", "https"):
            yield document.fault(path, f"{url!r} is no address, expected http://… or https://…")
    for path, url in (
        (("host",), environment.host),
        (("registry_uri",), environment.registry_uri),
        (("pipeline_root",), environment.pipeline_root),
        (("store", "endpoint"), environment.store.endpoint),
    ):
        if "@" in urlsplit(url).netloc:
            yield document.fault(
                path,
                "an address must not hold a user or password: give them by the name of a variable or secret",
            )
    root = environment.pipeline_root
    scheme = urlsplit(root).scheme if "://" in root else ""
    if root and scheme not in ROOTS[environment.backend]:
        expected = " or ".join(
            f"{one}://<bucket>/<path>" if one else "a path" for one in ROOTS[environment.backend]
        )
        yield document.fault(
            ("pipeline_root",), f"{root!r} does not fit {environment.backend}, expected {expected}"
        )
    if "://" in environment.images:
        yield document.fault(("images",), "a registry has no scheme: write host[:port]/prefix")


def _auth(environment: Environment, document: Document) -> Iterator[Fault]:
    auth = environment.auth
    if auth.kind == "token" and bool(auth.variable) == bool(auth.file):
        yield document.fault(("auth",), "kind `token` needs either `variable` or `file`")
    if auth.kind == "iap" and not auth.client_id:
        yield document.fault(("auth",), "kind `iap` needs `client_id`")
    store = environment.store
    if bool(store.access_key_variable) != bool(store.secret_key_variable):
        yield document.fault(("store",), "access_key_variable and secret_key_variable go together")


def _secrets(environment: Environment, document: Document) -> Iterator[Fault]:
    for name in environment.variables:
        if SECRET_WORDS.search(name) and not MAY_BE_PLAIN.search(name):
            yield document.fault(
                ("variables", name),
                "this looks like a secret: put it into a Kubernetes secret and name it in `secrets`",
            )
    for index, secret in enumerate(environment.secrets):
        if not secret.variables and not secret.mount:
            yield document.fault(
                ("secrets", index), "a secret needs `variables` (variable: key) or `mount` (a folder)"
            )


def _serving(environment: Environment, document: Document) -> Iterator[Fault]:
    serving, kind = environment.serving, kind_of(environment)
    written = serving.model_fields_set
    if not kind:
        if written - {"kind"}:
            yield document.fault(("serving",), "`kind` is missing: local, kubernetes, kserve or vertex")
        return
    for key in foreign_keys(serving, kind):
        yield document.fault(("serving", key), f"the kind {kind} has no such key")
    if kind == "local" and environment.backend != "local":
        yield document.fault(
            ("serving", "kind"),
            f"`local` is this machine, which the backend {environment.backend} cannot reach",
        )
    if (
        tried_as_pod(environment)
        and serving.namespace
        and serving.namespace != environment.namespace  # whose rights and secrets the step's account has not
    ):
        yield document.fault(
            ("serving", "trial"),
            f"steps run in the namespace {environment.namespace}, servers in {serving.namespace}: a pod to try a model is "
            "made in the former only; write `trial: process`",
        )
    if "trial" in written and serving.trial == "pod" and environment.backend != "kfp":
        yield document.fault(
            ("serving", "trial"), f"steps of the backend {environment.backend} make no pods: leave it out"
        )
    for key in ("project", "region") if kind == "vertex" else ():
        if not (getattr(serving, key) or getattr(environment, key)):
            yield document.fault(("serving",), f"the kind vertex needs `{key}`")
    if kind != "local" and not serving.logs:
        yield document.fault(("serving",), f"the kind {kind} needs `logs`")
    for name in serving.variables:
        if SECRET_WORDS.search(name) and not MAY_BE_PLAIN.search(name):
            yield document.fault(
                ("serving", "variables", name),
                "this looks like a secret: put it into a Kubernetes secret and name it in `serving.secrets`",
            )


def _schedules(environment: Environment, document: Document) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, schedule in enumerate(environment.schedules):
        if schedule.name in seen:
            yield document.fault(("schedules", index, "name"), f"there are two schedules {schedule.name!r}")
        seen.add(schedule.name)
        for key, sentence in schedule_faults(schedule, environment):
            yield document.fault(("schedules", index, *key), sentence)
    if environment.schedules and environment.backend == "local":
        yield document.fault(("schedules",), "nothing fires schedules on the backend local")
    try:
        find_zone(environment.cron_time_zone)
    except ValueError as error:
        yield document.fault(("cron_time_zone",), str(error))
