"""A command is waited for with a bound, whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from autoresearch.daemon import bounded_run
from autoresearch.daemon.bounded_run import run_bounded


def python(code: str, deadline_s: float = 30.0) -> tuple[int, str]:
    return run_bounded([sys.executable, "-c", code], os.environ, deadline_s)


def test_the_exit_code_and_the_end_of_the_errors_are_returned() -> None:
    assert python("import sys; print('out'); sys.stderr.write('why'); sys.exit(3)") == (3, "why")
    code, text = python("import sys; sys.stderr.write('x' * 200_000 + 'the end')")
    assert (code, len(text), text[-7:]) == (0, bounded_run.MAX_OUTPUT_BYTES, "the end")


def test_a_child_that_hangs_is_killed_with_what_it_started() -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        python(code, 0.5)
    assert time.monotonic() - began < 30, "the sleep lasts 60 s"


def test_a_grandchild_that_holds_its_output_is_not_waited_for() -> None:
    began = time.monotonic()
    assert python("import subprocess; subprocess.Popen(['sleep', '20'])")[0] == 0
    assert time.monotonic() - began < 15


def test_a_child_that_cannot_be_killed_is_left_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an uninterruptible system call: SIGKILL has no effect."""
    monkeypatch.setattr(bounded_run, "KILL_DEADLINE_S", 0.2)
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _number: killed.append(pid))
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        python("import time; time.sleep(60)", 0.3)
    assert time.monotonic() - began < 30
    (pid,) = killed
    os.kill(pid, 9)
