"""Search for a pattern of unknown origin in a text of unknown origin, in a process that is ended if it takes too long.

``re`` cannot be interrupted from another thread, and a pattern such as ``(a+)+$`` takes exponential time.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

CPU_S = 5  # the limit that counts: a busy machine does not change the result
WALL_S = 120.0
MAX_TEXT_CHARS = 1 << 20
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-:,;/@#%&=<>!'\"~`\n^$.\\|()[]?")
_CHILD = """
import json, re, sys
pattern, flags, text = json.loads(sys.stdin.read())
sys.stdout.write("found" if re.search(pattern, text, flags) else "absent")
"""


class RegexTooSlow(Exception):
    """The search took too long, or too much memory: the pattern does not suit the text."""


def search(pattern: str, text: str, flags: int = 0) -> bool:
    """Whether ``pattern`` is found in ``text``. Raises ``RegexTooSlow``, also for a text of unusual length."""
    import re

    if len(text) > MAX_TEXT_CHARS:
        raise RegexTooSlow(f"the text has {len(text):,} characters, more than {MAX_TEXT_CHARS:,}")
    if len(text) * len(pattern) < 1 << 22 and _cannot_explode(pattern):
        return re.search(pattern, text, flags) is not None
    return _search_in_child(pattern, text, flags)


def _cannot_explode(pattern: str) -> bool:
    """Without a repetition (and few ``?``) the time is bounded by text times pattern times a small factor."""
    return all(character in _SAFE for character in pattern) and pattern.count("?") + pattern.count("|") <= 6


def _search_in_child(pattern: str, text: str, flags: int) -> bool:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        _limit(process.pid)
        try:
            output, _ = process.communicate(json.dumps([pattern, flags, text]).encode(), timeout=WALL_S)
        except subprocess.TimeoutExpired as e:
            process.kill()
            raise RegexTooSlow(f"the search took longer than {WALL_S:g} s") from e
        except BaseException:
            process.kill()
            raise
    if output not in (b"found", b"absent"):
        raise RegexTooSlow(f"the search took more than {CPU_S} s of CPU time, or too much memory")
    return output == b"found"


def _limit(pid: int) -> None:
    """Before the child has its input, so before it searches."""
    resource.prlimit(pid, resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.prlimit(pid, resource.RLIMIT_AS, (1 << 30, 1 << 30))
