"""Progress of a bench run: lines without a terminal, a bar on one, nothing that can control either."""

from __future__ import annotations

import io

from autoresearch.benches.records import BenchTrial, Grade, Unavailable
from autoresearch.cli.bench_progress import MAX_SHOWN_FAILURES, BenchProgress
from tests.engine_world import Clock

TS = "2026-01-01T00:00:00.000Z"
TRIAL = BenchTrial(ts=TS, case="a", sample=0, status="finished", answer="a")
RIGHT = Grade(ts=TS, trial=1, grader="fake@1", score=1.0, correct=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_now_and_then_with_the_time_that_is_left() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = BenchProgress(stream, clock)
    progress.planned(10, 110)
    for done in range(11, 111):
        clock.now += 7
        progress.recorded(TRIAL, RIGHT)
        progress.planned(done, 110)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "10 of 110 attempts"
    assert lines[1] == "15 of 110 attempts, 5 correct, 11:05 left"
    assert lines[-1] == "110 of 110 attempts, 100 correct"
    assert len(lines) == 1 + 100 // 5


def test_hours() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = BenchProgress(stream, clock)
    progress.planned(0, 101)
    clock.now += 60
    progress.planned(1, 101)
    assert stream.getvalue().splitlines()[-1] == "1 of 101 attempts, 1:40:00 left"


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    progress = BenchProgress(stream, Clock())
    progress.planned(0, 2)
    progress.recorded(TRIAL, RIGHT)
    progress.planned(1, 2)
    progress.notify("a message")
    drawn = len(stream.getvalue())
    progress.heartbeat()
    assert len(stream.getvalue()) > drawn
    drawn = len(stream.getvalue())
    progress.heartbeat()
    assert len(stream.getvalue()) == drawn, "once a second"
    progress.done()
    progress.done()
    assert "a message" in stream.getvalue()
    assert "1/2" in stream.getvalue()


def test_failures_are_shown_up_to_a_number_and_escaped() -> None:
    stream = io.StringIO()
    progress = BenchProgress(stream, Clock())
    record = Unavailable(ts=TS, case="a\x1b[2J", sample=0, cause="timeout", detail="\x1b]0;title\x07")
    for _ in range(MAX_SHOWN_FAILURES + 50):
        progress.unavailable(record)
    lines = stream.getvalue().splitlines()
    assert len(lines) == MAX_SHOWN_FAILURES + 1
    assert "\x1b" not in stream.getvalue()
    assert lines[0].endswith("timeout: \\x1b]0;title\\x07")
    assert "trials.jsonl" in lines[-1]


def test_a_grader_that_fails_is_reported() -> None:
    stream = io.StringIO()
    broken = Grade(ts=TS, trial=1, grader="fake@1", score=None, correct=None, detail={"error": "ValueError: x"})
    BenchProgress(stream, Clock()).recorded(TRIAL, broken)
    assert "the grader failed: ValueError: x" in stream.getvalue()


def test_a_stop_says_what_a_second_one_does() -> None:
    stream = io.StringIO()
    BenchProgress(stream, Clock()).stopping("SIGINT", 3)
    assert "3 under way are finished first; a second Ctrl-C stops at once" in stream.getvalue()


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.StringIO()
    progress = BenchProgress(stream, Clock())
    stream.close()
    progress.planned(0, 1)
    progress.notify("x")
