from pathlib import Path

import numpy as np

from penstock.components.compute_statistics.report import write_report
from tests.components.compute_statistics.tables import describe


def page_of(tmp_path: Path, columns: dict[str, object], slices: list[str] | None = None) -> str:
    path = tmp_path / "report.html"
    write_report(describe(tmp_path / "data", columns, slices or []), path)
    return path.read_text(encoding="utf-8")


def test_names_no_value_of_fewer_than_five_rows(tmp_path: Path) -> None:
    page = page_of(tmp_path, {"city": ["Rom"] * 20 + ["Ulm"] * 5 + ["Secretville"] * 4})
    assert "Rom" in page
    assert "Ulm" in page
    assert "Secretville" not in page
    assert "other" in page


def test_fetches_nothing(tmp_path: Path) -> None:
    page = page_of(tmp_path, {"x": [1.0, 2.0], "y": ["a", "b"]})
    assert "http" not in page
    assert "<script" not in page


def test_a_thousand_columns_stay_under_a_megabyte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    page = page_of(tmp_path, {f"column_{i}": rng.normal(size=300) for i in range(1_000)})
    assert len(page.encode()) < 1_000_000
    assert "column_<wbr>999" in page
    assert "50 columns in detail" in page


def test_says_which_columns_are_worth_a_look(tmp_path: Path) -> None:
    columns = {"empty": [None, None, None, None], "same": [1, 1, 1, 1], "odd": [1.0, float("nan"), 2.0, 3.0]}
    import pyarrow as pa

    page = page_of(tmp_path, columns | {"empty": pa.array(columns["empty"], pa.string())})
    assert "empty holds no value at all" in page
    assert "same has the same value in every row that has one" in page
    assert "odd holds 1 NaN and 0 infinite values" in page


def test_compares_slices_beside_each_other(tmp_path: Path) -> None:
    columns = {"kind": ["a"] * 6 + ["b"] * 5 + ["rare"] * 2, "x": [1.0] * 6 + [3.0] * 5 + [9.0] * 2}
    page = page_of(tmp_path, columns, ["kind"])
    assert "By kind" in page
    assert "2 of 3 slices; the others are smaller or hold fewer than 5 rows" in page
    assert "rare" not in page
