"""What a server uses and runs on, as it tells in its Prometheus metrics (of prometheus_client's process collector, and ours)."""

import re
from dataclasses import dataclass

from penstock.components.validate_serving.clients import get

SAMPLE = re.compile(r"^(process_resident_memory_bytes|process_cpu_seconds_total)\s+(\S+)$", re.MULTILINE)

TENSORFLOW = re.compile(r'^penstock_server_info\{tensorflow="([^"]+)"\}', re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """Memory in bytes, and seconds of CPU time since the start; None where the server tells neither."""

    memory: float | None
    cpu_s: float | None


def read_usage(base: str) -> Usage:
    """Read a server's usage."""
    status, text = get(f"{base}/metrics")
    found = {name: float(value) for name, value in SAMPLE.findall(text)} if status == 200 else {}
    return Usage(found.get("process_resident_memory_bytes"), found.get("process_cpu_seconds_total"))


def read_tensorflow(base: str) -> str:
    """Read a server's version of TensorFlow; empty where it does not tell."""
    status, text = get(f"{base}/metrics")
    found = TENSORFLOW.search(text) if status == 200 else None
    return found[1] if found else ""
