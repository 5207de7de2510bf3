from pathlib import Path
from typing import Any

import pytest

from penstock.components.model_registry.store import StoredRun, Version
from penstock.components.register_model.card import make_card
from penstock.components.register_model.card_pages import markdown, write_html
from penstock.components.register_model.facts import Data, Facts, read_facts
from penstock.components.register_model.limitations import limitations, worst_first
from penstock.components.register_model.registration import Registered
from tests.components.register_model.samples import (
    PARAMETERS,
    against_champion,
    evaluation,
    group,
    slice_of,
    write_inputs,
)

FROM_DATA = ("source", "query", "since", "until", "watermark", "rows", "split_rows", "drift")


def facts(folder: Path, rules: list[dict[str, Any]] | None = None, **changed: Any) -> Facts:
    judged = {name: changed.pop(name) for name in ("overall", "slices", "champion_note") if name in changed}
    inputs = write_inputs(folder, judged=evaluation(**judged), rules=rules)
    given = {**PARAMETERS, **changed}
    return read_facts(
        *(inputs[name] for name in ("model", "evaluation", "rules", "app")),
        Data(**{name: given[name] for name in FROM_DATA}),
        **{
            name: given[name]
            for name in ("model_name", "run_id", "app_version", "code_version", "verdict", "champion_version")
        },
        label=given["label_spec"],
    )


def registered(promoted: bool = True, note: str = "") -> Registered:
    version = Version("taxi", 3, "/kept/model", "r1", created_ms=1_795_255_200_000)
    return Registered(version, StoredRun("r1", "register_model", "RUNNING", "/kept", 0), promoted, note)


def test_the_card_tells_what_happened(tmp_path: Path) -> None:
    text = markdown(make_card(facts(tmp_path), registered()))
    assert text.startswith(
        "# Model card: taxi, version 3\n\nWhether a trip ends with a big tip.\n\n**version 3 is the champion**\n\n"
        "- auc: 0.800 (0.780 to 0.820)\n- Champion: none to compare with\n- Test rows: 1,500\n"
        "- Training rows: 7,000\n- Data: before 2015-01-01\n- Verdict: pass\n- Drift of the data: none\n"
        "- Registered: 2026-11-21 10:00 UTC\n"
    )
    for line in (
        "The probability that big_tip is 'true', and the likelier of the two classes.",
        "| auc | higher | 0.800 (0.780 to 0.820) |",
        "| payment = Cash | 560 | 0.600 (0.580 to 0.620) |",
        "| auc min | pass | auc 0.80 is at least 0.7: pass |",
        "| train | 7,000 | 70.0 % |",
        "| drop rows with fare &lt;= 0 | no fare |",
        "| payment | text |",
        "| hidden_units | 64, 32 |",
        "| tensorflow | 2.21.0 |",
        "| Pipeline run | run-1 |",
    ):
        assert line in text.splitlines()


def test_the_card_compares_with_the_champion(tmp_path: Path) -> None:
    made = facts(tmp_path, overall=against_champion(0.03), champion_version="2")
    card = make_card(made, registered())
    assert card.facts["Against champion 2"] == "better"
    line = "| auc | higher | 0.800 (0.780 to 0.820) | 0.770 (0.750 to 0.790) | better by 0.030 (0.020 to 0.040) |"
    assert line in markdown(card).splitlines()


def test_the_card_of_a_model_that_is_not_the_champion_says_why(tmp_path: Path) -> None:
    card = make_card(facts(tmp_path), registered(promoted=False, note="promotion is turned off"))
    assert (card.level, card.headline) == (
        "info",
        "version 3 is registered, not the champion: promotion is turned off",
    )


def test_the_card_is_the_same_each_time(tmp_path: Path) -> None:
    made = facts(tmp_path)
    for name in ("a", "b"):
        write_html(make_card(made, registered()), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_page_escapes_what_comes_from_data(tmp_path: Path) -> None:
    slices = [slice_of("payment", "<script>alert(1)</script>|x", 500, 0.7)]
    card = make_card(facts(tmp_path, slices=slices), registered())
    write_html(card, tmp_path / "card.html")
    assert "<script>" not in (tmp_path / "card.html").read_text()
    assert "&lt;script>alert(1)&lt;/script>\\|x" in markdown(card)


def test_slices_come_worst_first_and_those_without_a_value_last(tmp_path: Path) -> None:
    slices = [
        slice_of("a", "undefined", 500, None),
        slice_of("a", "good", 500, 0.9),
        slice_of("a", "bad", 500, 0.6),
    ]
    found = worst_first(facts(tmp_path, slices=slices))
    assert [group["name"] for group in found] == ["a = bad", "a = good", "a = undefined"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "There was no champion to compare it with: it is good enough by its thresholds alone."),
        (
            {},
            "It is clearly weaker in some slices (auc 0.800 (0.780 to 0.820) on all rows): "
            "payment = Cash, 0.600 (0.580 to 0.620) on 560 rows.",
        ),
        (
            {},
            "How good it is cannot be said for 1 slice with fewer than 100 test rows: payment = Voucher (40).",
        ),
        ({}, "It knows nothing of what happened from 2015-01-01 on."),
        (
            {"drift": "drifted"},
            "Its training data differ from those before (drift): "
            "what was known of the model before it may not hold.",
        ),
        (
            {"overall": against_champion(0.005), "champion_version": "2"},
            "Whether it beats champion version 2 is open: "
            "auc shows no difference that the data can show, +0.005 (-0.005 to +0.015).",
        ),
        (
            {"champion_note": "its inputs are others"},
            "It could not be compared with the champion: its inputs are others.",
        ),
        ({"slices": [slice_of("a", "x", 500, None)]}, "auc is undefined where a = x."),
        (
            {"rules": [{"name": "spread", "verdict": "warn", "sentence": "the spread is 0.2: warn"}]},
            "A rule warned: the spread is 0.2: warn.",
        ),
    ],
)
def test_limitations_are_derived_from_facts(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    assert sentence in limitations(facts(tmp_path, **changed))


def test_a_model_that_clearly_beats_the_champion_has_no_such_limitation(tmp_path: Path) -> None:
    made = facts(tmp_path, overall=against_champion(0.03), champion_version="2", slices=[], until="")
    assert limitations(made) == [
        "The evaluation shows none beyond what every model has: it knows only data like its own."
    ]


def test_a_slice_that_chance_alone_could_make_the_worst_is_no_limitation(tmp_path: Path) -> None:
    slices = [slice_of("a", "x", 500, 0.75, 0.04)]
    assert not any("weaker" in sentence for sentence in limitations(facts(tmp_path, slices=slices)))


def test_few_test_rows_are_a_limitation(tmp_path: Path) -> None:
    made = facts(tmp_path, overall=group(300, 0.8))
    made.evaluation["rows"] = 300  # type: ignore[index]
    assert "It was judged on 300 test rows only: the intervals are wide." in limitations(made)
