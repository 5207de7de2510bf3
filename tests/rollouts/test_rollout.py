"""The pipeline `rollout` on this machine, with the real service, the real router and a real registry."""

import subprocess
import time
from pathlib import Path

from tests.rollouts.conftest import PROJECT, Toy


def test_a_good_version_is_promoted_and_a_bad_one_rolled_back(registered: Toy) -> None:
    toy = registered
    served = toy.penstock("serve", "--detach", "--replicas", "1", "--port", str(toy.port))
    assert served.returncode == 0, served.stderr

    first = toy.look("start", "--version", "2")
    assert (first["decision"], first["shares"]) == ("continue", {"1": 50, "2": 50})
    answered = toy.ask(120)
    assert min(answered["1"], answered["2"]) >= 40
    second = toy.look("advance")
    assert (second["decision"], second["shares"]) == ("advance", {"2": 100})
    assert "<html" in Path(second["report"]).read_text(encoding="utf-8")
    toy.ask(60)
    third = toy.look("advance")
    assert third["decision"] == "promote", third
    standing = toy.status()
    assert (standing["champion"]["version"], standing["previous"]["version"]) == ("2", "1")
    assert not standing["active"]
    assert [one["action"] for one in standing["champion"]["decisions"]] == ["begin", "advance", "promote"]

    toy.look("start", "--version", "3")
    toy.ask(150)
    bad = toy.look("advance")
    assert (bad["decision"], bad["shares"]) == ("rollback", {"2": 100})
    assert bad["reasons"][0].startswith("the share of predictions that are no number is 100 %")

    _rolled_back_while_advanced(toy)


def _rolled_back_while_advanced(toy: Toy) -> None:
    """A rollback beside a look that is at work: whoever wins, traffic and aliases say the same."""
    toy.look("start", "--version", "1")
    toy.ask(120)
    advance = subprocess.Popen(
        toy.command("rollout", "advance", "--app", str(toy.app)),
        env=toy.env,
        cwd=PROJECT.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(1)
    begun = time.monotonic()
    rolled_back = toy.penstock("rollback", "--why", "complaints")
    print(f"rolled back in {time.monotonic() - begun:.1f} s beside an advance")
    said, _ = advance.communicate()
    assert rolled_back.returncode == 0, rolled_back.stderr
    assert advance.returncode in (0, 2), said
    standing = toy.status()
    assert standing["champion"]["version"] == "2"
    assert standing["endpoint"]["weights"] == {"2": 100}
    assert not standing["active"]
    assert set(toy.ask(20)) == {"2"}
