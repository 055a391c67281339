"""The end of a run that is in progress is shown in the local time of its daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from autoresearch.report.end_time import describe_end
from autoresearch.report.history import History

NOW = datetime(2026, 11, 26, 21, 18, tzinfo=UTC)
RUNNING = History("autoresearch", (), state="running", ends_at="2026-11-27T06:30:00+01:00", zone="CET")


def test_it_has_the_daemon_s_zone_and_the_time_that_is_left() -> None:
    assert describe_end(RUNNING, NOW) == "ends 06:30 CET, in 8 h 12 min"
    assert describe_end(replace(RUNNING, state="paused", zone=None), NOW) == "ends 06:30 UTC+01:00, in 8 h 12 min"


@pytest.mark.parametrize(
    "changes",
    [
        *({"state": "stopped"}, {"state": "complete"}, {"ends_at": None}, {"ends_at": "soon"}),
        *({"ends_at": "2026-11-27T06:30:00"}, {"ends_at": "2026-11-26T22:00:00+01:00"}),
    ],
)
def test_it_is_empty_where_no_time_ends_the_run(changes: dict) -> None:
    assert describe_end(replace(RUNNING, **changes), NOW) == ""


def test_a_zone_of_a_foreign_log_is_printable() -> None:
    assert "\u202e" not in describe_end(replace(RUNNING, zone="C\u202eT"), NOW)
