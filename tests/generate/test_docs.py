"""What the pages say is there: links lead somewhere, commands, options and make targets exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from penstock.project import find_project

ROOT = find_project(Path(__file__).parent).root
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "components").glob("*/*.md"),
    ]
)
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
OPTION = re.compile(r"^--?[a-z][a-z-]*$")
PATH = re.compile(r"(benchmarks|components|docs|images|manifests|penstock|pipelines|tests)/[\w./-]+")
EXAMPLE = "count_rows"  # the step that CONTRIBUTING.md adds
COMMENT = re.compile(r"\s+(#|→|;|&&|>).*")


def page_id(path: Path) -> str:
    """Return a page's path in the project."""
    return path.relative_to(ROOT).as_posix()


def dead_links(page: Path) -> list[str]:
    """Return the links of a page that lead to no file or heading of this project."""
    dead = []
    for link in LINK.findall(INLINE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str, program: str) -> Iterator[list[str]]:
    """Yield the words after a program's name, wherever a page shows a call of it."""
    lines = [line.strip() for fence in FENCE.findall(text) for line in fence.splitlines()]
    lines += INLINE.findall(FENCE.sub("", text))
    for line in lines:
        words = COMMENT.sub("", line.removeprefix("$ ").removeprefix("- run: ")).split()
        while words and re.match(r"^[A-Z_]+=", words[0]):  # variables before the call
            words.pop(0)
        if words and words[0].removeprefix(".venv/bin/") == program:
            yield words[1:]


def fault_of(words: list[str], command: Any) -> str:
    """Return what a call names that is not there; empty when all is."""
    parent = command
    rest = list(words)
    while rest and hasattr(command, "commands") and not rest[0].startswith(("-", "…", "...")):
        parent, word = command, rest.pop(0)
        names = word.split("|")
        if unknown := [name for name in names if name not in command.commands]:
            return f"no command {unknown[0]!r}"
        command = command.commands[names[0]]
    known = {"--help", "--version"}.union(*(parameter.opts for parameter in command.params))
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    for before, word in zip(["", *rest], rest, strict=False):
        if (
            OPTION.match(word.partition("=")[0].strip("[]"))
            and word.partition("=")[0].strip("[]") not in known
        ):
            return f"no option {word!r}"
        if before == "|" and word not in parent.commands:
            return f"no command {word!r}"
    return ""


@pytest.fixture(scope="module")
def command_line() -> Any:
    """The tree of penstock's commands."""
    from typer.main import get_command

    from penstock import cli

    cli.mount()
    return get_command(cli.app)


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_of_a_page_exist(page: Path, command_line: Any) -> None:
    calls = commands(page.read_text(encoding="utf-8"), "penstock")
    faults = {" ".join(words): fault_of(words, command_line) for words in calls}
    assert {call: fault for call, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_of_a_page_exist(page: Path, targets: set[str]) -> None:
    called = {
        word
        for words in commands(page.read_text(encoding="utf-8"), "make")
        for word in words
        if re.fullmatch(r"[a-z-]+", word)
    }
    assert called - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_paths_that_a_page_names_exist(page: Path) -> None:
    named = INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    paths = {name for name in named if PATH.fullmatch(name) and EXAMPLE not in name}
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_all_pages_of_docs_are_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file():
                waiting.append(target)
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {page.name for page in seen} == set()


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("run training --app taxi --set seed=1", ""),
        ("runs list | show | compare | logs", ""),
        ("images build|push", ""),
        ("runs", ""),
        ("run --apps taxi", "no option '--apps'"),
        ("ruin training", "no command 'ruin'"),
        ("images build|pull", "no command 'pull'"),
        ("runs list | shout", "no command 'shout'"),
    ],
)
def test_a_call_of_what_is_not_there_is_found(call: str, fault: str, command_line: Any) -> None:
    assert fault_of(call.split(), command_line) == fault


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# On a cluster\n[a](#on-a-cluster) [b](#on-mars) [c](page.md) [d](no.md)\n`[e](no.md)`\n"
    )
    assert dead_links(page) == ["#on-mars", "no.md"]
