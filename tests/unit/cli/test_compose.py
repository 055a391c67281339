"""``compose`` of a parallel run that was stopped: what is open is finished, and counts as none of the new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoresearch.cli import run as run_command
from autoresearch.core.records import EvalFailed, Evaluated, Proposed, encode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.run_settings import write_run_settings
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import TRAJECTORY
from tests.unit.core.loop_world import records
from tests.unit.core.test_parallel_loop import parallel


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings with which the run would be continued."""
    found: list[Any] = []
    monkeypatch.setattr(run_command, "run_settings", lambda settings, *_: found.append(settings))
    return found


def save(run_dir: Path, found: list[Any]) -> Path:
    run_dir.mkdir()
    journal = Journal(run_dir / TRAJECTORY)
    for record in found:
        journal.append(encode(record))
    journal.close()
    return run_dir


@pytest.mark.parametrize("last", [Evaluated, Proposed])
def test_open_iterations_are_finished_and_do_not_count(
    cli: Any, make_settings: Any, tmp_path: Path, chosen: list[Any], last: type
) -> None:
    loop = parallel(make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=7), 3, 1)
    loop.run()
    found = records(loop)
    cut = next(
        n
        for n, record in enumerate(found, 1)
        if isinstance(record, last) and len(Trajectory.fold(found[:n]).candidates) > 1
    )
    run = Trajectory.fold(found[:cut])
    closed = sum(isinstance(r, Evaluated | EvalFailed) for r in found[:cut])
    assert run.highest_iter > closed
    code, _, said = cli("compose", str(save(tmp_path / "parallel", found[:cut])), "--most", "5")
    assert code == 0, said
    assert chosen[0].iters == run.highest_iter + 5


def test_open_iterations_behind_a_later_closing_are_seen(
    cli: Any, make_settings: Any, tmp_path: Path, chosen: list[Any]
) -> None:
    """Also where nothing is left to combine."""
    loop = parallel(make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=7), 3, 1)
    loop.run()
    found = records(loop)
    cut = next(
        n
        for n, record in enumerate(found, 1)
        if isinstance(record, Evaluated) and min(Trajectory.fold(found[:n]).candidates, default=99) < record.iter
    )
    code, out, said = cli("compose", str(save(tmp_path / "parallel", found[:cut])))
    assert code == 0, said
    assert "nothing is left" not in out + said
    assert len(chosen) == 1


def test_it_takes_what_the_run_was_started_with(
    cli: Any, make_settings: Any, tmp_path: Path, chosen: list[Any]
) -> None:
    given = make_settings({"baseline.lr": 3e-4, "limits.memory_gib": 0.5, "dir": tmp_path / "run"}, iters=3)
    loop = parallel(given, 2, 1)
    loop.run()
    found = records(loop)
    cut = next(n for n, r in enumerate(found, 1) if isinstance(r, Proposed))
    run_dir = save(tmp_path / "run", found[:cut])
    write_run_settings(given, print)
    assert cli("compose", str(run_dir))[0] == 0
    assert cli("compose", str(run_dir), "--set", "limits.memory_gib=1")[0] == 0
    assert [(s.limits.memory_gib, s.baseline["lr"], s.compose) for s in chosen] == [
        (0.5, 3e-4, "only"),
        (1, 3e-4, "only"),
    ]
