"""What a candidate costs is checked against the memory that is free now."""

from __future__ import annotations

from typing import Any

from autoresearch.daemon import cost_check
from autoresearch.daemon.cost_check import backend_limits, build_cost_check
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from rails import Estimate


def test_memory_is_read_once_a_second_and_not_for_each_of_hundreds_of_candidates(make_settings, monkeypatch) -> None:
    free, now, reads = [1000], [0.0], []
    monkeypatch.setattr(cost_check, "spare_bytes", lambda: reads.append(now[0]) or free[0])
    estimator: Any = lambda cfg: Estimate(peak_bytes=cfg["d_model"], time_ratio=1.0)  # noqa: E731
    check = build_cost_check(TrialBackend(FakeTrial(), YARDSTICK, estimator), make_settings(), lambda: now[0])
    assert [bool(check({"d_model": d})) for d in (1, 999, 1001)] == [False, False, True]
    assert reads == [0.0]
    free[0], now[0] = 500, 1.0
    assert check({"d_model": 999})
    assert reads == [0.0, 1.0]
    assert build_cost_check(TrialBackend(FakeTrial(), YARDSTICK, None), make_settings())({"d_model": 10**9}) == ""


def test_of_the_memory_that_a_command_reports_only_the_users_limit_counts(make_settings, monkeypatch) -> None:
    """It may be that of another device: the free memory of this machine says nothing about it."""
    monkeypatch.setattr(cost_check, "spare_bytes", lambda: 16 << 30)
    reported = {"command.argv": ["true"], "command.peak_memory_pattern": r"peak (\S+)"}
    backend = TrialBackend(FakeTrial(), YARDSTICK, None)

    def limit(**limits: Any) -> int | None:
        settings = make_settings({**reported, **limits}, trainer="command")
        return backend_limits(backend, settings).memory_bytes

    assert limit(**{"limits.memory_gib": 70}) == 70 << 30
    assert limit() == cost_check.NO_MEMORY_LIMIT
