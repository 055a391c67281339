"""Whether the proposer can be put together: its package, or what it repeats."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor.check import Check
from autoresearch.daemon.doctor.proposer import proposer
from autoresearch.daemon.policy import build_policy
from autoresearch.proposers.space import Space
from autoresearch.storage.exchange_log import ExchangeLog
from autoresearch.testing.fake_exchange import fake_exchange


def poll(settings: Settings) -> Check:
    policy = build_policy(settings)
    return proposer(settings, Space(policy.menu, policy.baseline, policy.steps))


@pytest.mark.parametrize("name", ["auto", "hybrid", "nim", "tpe", "random"])
def test_each_by_its_name(make_settings, name: str) -> None:
    check = poll(make_settings(proposer=name))
    assert (check.state, check.found) == ("ok", name)


@pytest.mark.parametrize(("name", "code"), [("auto", 0), ("hybrid", 0), ("tpe", 69), ("nim", 0), ("random", 0)])
def test_without_optuna(make_settings, monkeypatch, name: str, code: int) -> None:
    monkeypatch.delitem(sys.modules, "autoresearch.proposers.tpe", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    check = poll(make_settings(proposer=name))
    assert check.exit_code == code
    assert ("autoresearch[run]" in check.hint) == bool(code)


class TestReplay:
    def test_of_nothing_is_78(self, make_settings) -> None:
        check = poll(make_settings(proposer="replay"))
        assert (check.state, check.exit_code) == ("fail", 78)
        assert "--replay-from" in check.hint

    def test_of_a_missing_file_is_74_with_every_proposer(self, make_settings, tmp_path: Path) -> None:
        for name in ("replay", "random"):
            check = poll(make_settings({"replay_from": str(tmp_path / "nowhere")}, proposer=name))
            assert (check.state, check.exit_code) == ("fail", 74)

    def test_of_a_run(self, make_settings, finished: Path) -> None:
        check = poll(make_settings({"replay_from": str(finished)}, proposer="replay"))
        assert (check.state, check.found) == ("ok", f"replay, 3 replies of {finished}")

    def test_of_exchanges(self, make_settings, tmp_path: Path) -> None:
        log = ExchangeLog(tmp_path)
        for number in (1, 2):
            log.append(fake_exchange(number, "proposal", n=number))
        log.close()
        check = poll(make_settings({"replay_from": str(log.live)}, proposer="replay"))
        assert (check.state, check.found) == ("ok", f"replay, 2 replies of {log.live}")

    def test_of_exchanges_that_held_no_proposal_is_78(self, make_settings, tmp_path: Path) -> None:
        log = ExchangeLog(tmp_path)
        log.append(fake_exchange(1))
        log.close()
        check = poll(make_settings({"replay_from": str(log.live)}, proposer="replay"))
        assert (check.state, check.exit_code) == ("fail", 78)
