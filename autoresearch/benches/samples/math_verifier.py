"""Compares mathematical answers in a process of its own, which the kernel ends where a comparison takes too much."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from autoresearch.config.secrets import without_secrets
from autoresearch.errors import AutoresearchError, missing_extra
from autoresearch.machine import explain_os_error

MODULE = "autoresearch.benches.samples.math_process"
PACKAGES = Path(__file__).parents[3]  # the directory that this package is imported from
CPU_S = 5.0  # of one comparison
WALL_S = 120.0  # of one comparison, and of the start: for a process that the machine does not let run
ENDING_S = 10.0
MAX_REPLY_BYTES = 4_096
STARTS = 3  # in a row that fail: the machine cannot run it


class Undecided(Exception):
    """The comparison did not end: ``reason`` is one word, for example ``cpu_time``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_installed() -> None:
    """Raise ``MissingPackage`` where math_verify cannot be imported. It is not imported."""
    if find_spec("math_verify") is None:
        raise missing_extra("the grading of mathematical answers", "math-verify", "bench")


class MathVerifier:
    """``math_verify`` behind a pipe. For one thread; the process starts with the first comparison."""

    def __init__(self, cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def any_equal(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether in one of the pairs (expected, answer) both are the same value. Raises ``Undecided``."""
        process = self._started()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps([self._cpu_s, pairs]).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(self._read_line(process))
        except TimeoutError as e:
            self.close()
            raise Undecided("wall_time") from e
        except (OSError, EOFError) as e:
            reason = _ending(process)
            self.close()
            raise Undecided(reason) from e
        if isinstance(reply, bool):
            return reply
        raise Undecided("memory" if reply == "MemoryError" else str(reply))

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what could not be written any more
                assert pipe is not None
                pipe.close()
        self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        check_installed()
        for _ in range(STARTS):
            self._process = _start()
            with contextlib.suppress(EOFError, OSError):
                if self._read_line(self._process) == b"ready":
                    return self._process
            self.close()
        raise AutoresearchError(
            "the process that compares mathematical answers does not start",
            hint=f"see what `{sys.executable} -P -m {MODULE}` writes to the terminal",
        )

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(self._wall_s):
                    raise TimeoutError
                part = os.read(process.stdout.fileno(), MAX_REPLY_BYTES)
                line += part
                if not part or len(line) > MAX_REPLY_BYTES:
                    raise EOFError
        return line.strip()


def _start() -> subprocess.Popen[bytes]:
    """A new process. It finds this package where this process found it, and not in the working directory."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(PACKAGES)])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE],
            env=without_secrets(os.environ) | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C at the terminal reaches the parent only
        )
    except OSError as e:
        what, hint = explain_os_error(e)
        raise AutoresearchError(f"the process that compares mathematical answers: {what}", hint=hint) from e


def _ending(process: subprocess.Popen[bytes]) -> str:
    """Why the process closed its pipe. It is ending, so that its status follows."""
    try:
        code = process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        return "crash"
    return {-signal.SIGPROF: "cpu_time", -signal.SIGKILL: "killed"}.get(code, "crash")


@cache
def shared_verifier() -> MathVerifier:
    """The verifier of this process, closed when the process ends."""
    verifier = MathVerifier()
    atexit.register(verifier.close)
    return verifier
