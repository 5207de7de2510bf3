"""The checks, in the order in which a server must pass them; a server that does not start is asked no more."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.components.serving_targets.kubernetes_pods import last_message
from penstock.components.validate_serving import clients
from penstock.components.validate_serving.checks import Check
from penstock.components.validate_serving.load import Load, drive
from penstock.components.validate_serving.malformed import malformed, refused_wrongly
from penstock.components.validate_serving.parity import compare
from penstock.components.validate_serving.recorded import Recorded
from penstock.components.validate_serving.servers import Server
from penstock.components.validate_serving.settings import Settings
from penstock.components.validate_serving.usage import Usage, read_usage

POLL_S = 0.2
LATER = (
    "answers over V1",
    "answers over V2",
    "answers over gRPC",
    "malformed requests",
    "load",
    "memory",
    "cpu",
)


@dataclass(frozen=True)
class Proof:
    """All checks, and the load test if it came to that."""

    checks: list[Check]
    load: Load | None


@dataclass(frozen=True)
class Served:
    """What is known of the model that is served.

    Attributes:
        name: Name of the model at the server.
        inputs: dtype (`float64` or `string`) by raw input.
        classes: Of the label, in the order of `probabilities`.
        versions: Packages that it was trained with.
    """

    name: str
    inputs: Mapping[str, str]
    classes: list[str]
    versions: Mapping[str, str]


def validate(server: Server, served: Served, recorded: Recorded, settings: Settings) -> Proof:
    """Try everything that the server must be able to do.

    Args:
        server: Started, perhaps not ready yet.
        served: Its model.
        recorded: Rows with the offline predictions.
        settings: Budgets and objectives.

    Raises:
        StepError: The server cannot be tried, for a reason that tells nothing of the model.
    """
    started = ready(server, served.name, settings)
    checks = [packages(served.versions.get("tensorflow", ""), server.tensorflow()), started]
    if not checks[-1].passed:
        why = "not tried: the server was not ready"
        return Proof([*checks, *(Check(name, None, why) for name in LATER)], None)
    checks += parity(server, served, recorded, settings)
    checks.append(malformed_requests(server, served, recorded))
    before = read_usage(server.rest)
    load = drive(
        f"{server.rest}/v1/models/{served.name}:predict",
        clients.v1_bodies(recorded.instances, 1),
        settings.rate,
        settings.load_s,
    )
    after = read_usage(server.rest)
    checks += [
        under_load(load, settings, server),
        memory(after, settings, server),
        cpu(before, after, load, settings, server),
    ]
    return Proof(checks, load)


def packages(trained: str, serving: str) -> Check:
    """A SavedModel is read by every later TensorFlow of the same major version, not surely by an earlier one.

    Source: https://www.tensorflow.org/guide/versions (compatibility of SavedModels).
    """
    if not serving:
        return Check("TensorFlow", None, "not tried: the server did not tell its version of TensorFlow")
    if not trained:
        return Check(
            "TensorFlow",
            True,
            f"TensorFlow {serving} serves; the model does not say what it was trained with",
        )
    fits = release(serving)[:1] == release(trained)[:1] and release(serving) >= release(trained)
    text = f"TensorFlow {serving} serves a model trained with {trained}"
    if not fits:
        text += (
            ": a SavedModel needs the same major version and no earlier minor one; rebuild the image serving"
        )
    return Check("TensorFlow", fits, text)


def release(version: str) -> tuple[int, ...]:
    """Return major and minor of a version."""
    return tuple(int(part) for part in version.split(".")[:2])


def ready(server: Server, name: str, settings: Settings) -> Check:
    """Wait until the model is ready, at most as long as it may take."""
    while True:
        waited, status = time.monotonic() - server.started, 0
        ended = server.ended()
        if not ended:
            status, _ = clients.get(f"{server.rest}/v2/models/{name}/ready")
        if status == 200:
            text = f"ready {waited:.1f} s after its start (at most {settings.start_s:g} s)"
            return Check("start", waited <= settings.start_s, text, {"seconds": waited})
        if ended:
            text = f"the server {ended} after {waited:.1f} s, before it was ready"
            text += "" if ended.startswith("was killed") else _last_words(server)  # it had none of its own
            return Check("start", False, text, {"seconds": waited})
        if waited > settings.start_s:
            if not status:
                server.unreached()
            text = f"not ready {settings.start_s:g} s after its start (serving.start_s){_last_words(server)}"
            return Check("start", False, text, {"seconds": waited})
        time.sleep(POLL_S)


def parity(server: Server, served: Served, recorded: Recorded, settings: Settings) -> list[Check]:
    """Compare the answers over each protocol with the offline predictions."""
    rows, inputs, classes = recorded.instances, served.inputs, served.classes
    ways: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "V1": lambda: clients.over_v1(server.rest, served.name, rows),
        "V2": lambda: clients.over_v2(server.rest, served.name, rows, inputs, classes),
        "gRPC": lambda: clients.over_grpc(server.grpc, served.name, rows, inputs, classes),
    }
    found = []
    for way, ask in ways.items():
        name = f"answers over {way}"
        try:
            same = compare(ask(), recorded, settings.tolerance)
        except clients.Unanswered as error:
            found.append(Check(name, False, f"a request over {way} {error}{_gone(server)}"))
            continue
        if same.differing:
            text = (
                f"over {way}, {same.differing} of {same.rows} answers differ from the offline predictions by more "
                f"than {settings.tolerance:g} (serving.tolerance): {same.first}"
            )
        else:
            text = f"over {way}, {same.rows} answers equal the offline predictions (largest difference {same.largest:.1g})"
        numbers: dict[str, float] = {"rows": same.rows, "differing": same.differing}
        if math.isfinite(same.largest):
            numbers["largest_difference"] = same.largest
        found.append(Check(name, same.differing == 0, text, numbers))
    return found


def malformed_requests(server: Server, served: Served, recorded: Recorded) -> Check:
    """Send wrong requests: each must be refused cleanly, and a right one still be answered after them."""
    requests = malformed(recorded.instances[0], served.inputs)
    faults = refused_wrongly(server.rest, served.name, requests)
    try:
        clients.over_v1(server.rest, served.name, recorded.instances[:1])
    except clients.Unanswered as error:
        faults.append(f"a right request after them {error}{_gone(server)}")
    text = "; ".join(faults) or f"{len(requests)} malformed requests got status 400 and a sentence each"
    return Check("malformed requests", not faults, text, {"sent": len(requests), "wrong": len(faults)})


def under_load(load: Load, settings: Settings, server: Server) -> Check:
    """Judge the load test by its errors, its 99th percentile and the rate that was reached."""
    p50, p99, reached = load.quantile(0.5), load.quantile(0.99), load.sent / load.seconds
    share = load.failed / load.sent
    aim = f"objective {settings.p99_ms:g} ms" if settings.p99_ms else "no objective: serving.p99_ms"
    text = f"{load.sent} requests at {settings.rate:g} a second: "
    text += f"median {p50:.1f} ms, 99 % within {p99:.1f} ms ({aim}), {load.failed} failed"
    if share > settings.max_error_rate:
        text += f", the first with {load.first_failure}{_gone(server)}"
    numbers = {"sent": load.sent, "failed": load.failed, "requests_per_second": reached}
    numbers |= {f"p{q}_ms": load.quantile(q / 100) for q in (50, 95, 99) if len(load.latencies_ms)}
    in_time = not settings.p99_ms or p99 <= settings.p99_ms
    return Check("load", in_time and share <= settings.max_error_rate, text, numbers)


def memory(usage: Usage, settings: Settings, server: Server) -> Check:
    """Compare the resident memory after the load with the budget."""
    if usage.memory is None:
        return Check("memory", False, f"the server does not tell its memory at /metrics{_gone(server)}")
    used = usage.memory / 1e6
    text = f"uses {used:.0f} MB of memory (budget {settings.memory_mb:g} MB)"
    return Check("memory", used <= settings.memory_mb, text, {"megabytes": used})


def cpu(before: Usage, after: Usage, load: Load, settings: Settings, server: Server) -> Check:
    """Compare the cores used during the load with the budget."""
    if before.cpu_s is None or after.cpu_s is None:
        return Check("cpu", False, f"the server does not tell its CPU time at /metrics{_gone(server)}")
    used = (after.cpu_s - before.cpu_s) / load.seconds
    text = f"uses {used:.2f} cores at {settings.rate:g} requests a second (budget {settings.cpu:g})"
    return Check("cpu", used <= settings.cpu, text, {"cores": used})


def to_json(proof: Proof, settings: Settings, server: Mapping[str, str]) -> str:
    """Return checks.json; `server` tells what was tried."""
    checks = [
        {"name": c.name, "passed": c.passed, "sentence": c.sentence, "numbers": c.numbers}
        for c in proof.checks
    ]
    content = {"format": 1, "server": dict(server), "checks": checks, "settings": vars(settings)}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _gone(server: Server) -> str:
    ended = server.lost().rstrip(",")
    return f" (the server {ended})" if ended else ""


def _last_words(server: Server) -> str:
    said = last_message(server.log())
    return f"; it said last: {said}" if said else "; it said nothing"
