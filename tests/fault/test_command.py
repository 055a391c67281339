"""Commands that misbehave: each ends as a record, and nothing of it is left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.trials.command.output import KEPT_HEAD_BYTES, KEPT_TAIL_BYTES
from autoresearch.trials.command.process_tree import MARKER, kill_marked, marked
from tests.command_trial import make_command_trial

PYTHON = (sys.executable, "-I", "-S")


def ignore(*_progress: object) -> None:
    pass


def outcome_of(folder: Path, script: str, **settings: Any) -> Any:
    """What becomes of a trial of this script; ``METRIC loss=0.5`` is what it should print."""
    path = folder / "train.py"
    path.write_text(script)
    found = {"argv": (*PYTHON, str(path)), "metric": "loss", **settings}
    return make_command_trial(folder, **found).measure({}, 0, ignore)


def failure_of(folder: Path, script: str, **settings: Any) -> Failure:
    outcome = outcome_of(folder, script, **settings)
    assert isinstance(outcome, Failure)
    return outcome


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    time.sleep(0.01)
print("METRIC loss=0.5")
"""


def test_a_process_that_detached_ends_with_the_trial_and_the_measurement_counts(tmp_path: Path) -> None:
    notes: list[str] = []
    outcome = outcome_of(tmp_path, DAEMON, argv=(*PYTHON, "train.py", "pid"), notify=notes.append)
    assert isinstance(outcome, Measurement)
    pid = int((tmp_path / "pid").read_text())
    assert not marked(f"test{os.getpid()}:")
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert "left 1 processes behind" in notes[0]


def test_a_flood_of_output_fills_neither_memory_nor_disk(tmp_path: Path) -> None:
    script = "import sys\nfor _ in range(64): sys.stdout.write(('x' * 99 + chr(10)) * 2000)\nprint('METRIC loss=0.5')\n"
    assert isinstance(outcome_of(tmp_path, script), Measurement)
    (log,) = (tmp_path / "logs").glob("*.stdout")
    assert log.stat().st_size <= KEPT_HEAD_BYTES + KEPT_TAIL_BYTES + 100
    assert log.read_bytes().endswith(b"METRIC loss=0.5\n")
    assert b"bytes left out" in log.read_bytes()


def test_one_endless_line_is_bounded_too(tmp_path: Path) -> None:
    script = "import sys\nfor _ in range(40): sys.stdout.write('x' * 100000)\nprint()\nprint('METRIC loss=0.5')\n"
    assert isinstance(outcome_of(tmp_path, script), Measurement)


def test_of_a_metric_that_is_printed_twice_the_last_counts_and_the_count_is_recorded(tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, "print('METRIC loss=0.9')\nprint('METRIC loss=0.5')\n")
    assert (outcome.value, outcome.metric_count, outcome.val_bpb) == (0.5, 2, None)


@pytest.mark.parametrize(
    ("text", "cause", "detail"),
    [
        ("nan", Cause.NON_FINITE_LOSS, "diverged: loss is nan"),
        ("-inf", Cause.NON_FINITE_LOSS, "diverged: loss is -inf"),
        ("great", Cause.GARBAGE, "'great', which is not a number"),
        ("", Cause.EXITED, "exit code 0 without a metric: no line of stdout matches 'METRIC loss=VALUE'"),
    ],
)
def test_what_is_not_a_number_is_a_failure_by_name(tmp_path: Path, text: str, cause: Cause, detail: str) -> None:
    failure = failure_of(tmp_path, f"print('METRIC loss={text}')" if text else "print('done')")
    assert failure.cause is cause
    assert detail in failure.detail


def test_a_metric_before_a_failure_does_not_count(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, "print('METRIC loss=0.5')\nraise RuntimeError('CUDA out of memory')\n")
    assert (failure.cause, failure.exit_code) == (Cause.OUT_OF_MEMORY, 1)
    assert "RuntimeError: CUDA out of memory" in failure.detail


def test_bits_per_byte_are_above_0_and_go_into_val_bpb(tmp_path: Path) -> None:
    assert failure_of(tmp_path, "print('METRIC val_bpb=0')", metric="val_bpb").cause is Cause.GARBAGE
    outcome = outcome_of(tmp_path, "print('METRIC val_bpb=1.25')", metric="val_bpb")
    assert (outcome.val_bpb, outcome.metric) == (1.25, None)


STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
open("started", "a").write("x")
time.sleep(600)
"""


def test_one_that_ignores_every_signal_is_ended_at_its_deadline_with_its_children(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, STUBBORN, deadline_s=0.5)
    assert (failure.cause, failure.exit_code) == (Cause.TIMEOUT, -9)
    assert not marked(f"test{os.getpid()}:")


def test_memory_beyond_the_limit_ends_it_children_included(tmp_path: Path) -> None:
    script = "import os, time\nif os.fork(): os.wait()\nx = bytearray(os.urandom(1 << 20) * 96)\ntime.sleep(600)\n"
    failure = failure_of(tmp_path, script, memory_cap_bytes=64 << 20)
    assert failure.cause is Cause.OUT_OF_MEMORY
    assert (failure.peak_bytes or 0) > 64 << 20


def test_it_has_no_terminal_and_an_empty_stdin(tmp_path: Path) -> None:
    assert "EOFError" in failure_of(tmp_path, "input('continue? ')").stderr_tail
    assert "OSError" in failure_of(tmp_path, "open('/dev/tty')").stderr_tail
    script = "import os\nprint('METRIC loss=%d' % sum(map(os.isatty, (0, 1, 2))))"
    assert outcome_of(tmp_path, script).value == 0


def test_a_file_that_is_not_executable_or_gone_is_a_failure_that_says_so(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho METRIC loss=1\n")
    trial = make_command_trial(tmp_path, argv=(str(program),), metric="loss")
    failure = trial.measure({}, 0, ignore)
    assert isinstance(failure, Failure)
    assert "it is not executable by this user" in failure.detail
    program.chmod(0o755)
    assert isinstance(trial.measure({}, 0, ignore), Measurement)
    program.unlink()
    failure = trial.measure({}, 0, ignore)
    assert isinstance(failure, Failure)
    assert f"cannot start {program}: No such file" in failure.detail


def test_a_check_that_does_not_pass_takes_the_measurement_back(tmp_path: Path) -> None:
    good = (*PYTHON, "-c", "pass")
    bad = (*PYTHON, "-c", "raise SystemExit('3 tests failed')")
    assert isinstance(outcome_of(tmp_path, "print('METRIC loss=1')", checks=good), Measurement)
    failure = failure_of(tmp_path, "print('METRIC loss=1')", checks=bad)
    assert failure.cause is Cause.CHECK_FAILED
    assert "3 tests failed" in failure.detail


def test_logs_of_checks_do_not_displace_those_of_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.trials.command.trial.KEPT_LOGS", 2)
    check = (*PYTHON, "-c", "print('checked')")
    for n in range(3):
        assert isinstance(outcome_of(tmp_path, f"print('METRIC loss={n}')", checks=check), Measurement)
    trials, checks = (sorted(p.read_text() for p in tmp_path.rglob(f"{what}-*.stdout")) for what in ("trial", "check"))
    assert trials == ["METRIC loss=1\n", "METRIC loss=2\n"]
    assert checks == ["checked\n"] * 2


def test_a_metric_file_of_an_earlier_run_does_not_count(tmp_path: Path) -> None:
    file = {"metric_file": "result.json"}
    write = "import json\njson.dump({'loss': 0.5}, open('result.json', 'w'))\n"
    assert outcome_of(tmp_path, write, **file).value == 0.5
    failure = failure_of(tmp_path, "pass", **file)
    assert "did not write" in failure.detail
    (tmp_path / "result.json").unlink()
    assert "wrote no" in failure_of(tmp_path, "pass", **file).detail


def test_a_secret_is_not_passed_on_and_other_variables_only_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTORESEARCH_LLM_KEY", "MY_TOKEN", "HF_HOME"):
        monkeypatch.setenv(name, "x")
    script = "import os\nprint('METRIC loss=%d' % sum(n in os.environ for n in ('AUTORESEARCH_LLM_KEY', 'MY_TOKEN')))"
    assert outcome_of(tmp_path, script, env=("HF_*", "AUTORESEARCH_*", "A=1")).value == 0


def test_what_a_killed_daemon_left_is_found_by_its_marker(tmp_path: Path) -> None:
    """The daemon was killed, and a process had detached from its trial."""
    token = f"left{os.getpid()}:"
    pid = os.posix_spawn(PYTHON[0], [*PYTHON, "-c", "import time; time.sleep(600)"], {MARKER: f"{token}1"})
    deadline = time.monotonic() + 10
    while not marked(token) and time.monotonic() < deadline:
        os.sched_yield()
    assert kill_marked(token) == 1
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
