"""The port of a local endpoint: two endpoints of one project never want the same one."""

import ipaddress
from typing import TYPE_CHECKING

from penstock.components.serving_targets.local_launch import check_port
from penstock.components.step_io.errors import StepError
from penstock.errors import UserError
from penstock.local_serving import open_endpoint, running_endpoints
from penstock.project import Project

if TYPE_CHECKING:
    from penstock.components.serving_targets.target import EndpointState

HOST, PORT = "127.0.0.1", 8080
LAST_PORT = 65_535


def choose_address(
    project: Project, name: str, before: "EndpointState | None", host: str = "", port: int = 0
) -> tuple[str, int]:
    """Return where an endpoint that does not run is to listen.

    Args:
        project: Whose other endpoints are asked.
        name: Of the endpoint.
        before: How it is now; None when it was never made.
        host: Address that is asked for; empty takes the one it had when it was killed, else 127.0.0.1.
        port: Port that is asked for; 0 takes the one it had when it was killed, else 8080, and where another
            endpoint of the project has that one, the next that is free.

    Raises:
        UserError: Another endpoint has the port that is asked for, or the host is no address.
        StepError: The port cannot be used.
    """
    had_host, _, had_port = (
        (before.url if before and before.versions else ":0").removeprefix("http://").rpartition(":")
    )
    host = _address(host) if host else had_host or HOST
    ours = _ports_in_use(project, name)
    if port in ours:
        raise UserError(
            f"port {port} is the one of the endpoint {ours[port]}: give another with --port, or end that one "
            f"(`penstock serve --stop --name {ours[port]}`)"
        )
    wanted = port or int(had_port) or PORT
    if wanted not in ours:
        check_port(host, wanted)
        return host, wanted
    check_port(host, 0)
    return host, next(
        found for found in range(wanted + 1, LAST_PORT) if found not in ours and _is_free(host, found)
    )


def _address(host: str) -> str:
    """Return an IPv4 address; the router takes no names."""
    try:
        return str(ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host))
    except ValueError as error:
        raise UserError(
            f"--host {host!r} is no IPv4 address: give one of this machine, such as 127.0.0.1, or 0.0.0.0 for all"
        ) from error


def _ports_in_use(project: Project, name: str) -> dict[int, str]:
    """Return the ports of the other endpoints of a project that run, and who has them."""
    found = {}
    for other in running_endpoints(project):
        if other != name:
            found[int(open_endpoint(project, other).state().url.rpartition(":")[2])] = other
    return found


def _is_free(host: str, port: int) -> bool:
    try:
        check_port(host, port)
    except StepError:
        return False
    return True
