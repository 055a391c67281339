"""What the tests of the page share: a night that grows, and the report's packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live_night import LiveNight

pytest.importorskip("jinja2", reason="the page is made of parts of the report: pip install 'autoresearch[report]'")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[LiveNight]:
    """A run at work in ``tmp_path / "runs/night"``, of which nothing is written yet."""
    made = LiveNight(tmp_path / "runs/night", 60)
    made.begin()
    yield made
    made.end()
