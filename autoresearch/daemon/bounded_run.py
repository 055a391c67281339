"""Run a command with a deadline that holds also for a child that cannot be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

KILL_DEADLINE_S = 5.0
MAX_OUTPUT_BYTES = 1 << 16


def run_bounded(command: Sequence[str], env: Mapping[str, str], deadline_s: float) -> tuple[int, str]:
    """Run ``command``; return its exit code and the end of what it wrote to stderr.

    Raises ``OSError``, and ``subprocess.TimeoutExpired`` after ``deadline_s`` and at most 5 s more: a child in an
    uninterruptible system call ignores SIGKILL and is left to the kernel. (``subprocess.run`` waits for it without
    end, and for every process that holds its pipe; so stderr is a file here.)
    """
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=env,
            start_new_session=True,
        )
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            try:
                process.wait(KILL_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.returncode = -signal.SIGKILL  # it is abandoned: Python must not wait for it or warn of it
            raise
        size = stderr.seek(0, os.SEEK_END)
        stderr.seek(max(0, size - MAX_OUTPUT_BYTES))
        return code, stderr.read().decode(errors="replace")
