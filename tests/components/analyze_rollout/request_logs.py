"""Writes request logs and outcomes as the prediction service and a team would."""

import datetime
import json

import numpy as np

START = datetime.datetime(2026, 11, 21, 18, tzinfo=datetime.UTC)


def iso(seconds):
    """Return the time this many seconds after START."""
    moment = START + datetime.timedelta(seconds=float(seconds))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def make_requests(version, n, seed=0, begin=0.0, end=3600.0, errors=0.01, scale=1.0, shift=0.0, **fields):
    """Return n records spread evenly over a time.

    Args:
        errors: Share answered with 500.
        scale: Factor of the durations, whose median is 5 ms.
        shift: Added to the scores' logits.
        fields: Replace what every record has.
    """
    random = np.random.default_rng(seed)
    times = np.sort(random.uniform(begin, end, n))
    failed = random.random(n) < errors
    durations = random.lognormal(np.log(5), 0.4, n) * scale
    scores = 1 / (1 + np.exp(-(random.normal(size=n) + shift)))
    payments = random.choice(["Cash", "Credit Card"], n)
    return [
        {
            "time": iso(times[i]),
            "request_id": f"{version}-{seed}-{i}",
            "model": "taxi",
            "version": version,
            "protocol": "v1",
            "status": 500 if failed[i] else 200,
            "duration_ms": round(float(durations[i]), 3),
            "rows": 1,
            "scores": [] if failed[i] else [round(float(scores[i]), 6)],
            "labels": [] if failed[i] else ["true" if scores[i] > 0.5 else "false"],
            "sampled": True,
            "instances": [{"payment_type": str(payments[i]), "trip miles": float(i % 17)}],
            "predictions": None,
            "error": None,
        }
        | fields
        for i in range(n)
    ]


def make_outcomes(requests, rate, seed=0, delay_s=60.0, by_segment=None):
    """Return an outcome of 0 or 1 for each request; `by_segment` replaces the rate by payment type."""
    random = np.random.default_rng(seed + 1_000)
    found = []
    for request in requests:
        own = (by_segment or {}).get(request["instances"][0]["payment_type"], rate)
        time = datetime.datetime.fromisoformat(request["time"]) + datetime.timedelta(seconds=delay_s)
        found.append(
            {
                "request_id": request["request_id"],
                "outcome": int(random.random() < own),
                "time": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
        )
    return found


def write_lines(path, records, mode="w"):
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def write_log(folder, requests, name="host-1-1"):
    """Write requests where the service would, as <folder>/<model>/<version>/<date>/<name>.jsonl."""
    by_place = {}
    for request in requests:
        place = folder / request["model"] / request["version"] / request["time"][:10] / f"{name}.jsonl"
        by_place.setdefault(place, []).append(request)
    for path, records in by_place.items():
        write_lines(path, records)
