"""Tables for the tests of `compare`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compared_rows import MakeTables, maker


@pytest.fixture
def tables(tmp_path: Path) -> MakeTables:
    """Writes the examples and both models' predictions."""
    return maker(str(tmp_path / "data"))
