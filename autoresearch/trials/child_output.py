"""What a trial process sends: progress, one answer, and its stderr."""

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


@dataclass(slots=True)
class ChildOutput:
    """What a running child has said so far, and why it was killed, if it was."""

    on_progress: OnProgress
    messages: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    answer: Message | None = None
    garbage: str = ""
    step: int | None = None  # the last that it has told of; none before it trains
    first_step: int | None = None  # the one that it told of first
    killed_for: tuple[Cause, str] | None = None

    def hear(self, data: bytes) -> None:
        """Take in bytes of the result pipe: JSON lines."""
        self.messages += data
        *lines, rest = self.messages.split(b"\n")
        self.messages = rest
        for line in lines:
            self._message(bytes(line))
        if len(rest) > MAX_MESSAGE_BYTES:
            self.garbage = f"a message of more than {MAX_MESSAGE_BYTES} bytes"
            self.messages.clear()

    def note_stderr(self, data: bytes) -> None:
        """Keep the last of what it wrote to stdout and stderr."""
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
        self.step = progress[2]
        self.first_step = self.step if self.first_step is None else self.first_step
        self.on_progress(*progress)


def _progress(phase: str, fraction: float, step: int, speed: float | None) -> tuple[str, float, int, float | None]:
    """What a child says of its progress, made into what it should be. Raises for what cannot be shown."""
    if not (math.isfinite(fraction) and (speed is None or math.isfinite(speed))):
        raise ValueError("progress is finite")
    return str(phase), float(fraction), int(step), speed


def drain(fd: int, take: Callable[[bytes], None]) -> bool:
    """Read what is there without waiting; false once the other end is closed."""
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        take(data)
