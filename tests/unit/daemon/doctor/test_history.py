"""The run's own logs: nothing yet, something to go on with, all done, or not to be trusted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoresearch.core.records import IterationRecord, LoopComplete, Started
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.doctor.history import history
from autoresearch.daemon.policy import build_policy
from autoresearch.report import load_records
from autoresearch.storage.exchange_log import ExchangeLog
from autoresearch.storage.run_dir import EXCHANGES, TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_exchange import fake_exchange
from autoresearch.testing.recording_observer import RecordingObserver


def test_nothing_yet(make_settings) -> None:
    settings = make_settings(iters=7)
    check, run, ends = history(settings, build_policy(settings))
    assert (check.state, check.found, run, ends) == ("ok", "new, 7 iterations", Trajectory(), [])


@pytest.mark.parametrize("content", [b"", b'{"seq":0,"stage":"me'], ids=["empty", "torn"])
def test_what_a_run_left_that_could_not_begin_is_nothing_yet(make_settings, content: bytes) -> None:
    """Its corpus was missing, or the power went in its first record: the same command goes on, so nothing is wrong."""
    settings = make_settings()
    settings.run_dir.mkdir()
    (settings.run_dir / TRAJECTORY).write_bytes(content)
    check, run, _ = history(settings, build_policy(settings))
    assert (check.state, run.meta) == ("ok", None)
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"


def test_something_to_go_on_with(make_settings, finished: Path) -> None:
    settings = make_settings(iters=5)
    check, run, ends = history(settings, build_policy(settings))
    assert (check.state, check.found) == ("ok", "continues at iteration 4 of 5")
    whole = load_records(finished)
    assert run == Trajectory.fold(whole)
    assert list(run.iterations) == [r for r in whole if isinstance(r, IterationRecord)], "read again from the file"
    assert [type(r) for r in ends] == [Started, LoopComplete]


def test_all_done_is_worth_a_word(make_settings, finished: Path) -> None:
    settings = make_settings(iters=3)
    check, *_ = history(settings, build_policy(settings))
    assert (check.state, check.found) == ("warn", "all 3 iterations are done")
    assert "--iters 6" in check.hint


def test_begun_differently_is_76(make_settings, finished: Path) -> None:
    settings = make_settings({"baseline.lr": 1e-3}, iters=5)
    check, *_ = history(settings, build_policy(settings))
    assert (check.state, check.exit_code) == ("fail", 76)
    assert "baseline_cfg.lr: 0.002 then, 0.001 now" in check.found
    assert "--fresh" in check.hint


def test_a_torn_tail_is_the_next_daemons_to_repair(make_settings, finished: Path) -> None:
    with (finished / TRAJECTORY).open("ab") as file:
        file.write(b'{"seq":99,"sta')
    settings = make_settings(iters=5)
    assert history(settings, build_policy(settings))[0].state == "ok"


def test_a_damaged_log_is_65_and_names_the_line(make_settings, finished: Path) -> None:
    log = finished / TRAJECTORY
    log.write_bytes(log.read_bytes().replace(b'"seq":3,', b'"seq":9,'))
    settings = make_settings(iters=5)
    check, run, ends = history(settings, build_policy(settings))
    assert (check.state, check.exit_code, run, ends) == ("fail", 65, Trajectory(), [])
    assert "line 4 " in check.found


class TestExchanges:
    @pytest.fixture
    def damaged(self, finished: Path) -> Path:
        log = ExchangeLog(finished)
        for number in (1, 2, 3):
            log.append(fake_exchange(number, "proposal"))
        log.close()
        return finished / EXCHANGES

    @pytest.mark.parametrize("proposer", ["nim", "hybrid", "auto"])
    def test_a_log_of_exchanges_that_cannot_be_gone_on_with_is_65(self, make_settings, damaged: Path, proposer) -> None:
        settings = make_settings(iters=5, proposer=proposer)
        assert history(settings, build_policy(settings))[0].state == "ok"
        damaged.write_bytes(damaged.read_bytes().replace(b'"exchange":2,', b'"exchange":7,'))
        check, run, _ = history(settings, build_policy(settings))
        assert (check.state, check.exit_code) == ("fail", 65)
        assert EXCHANGES in check.found
        assert run.meta

    def test_a_proposer_without_an_llm_does_not_open_it(self, make_settings, damaged: Path) -> None:
        damaged.write_bytes(b"nonsense\nnonsense\n")
        settings = make_settings(iters=5, proposer="tpe")
        assert history(settings, build_policy(settings))[0].state == "ok"


def test_the_run_is_read_and_not_opened(make_settings, finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy"))
    with (copy / TRAJECTORY).open("ab") as file:
        file.write(b"torn")
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    settings = make_settings(iters=5, dir=copy, proposer="nim")
    history(settings, build_policy(settings))
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before
