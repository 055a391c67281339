"""A process that compares mathematical answers: ``python -m autoresearch.benches.samples.math_process``.

A model's answer is hostile: ``9**9**9`` or a nest of a thousand roots can take hours and all memory, and math_verify's
own timeout is a signal that a long multiplication does not notice and that a thread cannot receive. Here the kernel
ends the process when a comparison has used its CPU time; CPU time, so that a busy machine does not change a grade.

It ends when its stdin is closed, thus also when its parent ends. (PR_SET_PDEATHSIG would kill it with the thread of
the parent that started it.)

One request a line on stdin, ``[seconds, [[expected, answer], ...]]``: equal where one of the pairs is. One reply a
line on stdout: ``true``, ``false``, or the name of the error.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any

MEMORY_BYTES = 1 << 30  # beside what the imports take


def main() -> None:
    """Compare until the parent closes stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not write a reply
    logging.disable(logging.CRITICAL)
    import math_verify

    _limit_memory()
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin.buffer:
        seconds, pairs = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF is not handled: it ends the process
        reply = _compare(math_verify, pairs)
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        if reply == "MemoryError":
            return  # its heap is full of what did not fit


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _compare(math_verify: Any, pairs: Sequence[tuple[str, str]]) -> bool | str:
    config = [math_verify.LatexExtractionConfig()]
    try:
        for expected, answer in pairs:
            # Its own timeouts are off: they are signals, and this process has its limit.
            gold, given = (math_verify.parse(f"${text}$", config, parsing_timeout=None) for text in (expected, answer))
            if gold and given and math_verify.verify(gold, given, timeout_seconds=None, raise_on_error=True):
                return True
    except BaseException as e:  # whatever a computer algebra system raises on hostile text
        return type(e).__name__
    return False


if __name__ == "__main__":
    main()
