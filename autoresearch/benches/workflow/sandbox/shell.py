"""A shell for an agent: each command in a process of its own, confined, bounded, and ended with all that it started."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import autoresearch
from autoresearch.benches.workflow.sandbox import landlock, seccomp
from autoresearch.benches.workflow.sandbox.confine import READABLE

MAX_OUTPUT_BYTES = 24 << 10  # of a command, as the agent sees it
COMMAND_S = 120.0
PROCESSES = 64
RLIMITS = {"RLIMIT_AS": 2 << 30, "RLIMIT_FSIZE": 64 << 20, "RLIMIT_NOFILE": 256, "RLIMIT_CORE": 0}
_GRACE_S = 10.0  # for the supervisor to end what the command started
_PACKAGES = Path(autoresearch.__file__).resolve().parents[1]
_START = (
    "import sys; sys.path.insert(0, {packages!r}); "
    "from autoresearch.benches.workflow.sandbox import confine; confine.main()"
)


class SandboxFailed(Exception):
    """The command was not run, because it could not be confined."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """``exit_code`` is negative for a signal, ``None`` where the sandbox ended it; then ``ended_by`` says why."""

    exit_code: int | None
    output: str
    ended_by: str | None = None


class Shell(Protocol):
    """Runs commands of an agent without harm to anything outside its workspace."""

    def run(
        self, command: str, workspace: Path, port: int | None, timeout_s: float, stopped: Callable[[], bool]
    ) -> CommandResult:
        """Run ``command`` with the workspace as its directory; ``port`` is the one that it may connect to.

        Raises ``SandboxFailed``.
        """
        ...


def refusal() -> str | None:
    """Why commands cannot be confined on this machine, or ``None`` where they can."""
    version = landlock.abi()
    if version < landlock.NETWORK_ABI:
        need = f"Landlock ABI {landlock.NETWORK_ABI} (Linux 6.7) or newer is needed to confine a shell"
        return f"{need}; this kernel ({os.uname().release}) has {f'ABI {version}' if version else 'none'}"
    if not seccomp.supported():
        return f"the sandbox does not know the system calls of {os.uname().machine}"
    return _failed_trial()


@cache
def _failed_trial() -> str | None:
    """Why a command that does nothing could not be confined: for example root without CAP_SYS_ADMIN in a container."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = LandlockShell().run("exit 0", Path(folder), None, COMMAND_S, lambda: False)
        except SandboxFailed as e:
            return str(e)
    return None if result.exit_code == 0 else f"a command that does nothing ended with {result}"


class LandlockShell:
    """The shell of ``confine.py``."""

    def run(
        self, command: str, workspace: Path, port: int | None, timeout_s: float, stopped: Callable[[], bool]
    ) -> CommandResult:
        """As the protocol states."""
        if "\0" in command or len(command) > 32_768:
            return CommandResult(None, "", "the command has a NUL character or is longer than 32,768 characters")
        read_end, write_end = os.pipe()
        spec = _specification(command, workspace, port, min(timeout_s, COMMAND_S), write_end)
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START.format(packages=str(_PACKAGES)), json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(write_end,),
                start_new_session=True,
                env={},
            )
        except OSError as e:
            os.close(read_end)
            raise SandboxFailed(f"the supervisor of the command did not start: {e}") from e
        finally:
            os.close(write_end)
        with process:
            output = _collect(process, time.monotonic() + min(timeout_s, COMMAND_S) + _GRACE_S, stopped)
        with os.fdopen(read_end, "rb") as report:
            return _result(report.read(4096), output)


def _specification(
    command: str, workspace: Path, port: int | None, timeout_s: float, report_fd: int
) -> dict[str, object]:
    root = str(workspace.resolve())
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": root, "TMPDIR": root, "LC_ALL": "C.UTF-8", "PWD": root}
    if port is not None:
        env["SERVICES_URL"] = f"http://127.0.0.1:{port}"
    return {
        "command": command,
        "workspace": root,
        "port": port,
        "timeout_s": timeout_s,
        "processes": PROCESSES,
        "rlimits": {**RLIMITS, "RLIMIT_CPU": int(timeout_s) + 1, **_process_limit()},
        "readable": [path for top in READABLE for path in without(Path(top), _PACKAGES / "autoresearch")],
        "env": env,
        "report_fd": report_fd,
    }


def without(top: Path, hidden: Path) -> Iterator[str]:
    """``top``, or where ``hidden`` lies below it, everything beside ``hidden``: an agent must not read its checks."""
    real = top.resolve()
    if not hidden.is_relative_to(real):
        yield str(top)
    elif real != hidden:
        for entry in real.iterdir():
            yield from without(entry, hidden)


def _process_limit() -> dict[str, int]:
    """The kernel counts all processes of the user; root has no limit, so that the supervisor counts as well."""
    uid = os.getuid()
    if uid == 0:
        return {}
    running = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    running += len(os.listdir(entry / "task"))
            except OSError:
                continue
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    wanted = running + PROCESSES + 32
    return {"RLIMIT_NPROC": wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)}


def _collect(process: subprocess.Popen[bytes], deadline: float, stopped: Callable[[], bool]) -> bytes:
    """The output up to its bound; what is beyond it is read and dropped, so that the command does not block."""
    assert process.stdin is not None
    assert process.stdout is not None
    kept = b""
    fd = process.stdout.fileno()
    while True:
        if select.select([fd], [], [], 0.2)[0]:
            data = os.read(fd, 1 << 16)
            if not data:
                return kept
            kept += data[: MAX_OUTPUT_BYTES + 1 - len(kept)]
        if stopped() and not process.stdin.closed:
            process.stdin.close()  # the supervisor ends everything
        if time.monotonic() > deadline:
            process.kill()
            return kept


def _result(report: bytes, output: bytes) -> CommandResult:
    text = output[:MAX_OUTPUT_BYTES].decode(errors="replace")
    if len(output) > MAX_OUTPUT_BYTES:
        text += f"\n[cut off after {MAX_OUTPUT_BYTES:,} bytes]"
    if not report:
        raise SandboxFailed(f"the supervisor of the command failed: {text[-500:]}")
    ended = json.loads(report)
    if ended["problem"]:
        raise SandboxFailed(f"the command could not be confined: {ended['problem']}")
    return CommandResult(ended["exit_code"], text, ended["ended_by"])
