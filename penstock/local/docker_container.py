"""What a step's container is given: its limits, the folders it sees, its environment."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import UserError
from penstock.images.resources import UNITS, cores
from penstock.images.settings import Memory, Resources
from penstock.local.docker_engine import Engine
from penstock.local.processes import inherited_variables

# Of what a process inherits, what speaks of this machine and not of the image.
OF_THIS_MACHINE = frozenset(
    ["HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "PATH", "SHELL", "TERM", "LD_LIBRARY_PATH"]
)
OF_THIS_MACHINE_PREFIXES = ("LC_", "XDG_", "PENSTOCK_STACK_PYTHON_")
# Variables that hold paths: what they name is mounted, and without it they are not passed on.
WITH_PATHS = frozenset(
    [
        "AWS_CA_BUNDLE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "CLOUDSDK_CONFIG",
        "CURL_CA_BUNDLE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "KUBECONFIG",
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    ]
)
# Parameters that name places where steps write.
WRITTEN_TO = frozenset(["registry_uri", "checkpoint_uri"])
GLOB = frozenset("*?[")
# Folders that a container has of its own.
TAKEN = frozenset(
    map(
        Path,
        (
            "/bin",
            "/dev",
            "/etc",
            "/lib",
            "/lib64",
            "/proc",
            "/sbin",
            "/stack",
            "/step",
            "/sys",
            "/tmp",
            "/usr",
        ),
    )
)
SHARES_PER_CORE = 1024  # as Kubernetes turns a request into cgroup shares


@dataclass(frozen=True)
class Mount:
    """A file or folder that a container sees at the same path."""

    path: Path
    writable: bool = False

    def __str__(self) -> str:
        """Return the value of `--mount`, a line of CSV."""
        fields = ["type=bind", f"source={self.path}", f"target={self.path}"]
        if not self.writable:
            fields.append("readonly")
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(fields)
        return line.getvalue()


def memory_bytes(quantity: str) -> int:
    """Return a quantity of memory ("512Mi", "2G") in bytes."""
    for unit, factor in UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(float(quantity))


def check_memory(quantity: str) -> None:
    """See that a text is a quantity of memory.

    Raises:
        UserError: It is none.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(Memory).validate_python(quantity)
    except ValidationError as error:
        raise UserError(f"--memory {quantity!r} is no quantity: write it like 512Mi or 4Gi") from error


def limits(resources: Resources, engine: Engine) -> list[str]:
    """Return the arguments that apply a step's requests and limits, as far as the engine can."""
    arguments = []
    if resources.memory_limit and engine.limits_memory:
        limit = memory_bytes(resources.memory_limit)
        arguments.append(f"--memory={limit}")
        if engine.limits_swap:
            arguments.append(f"--memory-swap={limit}")  # memory and swap together: no swap, as on a cluster
        if resources.memory and (asked := memory_bytes(resources.memory)) < limit:
            arguments.append(f"--memory-reservation={asked}")
    if resources.cpu:
        arguments.append(f"--cpu-shares={max(2, round(cores(resources.cpu) * SHARES_PER_CORE))}")
    if resources.cpu_limit and engine.limits_cpu:
        arguments.append(f"--cpus={min(cores(resources.cpu_limit), engine.cores)}")
    return arguments


def mounts(state: Path, arguments: Mapping[str, Any], env: Mapping[str, str]) -> list[Mount]:
    """Return what steps see of this machine: the state folder, and what parameters and variables name.

    Of a file only the file is mounted, not the folder that it lies in.

    Raises:
        UserError: A path is one that a container has of its own.
    """
    found = {state: Mount(state, writable=True)}
    for name, value in arguments.items():
        writable = name in WRITTEN_TO
        for text in _texts(value):
            path = _local(text, writable)
            if path is not None and not path.is_relative_to(state):
                found.setdefault(path, Mount(path, writable))
    for name in WITH_PATHS & env.keys():
        for text in env[name].split(os.pathsep):
            if (path := _local(text)) is not None and not path.is_relative_to(state):
                found.setdefault(path, Mount(path))
    if taken := sorted(TAKEN & found.keys()):
        raise UserError(
            f"{taken[0]} cannot be shown to containers, which have their own: move what the run reads or writes "
            "there into a folder below it"
        )
    return sorted(found.values(), key=lambda mount: mount.path.parts)


def variables() -> dict[str, str]:
    """Return what a container gets of the command line's environment."""
    return {
        name: value
        for name, value in inherited_variables().items()
        if name not in OF_THIS_MACHINE
        and not name.startswith(OF_THIS_MACHINE_PREFIXES)
        and not (name in WITH_PATHS and not any(_local(text) for text in value.split(os.pathsep)))
    }


def create_arguments(
    image: str,
    command: Iterable[str],
    *,
    name: str,
    labels: Mapping[str, str],
    limited: Iterable[str],
    mounted: Iterable[Mount],
    env: Mapping[str, str],
    is_rootless: bool,
) -> list[str]:
    """Return the arguments of `docker create` for one step.

    As on a hardened cluster: no capability, nothing writable but the mounts and /tmp. The user is the
    caller, to whom the outputs then belong; a rootless engine calls the caller 0.
    """
    uid, gid = (0, 0) if is_rootless else (os.getuid(), os.getgid())
    groups = [] if is_rootless else sorted({*os.getgroups()} - {gid})
    return [
        f"--name={name}",
        *(f"--label={key}={value}" for key, value in labels.items()),
        f"--user={uid}:{gid}",
        *(f"--group-add={group}" for group in groups),
        "--network=host",
        "--read-only",
        "--tmpfs=/tmp:rw,exec,mode=1777",
        "--workdir=/tmp",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        *limited,
        *(f"--mount={mount}" for mount in mounted),
        *(f"--env={key}" for key in sorted(env)),
        image,
        *command,
    ]


def _texts(value: Any) -> Iterator[str]:
    """Yield every text inside a parameter's value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _local(text: str, writable: bool = False) -> Path | None:
    """Return the file or folder of this machine that a text names; None when it names none.

    Args:
        text: A path, perhaps with a glob, or a file: or SQLite URI.
        writable: A file that is to be written is meant with its folder, in which it may have to be made.
    """
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme.partition("+")[0] not in ("file", "sqlite"):
            return None
        rest = urlsplit(text).path
        text = rest[1:] if scheme.startswith("sqlite") else rest
    if not text.startswith("/") or "\n" in text or "\0" in text:
        return None
    path = Path(os.path.normpath(text))
    while GLOB & set(str(path)) and not path.exists():
        path = path.parent
    try:
        if writable and not path.is_dir():
            path = path.parent
        if not path.exists() or path == Path("/"):
            return None
    except OSError:  # too long for a path
        return None
    return path
