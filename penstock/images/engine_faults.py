"""Why a build or a push failed: the line of its log that says so, in one sentence with what to do."""

import re
from pathlib import Path

LONGEST = 300  # characters of a reason
# BuildKit's plain log: `#7 ERROR: …` ends a step, `#7 0.650 …` is what its command said.
FAILED_STEP = re.compile(r"#(?P<step>\d+) ERROR: (?P<reason>.*)")
SAID = re.compile(r"#(?P<step>\d+) \d+\.\d+ (?P<text>.*\S)")
SAYS_WHY = re.compile(r"(error\b|fatal\b|E: )", re.IGNORECASE)  # uv and pip; git; apt
COMMAND_FAILED = ("executor failed running", "did not complete successfully")
PREAMBLES = re.compile(
    r"^(ERROR: |Error response from daemon: |failed to (build|solve)( with frontend \S+?)?: "
    r"|failed to create LLB definition: |failed to compute cache key: |rpc error: code = \w+ desc = )+"
)
FULL = "no space left on device"
REFUSED = re.compile(r"unauthorized|denied|forbidden|no basic auth|\b40[13]\b", re.IGNORECASE)
UNREACHABLE = re.compile(
    r"connection refused|no such host|timeout|timed out|unreachable|EOF$|connection reset", re.IGNORECASE
)


def why_not_built(reference: str, log: Path) -> str:
    """Return the sentence about a build that failed."""
    lines = _lines(log)
    if any(FULL in line.lower() for line in lines):
        return f"{reference} could not be built ({FULL}): {make_room()}; log: {log}"
    return f"{reference} could not be built ({build_reason(lines)}); log: {log}"


def why_not_pushed(reference: str, log: Path) -> str:
    """Return the sentence about a push that failed."""
    reason = without_preamble((_lines(log) or ["it said nothing"])[-1])
    host = reference.partition("/")[0]
    if FULL in reason.lower():
        return f"{reference} could not be pushed ({FULL}): make room in {host}, or {make_room()}"
    if REFUSED.search(reason):
        return f"{host} refuses {reference} ({reason}): `docker login {host}`, or ask for the right to push"
    if UNREACHABLE.search(reason):
        return f"the registry {host} does not answer ({reason}): start it, or name another"
    return f"{reference} could not be pushed ({reason}); log: {log}"


def build_reason(lines: list[str]) -> str:
    """Return what a log of BuildKit gives as the reason: what the failed command said, else the last line."""
    failed = next((found for line in reversed(lines) if (found := FAILED_STEP.match(line))), None)
    if failed is None:
        named = [line for line in lines if SAYS_WHY.match(line)] or lines
        return without_preamble(named[-1]) if named else "it said nothing"
    if not any(words in failed["reason"] for words in COMMAND_FAILED):
        return without_preamble(failed["reason"])
    said = [
        found["text"] for line in lines if (found := SAID.match(line)) and found["step"] == failed["step"]
    ]
    named = [text for text in said if SAYS_WHY.match(text)]
    if named or said:
        return without_preamble((named[:1] or said[-1:])[0])
    return without_preamble(failed["reason"].rpartition("]: ")[2])  # with the exit code, without the command


def without_preamble(line: str) -> str:
    """Return a message of docker without what precedes it everywhere, and not longer than a line or two."""
    text = PREAMBLES.sub("", line.strip()).rstrip(".")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def make_room() -> str:
    """Return what to do about a full disk of the engine."""
    return "free some of the Docker engine's disk (`docker system df`, `docker builder prune`)"


def _lines(log: Path) -> list[str]:
    text = log.read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()]
