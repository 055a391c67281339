"""The table of the tests of suite P."""

from __future__ import annotations

import pytest

from autoresearch.benches.proposers.table_file import TableFile
from tests.unit.benches.proposers.worlds import build_table


@pytest.fixture(scope="session")
def table() -> TableFile:
    """The table of ``truth`` with three seeds."""
    return build_table()
