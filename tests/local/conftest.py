from pathlib import Path

import pytest

from tests.local.toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A fresh toy project."""
    return Toy(tmp_path / "project")
