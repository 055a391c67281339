"""The terminal of `autoresearch watch`: a full screen while it stays, and left as it was found.

A frame a second, and one at once after a key, a resize or a return from the background.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

EVERY_S = 1.0
QUIT = (b"q", b"Q", b"\x04")  # Ctrl-D too
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Draw = Callable[[int, int], list[Text]]  # the lines of a frame of this width and height


def group(lines: list[Text]) -> Group:
    """Lines that are cut, never wrapped."""
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return Group(*lines)


class Screen:
    """Shows what ``draw`` makes until q, Ctrl-C or the end of the terminal; every end is a good one."""

    def __init__(self, console: Console, draw: Draw) -> None:
        self._console = console
        self._draw = draw
        self._leaving = False
        self._suspending = False

    def stay(self) -> None:
        """Until the one who watches leaves."""
        with suppress(OSError), ExitStack() as stack:  # OSError: the terminal is gone, and nobody is left to tell
            wake = stack.enter_context(self._signals())
            while not self._leaving:
                self._visit(wake)
                if self._suspending:
                    self._suspending = False
                    os.kill(os.getpid(), signal.SIGSTOP)  # the shell has its terminal back until `fg`

    def _visit(self, wake: int) -> None:
        """On the screen until somebody leaves it, for good or for a while."""
        live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        with _keys(sys.stdin.fileno()) as keys, live:
            watched = [wake, *keys]
            while not (self._leaving or self._suspending):
                live.update(group(self._draw(*self._size())), refresh=True)
                ready, _, _ = select.select(watched, [], [], EVERY_S)
                if wake in ready:
                    os.read(wake, 4096)
                if any(key in ready for key in keys):
                    pressed = os.read(keys[0], 64)
                    self._leaving |= not pressed or any(key in pressed for key in QUIT)

    def _size(self) -> ConsoleDimensions:
        """Of the terminal as it is now: a COLUMNS in the environment is as old as the shell that exported it."""
        width, height = os.get_terminal_size(self._console.file.fileno())
        self._console.size = ConsoleDimensions(width or 80, height or 24)
        return self._console.size

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Signals wake the loop through a pipe; what they want is done there, with the screen in order."""
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        handlers = dict.fromkeys(ENDING, self._leave) | {
            signal.SIGTSTP: self._suspend,
            signal.SIGWINCH: _only_wake,
            signal.SIGCONT: _only_wake,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        waker = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        self._leaving = True

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self._suspending = True


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    pass


@contextmanager
def _keys(stdin: int) -> Iterator[list[int]]:
    """Keys one by one and unseen, where there is a keyboard."""
    if not os.isatty(stdin):
        yield []
        return
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    try:
        yield [stdin]
    finally:
        with suppress(termios.error):
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
