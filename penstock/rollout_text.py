"""What people read of a rollout."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.local.summary import shown
from penstock.local.text_table import table

if TYPE_CHECKING:
    from penstock.rollouts import Look

DECISIONS = {
    "continue": "goes on as it is",
    "advance": "gets more traffic",
    "promote": "promoted",
    "rollback": "rolled back",
    "stop": "stopped",
}
WIDEST = 100
MOST_REASONS = 6


def look_lines(look: "Look", model: str) -> Iterator[str]:
    """Yield what a look came to."""
    from pathlib import Path

    if not look.decision:
        yield f"nothing is rolled out: no version of {model!r} is its challenger (`penstock rollout start` names one)"
        yield from _shares(look.shares)
        return
    rows = [["decision", f"{look.decision}: {DECISIONS.get(look.decision, '')}"]]
    rows += [["reason" if not i else "", reason] for i, reason in enumerate(look.reasons[:MOST_REASONS])]
    rows.append(["done", look.done])
    rows.append(["traffic", ", ".join(f"version {v}: {share} %" for v, share in look.shares.items())])
    if look.report:
        rows.append(["report", shown(Path(look.report))])
    width = max(len(row[0]) for row in rows)
    for label, text in rows:
        yield f"{label:<{width}}  {text}"


def status_lines(standing: Mapping[str, Any], starts: str) -> Iterator[str]:
    """Yield where a rollout stands; `starts` is the command that starts the endpoint."""
    champion, challenger, endpoint = standing["champion"], standing["challenger"], standing["endpoint"]
    if champion is None:
        yield f"{standing['model']} has no champion"
    elif standing["active"]:
        began = f", begun {_time(standing['began'])}" if standing["began"] else ", not begun yet"
        yield f"{standing['model']}: version {challenger['version']} challenges version {champion['version']}{began}"
    else:
        yield f"{standing['model']}: version {champion['version']} is the champion, nothing is rolled out"
    address = endpoint["url"] if endpoint["running"] else f"not running (`{starts}` starts it)"
    since = f"; traffic as it is since {_time(standing['since'])}" if standing["since"] else ""
    yield f"endpoint {endpoint['endpoint']}: {address}{since}"
    if endpoint["versions"]:
        yield ""
        yield table(["version", "role", "traffic", "ready", "problem"], list(_rows(standing)), widest=WIDEST)
    for role in ("challenger", "champion", "previous"):
        found = standing[role]
        if found and found["decision"]:
            decision = found["decision"]
            yield ""
            yield (
                f"version {found['version']}: {decision['action']} at {_time(decision['time'])} "
                f"by {decision['by']}: {decision['why']}"
            )


def _rows(standing: Mapping[str, Any]) -> Iterator[list[str]]:
    endpoint = standing["endpoint"]
    for version, found in endpoint["versions"].items():
        roles = [
            role
            for role in ("champion", "challenger", "previous")
            if standing[role] and standing[role]["version"] == version
        ]
        traffic = f"{endpoint['weights'].get(version, 0)} %"
        if endpoint["shadow"] and endpoint["shadow"]["version"] == version:
            traffic += f", copy of {endpoint['shadow']['percent']} %"
        ready = f"{found['ready']} of {found['replicas']}"
        yield [version, ", ".join(roles), traffic, ready, found["problem"]]


def _shares(shares: Mapping[str, int]) -> Iterator[str]:
    if shares:
        yield "traffic  " + ", ".join(f"version {version}: {share} %" for version, share in shares.items())


def _time(text: str) -> str:
    return f"{text[:19].replace('T', ' ')} UTC"
