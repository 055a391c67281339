"""The output of a trial process: progress messages, one final message, and its stderr."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.core.measurement import Cause
from autoresearch.core.ports import OnProgress
from autoresearch.trials.messages import PROGRESS, Message

KEPT_STDERR_BYTES = 1 << 16
MAX_MESSAGE_BYTES = 1 << 20
MAX_READS = 64


@dataclass(slots=True)
class ChildOutput:
    """The output of a running child so far, and why the daemon killed it, if it did."""

    on_progress: OnProgress
    messages: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    answer: Message | None = None
    garbage: str = ""
    phase: str = ""  # the last one reported, with the fraction of it that is done
    fraction: float = 0.0
    step: int | None = None  # the last one reported; None before it trains
    first_step: int | None = None  # the first one reported
    kill_reason: tuple[Cause, str] | None = None
    extended_s: float = 0.0  # by how much its deadline was extended
    wall_s: float | None = None  # from its fork to its end, where another machine forked it

    def feed_messages(self, data: bytes) -> None:
        """Add bytes of the result pipe: JSON lines, cut anywhere."""
        self.messages += data
        *lines, rest = self.messages.split(b"\n")
        self.messages = rest
        for line in lines:
            self._message(bytes(line))
        if len(rest) > MAX_MESSAGE_BYTES:
            self.garbage = f"a message of more than {MAX_MESSAGE_BYTES} bytes"
            self.messages.clear()

    def feed_stderr(self, data: bytes) -> None:
        """Add bytes of its stdout and stderr, of which only the last are kept."""
        self.stderr += data
        del self.stderr[:-KEPT_STDERR_BYTES]

    def _message(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if PROGRESS not in message:
                self.answer = dict(message)
                return
            progress = _progress(*message[PROGRESS])
        except (ValueError, TypeError, OverflowError, RecursionError):
            self.garbage = ascii(line[:200])
            return
        self.phase, self.fraction, self.step, _speed = progress
        self.first_step = self.step if self.first_step is None else self.first_step
        self.on_progress(*progress)


def _progress(phase: str, fraction: float, step: int, speed: float | None) -> tuple[str, float, int, float | None]:
    """The fields of a progress message, converted to their types. Raises for values that cannot be shown."""
    if not (math.isfinite(fraction) and (speed is None or math.isfinite(speed))):
        raise ValueError("progress is not finite")
    return str(phase), float(fraction), int(step), speed


def drain(fd: int, take: Callable[[bytes], None]) -> bool:
    """Read the bytes that are available, without waiting; false once the other end is closed.

    At most ``MAX_READS`` times, or a child that writes as fast as this reads would keep the daemon here.
    """
    for _ in range(MAX_READS):
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        take(data)
    return True
