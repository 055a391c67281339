"""``autoresearch envelope``."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from autoresearch.core.ports import Interrupted
from autoresearch.daemon import envelope
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_timer import FakeTimer, fake_speed


@pytest.fixture
def measure(cli, monkeypatch, tmp_path):
    """``autoresearch envelope`` on two points, measured by a fake."""
    monkeypatch.setattr(envelope, "real_backend", fake_backend)

    def call(*argv: str, to: Path = tmp_path / "run") -> tuple[int, str, str]:
        return cli("envelope", "--dir", str(to), "--batch-size", "4,8", "--seq-len", "64", *argv)

    return call


def test_an_envelope_is_a_line_as_each_point_comes_then_a_table_and_where_it_is(measure, tmp_path):
    code, out, err = measure("--precision", "fp32")
    assert (code, err) == (0, "")
    assert re.search(r"^  1/2 +4 +64  fp32 ", out, re.MULTILINE)
    table = out[out.index("batch") :]
    assert re.search(r"^ +8 +64 +fp32 +990,000 +1,000,000 ", table, re.MULTILINE)
    assert str(tmp_path / "run" / "envelope.jsonl") in out
    assert "R7 estimates time from these speeds" in out
    assert measure("--precision", "fp32")[1].count("2 of 2 points are measured already") == 1
    other = measure("--precision", "bf16", to=tmp_path / "other")[1]
    assert "R7 estimates time from FLOPs alone: the baseline's 8 x 64 fp32 is not measured" in other


def test_an_envelope_as_json_keeps_stdout_for_it(measure):
    code, out, err = measure("--json", "--steps", "7")
    shown = json.loads(out)
    assert code == 0
    assert [row["steps"] for row in shown["points"]] == [7] * 4
    assert "1/4" in err


def test_the_picture_goes_where_it_is_asked_to(measure, tmp_path):
    pytest.importorskip("matplotlib")
    assert str(tmp_path / "mine.svg") in measure("--plot", str(tmp_path / "mine.svg"))[1]
    assert (tmp_path / "mine.svg").read_text().lstrip().startswith("<?xml")
    assert str(tmp_path / "run" / "envelope.png") in measure()[1]


def test_without_matplotlib_there_is_a_table_and_no_picture_unless_it_was_asked_for(measure, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, _ = measure()
    assert (code, "plot " in out) == (0, False)
    code, _, err = measure("--plot", "mine.png", to=tmp_path / "other")
    assert code == 69
    assert "autoresearch[plot]" in err
    assert not (tmp_path / "other").exists(), "before anything is measured"


def test_an_envelope_with_wrong_values_is_78(measure):
    assert measure("--precision", "fp64")[0] == 78
    assert measure("--plot", "mine.pdf")[0] == 78


def test_an_envelope_beside_a_daemon_is_75(measure, finished):
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711})
    try:
        assert measure(to=finished)[0] == 75
    finally:
        lock.release()


def test_an_interrupted_envelope_shows_what_there_is_and_is_130(measure, monkeypatch):
    def struck(_timer, cfg, *_how):
        if cfg["batch_size"] == 8:
            os.kill(os.getpid(), signal.SIGINT)
            raise Interrupted("stopped at once")
        return fake_speed(512)

    monkeypatch.setattr(FakeTimer, "speed", struck)
    code, out, _ = measure("--precision", "fp32")
    assert code == 130
    assert "990,000" in out
    assert "ended by SIGINT, 1 of 2 points to go: the same command resumes" in out
