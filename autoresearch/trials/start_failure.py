"""What to try when the trial server did not start: the advice follows the last line that the server printed."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from errno import EACCES, EDQUOT, ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import PurePath

from autoresearch.machine import explain_kill, explain_os_error, limit_named_in

MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
LIBRARY = re.compile(r"(?:ImportError|OSError): (\S+): cannot open shared object file")
SYSTEM_CALL = re.compile(r"\w*Error: \[Errno (\d+)\] [^:]*: '([^']+)'")
NOT_WRITABLE = {EACCES, EPERM, EROFS, ENOENT, ENOTDIR}
NO_SPACE = {ENOSPC, EDQUOT}


def advise(last_line: str, exit_code: int | None, environ: Mapping[str, str], extras: str, log: str) -> str:
    """One sentence of advice. ``exit_code`` is the server's: ``None`` while it runs, negative for a signal."""
    install = f"pip install 'autoresearch[{extras}]'"
    if match := MISSING.search(last_line):
        return f"see {log}; the package {match[1].partition('.')[0]} is not installed: {install}"
    if match := LIBRARY.search(last_line):
        return f"see {log}; the library {match[1]} is missing: install the torch that fits this machine and its driver"
    if match := SYSTEM_CALL.search(last_line):
        return f"see {log}; {_advise_path(int(match[1]), match[2], environ)}"
    if exit_code == -signal.SIGXCPU:
        return f"see {log}; its CPU time is limited (RLIMIT_CPU): ulimit -t unlimited, or LimitCPU= of the unit"
    if exit_code == -signal.SIGKILL:
        return f"see {log}; it was killed: {explain_kill()} (`free -h`, `journalctl -k` show whether memory is short)"
    if (number := limit_named_in(RuntimeError(last_line))) or "MemoryError" in last_line:
        what, hint = explain_os_error(OSError(number or ENOMEM, last_line))
        return f"see {log}; {what}: {hint}"
    if exit_code is None:
        return f"see {log}; it still runs but has not answered: start again once the disk is less busy"
    return f"see {log}; this imports the same outside of a run: python -c 'import torch'"


def _advise_path(number: int, path: str, environ: Mapping[str, str]) -> str:
    """Advice for a failed system call on ``path``: where it is in the home directory, HOME is what to change."""
    if number in NO_SPACE:
        return f"make room on the file system of {path}"
    home, cache = environ.get("HOME", ""), environ.get("XDG_CACHE_HOME", "")
    name, root = ("XDG_CACHE_HOME", cache) if cache else ("HOME", home)
    is_in_home = ".cache" in PurePath(path).parts or bool(root and PurePath(path).is_relative_to(root))
    if number in NOT_WRITABLE and is_in_home:
        shown = f"{name} is {root}" if root else "HOME is not set"
        return f"this user cannot create {path} ({shown}): set {name} to a directory that this user may write"
    return f"check that {path} exists and that this user may use it: ls -ld {path}"
