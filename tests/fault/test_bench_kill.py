"""A bench run that is killed at any byte of its journal ends, when it is started again, in the same figures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.run_directory import read_run
from autoresearch.testing.fake_chat import FakeChat
from autoresearch.testing.fake_suite import fake_cases
from tests.engine_world import CASES, oracle, result, run_bench
from tests.fake_llm import FakeLlm, Wire, says

ROOT = Path(__file__).parents[2]
TWO = fake_cases("a", "b/c")


def partly_right(messages: Sequence[Any]) -> str:
    """Right but for one case: figures that are not all alike."""
    return "wrong" if oracle(messages) == "b/c" else oracle(messages)


def outcome(run: BenchRun) -> dict[Any, Any]:
    """All that a figure can depend on: each trial's result with its latest grade."""
    return {
        pair: (g.trial.status, g.trial.answer, {n: (grade.score, grade.answer) for n, grade in g.grades.items()})
        for pair, g in run.trials.items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never killed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    assert run_bench(path, lambda: FakeChat(partly_right), cases=TWO).reason == "complete"
    return path


def cuts(journal: bytes) -> list[int]:
    """After each record, and inside of each: at its beginning, in its middle, before its newline."""
    ends = [i + 1 for i, byte in enumerate(journal) if byte == ord("\n")]
    starts = [0, *ends[:-1]]
    inside = [at for a, b in zip(starts, ends, strict=True) for at in (a + 1, (a + b) // 2, b - 1)]
    return sorted({0, *ends, *inside})


def test_a_kill_at_any_append_leads_to_the_same_figures(whole: Path, tmp_path: Path) -> None:
    journal = (whole / "trials.jsonl").read_bytes()
    expected, figures = outcome(read_run(whole)), result(whole)[1]
    places = cuts(journal)
    assert len(places) == 4 * (1 + 2 * 4 + 1) + 1
    for at in places:
        path = tmp_path / str(at)
        shutil.copytree(whole, path, ignore=shutil.ignore_patterns("trials.jsonl"))
        (path / "trials.jsonl").write_bytes(journal[:at])
        asked = FakeChat(partly_right)
        recorded = journal[: journal.rfind(b"\n", 0, at) + 1].count(b'"stage":"trial"')
        assert run_bench(path, lambda chat=asked: chat, cases=TWO).reason == "complete"
        assert outcome(read_run(path)) == expected, at
        assert result(path)[1] == figures
        assert len(asked.requests) == 4 - recorded, "a recorded attempt was made again"
        shutil.rmtree(path)


def test_a_kill_before_the_first_record_leaves_nothing_that_is_in_the_way(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(whole / "cases.jsonl", tmp_path / "run/cases.jsonl")
    (tmp_path / "run/cases.jsonl").write_bytes(b"half a fi")
    assert run_bench(tmp_path / "run", lambda: FakeChat(partly_right), cases=TWO).reason == "complete"
    assert outcome(read_run(tmp_path / "run")) == outcome(read_run(whole))


COMMAND = """
    import sys
    from autoresearch.benches import suites
    suites.SUITES["samples"] = ("autoresearch.testing.fake_suite", "FakeSuite")
    from autoresearch.cli.main import main
    sys.exit(main(sys.argv[1:]))
"""


def command(server: FakeLlm, folder: Path, *more: str) -> list[str]:
    """``bench run`` with the small suite, in a process of its own."""
    source = folder / "cases.jsonl"
    source.write_text("".join(f"{json.dumps(case.payload | {'id': case.id})}\n" for case in CASES.cases))
    run = [
        "bench",
        "run",
        "samples",
        str(source),
        "--dir",
        str(folder / "run"),
        "--base-url",
        server.base_url,
        "-k",
        "2",
    ]
    return [sys.executable, "-c", textwrap.dedent(COMMAND), *run, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def answer(wire: Wire) -> None:
    says(partly_right(wire.request.body["messages"]))(wire)


@pytest.mark.slow
def test_sigkill_of_the_real_command_loses_nothing(tmp_path: Path) -> None:
    """Killed by the server, while it is asked for each of the six attempts in turn."""
    kills: list[int] = []
    running: list[subprocess.Popen[bytes]] = []

    def kill_once_each(wire: Wire) -> None:
        if len(kills) < 6 and len(server.chats) > 2 * len(kills):
            kills.append(len(server.chats))
            running[-1].send_signal(signal.SIGKILL)
            wire.wait_until_gone()
        else:
            answer(wire)

    with FakeLlm(kill_once_each) as server:
        for _ in range(10):
            running.append(
                subprocess.Popen(command(server, tmp_path), env=environment(), stdout=subprocess.DEVNULL, stderr=-1)
            )
            _, problem = running[-1].communicate(timeout=60)
            if running[-1].returncode == 0:
                break
            assert running[-1].returncode == -signal.SIGKILL, problem
    assert len(kills) >= 3
    run_bench(tmp_path / "other", lambda: FakeChat(partly_right))
    assert outcome(read_run(tmp_path / "run")) == outcome(read_run(tmp_path / "other"))


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_of_the_real_command(tmp_path: Path, signals: int) -> None:
    """Once: the attempt under way is recorded. Twice: it is not. Both end in good order, as ``run`` does."""
    import threading

    interrupted, noticed = threading.Event(), threading.Event()

    def interrupt(wire: Wire) -> None:
        if interrupted.is_set():
            answer(wire)
            return
        interrupted.set()
        process.send_signal(signal.SIGINT)
        assert noticed.wait(20)
        if signals == 2:
            process.send_signal(signal.SIGINT)
            wire.wait_until_gone()
        else:
            answer(wire)

    with FakeLlm(interrupt) as server:
        process = subprocess.Popen(
            command(server, tmp_path), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "SIGINT: stopping" in line:
                noticed.set()
        noticed.set()
        output = process.stdout.read() if process.stdout else ""
        assert process.wait(20) == 0, lines
        process.stderr.close()
        if process.stdout:
            process.stdout.close()
        assert len(read_run(tmp_path / "run").trials) == (1 if signals == 1 else 0)
        assert "stopped" in output
        again = subprocess.run(
            command(server, tmp_path), env=environment(), capture_output=True, timeout=60, check=True
        )
        assert b"4 of 6 right" in again.stdout
