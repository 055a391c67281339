"""The terminal of `autoresearch watch`: full screen while it runs, restored at its end.

It draws a frame per second, and one immediately after a key, a resize or a return from the background.
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

FRAME_INTERVAL_S = 1.0
QUIT_KEYS = (b"q", b"Q", b"\x04")  # the last is Ctrl-D
EXIT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

RenderFrame = Callable[[int, int], list[Text]]  # the lines of a frame of this width and height


def unwrapped(lines: list[Text]) -> Group:
    """Lines that are cut at the right edge, not wrapped."""
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return Group(*lines)


class Screen:
    """Shows the frames of ``render`` until q, Ctrl-C or the end of the terminal; none of these is an error."""

    def __init__(self, console: Console, render: RenderFrame) -> None:
        self._console = console
        self._render = render
        self._quitting = False
        self._suspending = False

    def run(self) -> None:
        """Show frames until the user quits."""
        with suppress(OSError), ExitStack() as stack:  # OSError: the terminal is gone
            wake = stack.enter_context(self._signals())
            while not self._quitting:
                self._show(wake)
                if self._suspending:
                    self._suspending = False
                    os.kill(os.getpid(), signal.SIGSTOP)  # the shell has its terminal back until `fg`

    def _show(self, wake: int) -> None:
        """Show frames until the user quits or suspends the program."""
        live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        with _keys(sys.stdin.fileno()) as keys, live:
            watched = [wake, *keys]
            while not (self._quitting or self._suspending):
                live.update(unwrapped(self._render(*self._size())), refresh=True)
                ready, _, _ = select.select(watched, [], [], FRAME_INTERVAL_S)
                if wake in ready:
                    os.read(wake, 4096)
                if any(key in ready for key in keys):
                    pressed = os.read(keys[0], 64)
                    self._quitting |= not pressed or any(key in pressed for key in QUIT_KEYS)

    def _size(self) -> ConsoleDimensions:
        """The current size of the terminal; COLUMNS in the environment may be outdated."""
        width, height = os.get_terminal_size(self._console.file.fileno())
        self._console.size = ConsoleDimensions(width or 80, height or 24)
        return self._console.size

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Signals wake the loop through a pipe; the loop acts on them, outside the signal handler."""
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        handlers = dict.fromkeys(EXIT_SIGNALS, self._quit) | {
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

    def _quit(self, _number: int, _frame: FrameType | None) -> None:
        self._quitting = True

    def _suspend(self, _number: int, _frame: FrameType | None) -> None:
        self._suspending = True


def _only_wake(_number: int, _frame: FrameType | None) -> None:
    pass


@contextmanager
def _keys(stdin: int) -> Iterator[list[int]]:
    """Read single keys without echo, if stdin is a terminal."""
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
