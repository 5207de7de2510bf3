"""A failed build or push is one sentence, from logs as the engines write them (20.10 and 28)."""

from pathlib import Path

import pytest

from penstock.images.engine_faults import LONGEST, why_not_built, why_not_pushed

HEAD = "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n"
STEP = "#7 [install 7/7] RUN --mount=type=cache uv sync\n#7 sha256:b20f6b1f\n"
SAID = (
    "#7 0.650 Using Python 3.11\n#7 0.700 error: Failed to fetch: `https://pypi.example/simple/x/`\n"
    "#7 0.700   Caused by: dns error\n"
)
OLD_END = (
    "#7 ERROR: executor failed running [/bin/sh -c uv sync]: exit code: 2\n------\n"
    " > [install 7/7] RUN --mount=type=cache uv sync:\n------\n"
    "executor failed running [/bin/sh -c uv sync]: exit code: 2\n"
)
NEW_END = (
    '#7 ERROR: process "/bin/sh -c uv sync" did not complete successfully: exit code: 2\n------\n'
    " > [install 7/7] RUN --mount=type=cache uv sync:\n------\nDockerfile:30\n--------------------\n"
    "  30 | >>> RUN uv sync\n--------------------\n"
    'ERROR: failed to solve: process "/bin/sh -c uv sync" did not complete successfully: exit code: 2\n'
)
CAUSE = "error: Failed to fetch: `https://pypi.example/simple/x/`"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "gate.log"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + STEP + SAID + OLD_END, CAUSE),
        (HEAD + STEP + SAID + NEW_END, CAUSE),
        (HEAD + STEP + "#7 0.3 first\n#7 0.4 KeyError: 'x'\n" + OLD_END, "KeyError: 'x'"),
        (HEAD + STEP + OLD_END, "exit code: 2"),
        (
            HEAD + '#9 [2/3] COPY lcok/ /build/\n#9 ERROR: "/lcok" not found: not found\n------\n',
            '"/lcok" not found: not found',
        ),
        (
            HEAD + "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "
            "dockerfile parse error line 40: unknown instruction: WORKDRI\n",
            "dockerfile parse error line 40: unknown instruction: WORKDRI",
        ),
        (
            HEAD + "ERROR: failed to build: failed to solve: dockerfile parse error on line 40: unknown\n",
            "dockerfile parse error on line 40: unknown",
        ),
        (
            "ERROR: BuildKit is enabled but the buildx component is missing or broken.\n"
            "       Install the buildx component to build images with BuildKit:\n"
            "       https://docs.docker.com/go/buildx/\n",
            "BuildKit is enabled but the buildx component is missing or broken",
        ),
        ("", "it said nothing"),
    ],
)
def test_failed_build_gives_the_reason_of_its_log(log: Path, text: str, reason: str) -> None:
    log.write_text(text)
    assert why_not_built("penstock/gate:0123", log) == (
        f"penstock/gate:0123 could not be built ({reason}); log: {log}"
    )


def test_full_disk_says_how_to_make_room(log: Path) -> None:
    log.write_text(HEAD + STEP + "#7 2.1 cp: error writing '/out/x': No space left on device\n" + OLD_END)
    assert why_not_built("penstock/gate:0123", log) == (
        "penstock/gate:0123 could not be built (no space left on device): free some of the Docker engine's disk "
        f"(`docker system df`, `docker builder prune`); log: {log}"
    )


def test_reason_of_any_length_is_a_line_or_two(log: Path) -> None:
    log.write_text("x" * 9999)
    sentence = why_not_built("penstock/gate:0123", log)
    assert "x" * LONGEST + " …" in sentence
    assert "x" * (LONGEST + 1) not in sentence


@pytest.mark.parametrize(
    "reason",
    [
        "unauthorized: authentication required",
        "denied: requested access to the resource is denied",
        "no basic auth credentials",
        "error parsing HTTP 403 response body: unexpected end of JSON input",
    ],
)
def test_refused_push_says_how_to_log_in(log: Path, reason: str) -> None:
    log.write_text(f"The push refers to repository [r.example/p/gate]\n{reason}\n")
    assert why_not_pushed("r.example/p/gate:0123", log) == (
        f"r.example refuses r.example/p/gate:0123 ({reason}): `docker login r.example`, or ask for the right to push"
    )


@pytest.mark.parametrize(
    "reason",
    [
        'Get "https://r.example/v2/": dial tcp: lookup r.example: no such host',
        'Get "http://r.example/v2/": dial tcp 127.0.0.1:9: connect: connection refused',
        'Get "https://r.example/v2/": net/http: TLS handshake timeout',
    ],
)
def test_push_to_what_does_not_answer_says_so(log: Path, reason: str) -> None:
    log.write_text(f"The push refers to repository [r.example/p/gate]\n{reason}\n")
    assert why_not_pushed("r.example/p/gate:0123", log) == (
        f"the registry r.example does not answer ({reason}): start it, or name another"
    )


def test_full_registry_says_whose_disk_it_may_be(log: Path) -> None:
    log.write_text("received unexpected HTTP status: 500: no space left on device\n")
    assert why_not_pushed("r.example/p/gate:0123", log).startswith(
        "r.example/p/gate:0123 could not be pushed (no space left on device): make room in r.example, or free"
    )
