"""Opens the serving target that a mapping describes: the section `serving` of an environment file, completed.

open_target({"kind": "local", "folder": "/…/.penstock/endpoints"}, "taxi")
open_target({"kind": "kubernetes", "namespace": "serving", "image": "…@sha256:…"}, "taxi")
"""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from penstock.components.serving_targets.target import Target
from penstock.components.step_io.errors import StepError

LOCAL = "local"
# The modules <kind>_opening.py with their function open_<kind>(where, endpoint); each needs other packages.
REMOTE = ("kubernetes", "kserve", "vertex")
KINDS = (LOCAL, *REMOTE)


def open_target(where: Mapping[str, Any], endpoint: str) -> Target:
    """Return the endpoint of a target.

    Args:
        where: `kind`, and what that kind needs; for `local` the folder in which each endpoint has one of its own.
        endpoint: Its name.

    Raises:
        StepError: There is no such kind, or it cannot be used as it is described.
    """
    kind = where.get("kind")
    if kind == LOCAL:
        return _open_local(where, endpoint)
    if kind in REMOTE:
        module = importlib.import_module(f"penstock.components.serving_targets.{kind}_opening")
        target: Target = getattr(module, f"open_{kind}")(where, endpoint)
        return target
    near = get_close_matches(str(kind), KINDS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise StepError(
        f"the serving target's kind is {kind!r}: {hint}there are {', '.join(KINDS)}; it comes from the section "
        "`serving` of the environment's file"
    )


def _open_local(where: Mapping[str, Any], endpoint: str) -> Target:
    from penstock.components.serving_targets.local_target import LocalTarget

    folder = where.get("folder")
    if not folder or not isinstance(folder, str):
        raise StepError(
            f"the local serving target's folder is {folder!r}: give the folder in which the endpoints are"
        )
    return LocalTarget(Path(folder) / endpoint)
