"""The reader on which the contract tests stand reads what Python would."""

from pathlib import Path

import pytest

from penstock.nearest import nearest
from penstock.signature import Parameter, read_fields, read_signature

SOURCE = '''\
from typing import NamedTuple

class Outputs(NamedTuple):
    """Output parameters."""

    rows: int
    names: list

def run(model: kinds.InputArtifact, *, limit: float, seed: int = 250_000, slices: list = []) -> Outputs:
    """Run."""
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with a function."""
    (tmp_path / "step.py").write_text(SOURCE)
    return tmp_path / "step.py"


def test_parameters_before_and_after_the_star_keep_order_type_and_default(path: Path) -> None:
    signature = read_signature(path, "run")
    assert list(signature.parameters.values()) == [
        Parameter("model", "InputArtifact", True),
        Parameter("limit", "float", True),
        Parameter("seed", "int", False, 250_000),
        Parameter("slices", "list", False, []),
    ]
    assert (signature.returns, signature.docstring) == ("Outputs", "Run.")


def test_fields_of_a_named_tuple(path: Path) -> None:
    assert read_fields(path, "Outputs") == {"rows": "int", "names": "list"}
    assert read_fields(path, "Other") == {}


def test_missing_function_is_an_error(path: Path) -> None:
    with pytest.raises(LookupError, match="defines no function 'walk'"):
        read_signature(path, "walk")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("payment", "payment_type"),
        ("fair", "fare"),
        ("FARE", "fare"),
        ("trip_mile", "trip_miles"),
        ("zzz", None),
        ("", None),
    ],
)
def test_nearest_word(word: str, found: str | None) -> None:
    assert nearest(word, ["fare", "payment_type", "trip_miles", "trip_seconds"]) == found
