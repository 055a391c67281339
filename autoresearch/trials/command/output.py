"""What a command prints: kept bounded for the logs, and searched line by line for its metric and its progress."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

KEPT_HEAD_BYTES = 32 << 10
KEPT_TAIL_BYTES = 96 << 10
MAX_LINE_BYTES = 16 << 10  # of a line that is searched; what follows in the same line is not
_FOR_TERMINALS = re.compile(  # colours and the cursor; titles and links; character sets, as `tput sgr0` prints them
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]+[0-~]"
)
_LINE_ENDS = re.compile(rb"[\r\n]+")  # a progress bar ends its lines with a carriage return


@dataclass(slots=True)
class Stream:
    """One stream of a command: its beginning, its end, and its number of bytes."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    size: int = 0

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        room = max(0, KEPT_HEAD_BYTES - len(self.head))
        self.head += data[:room]
        self.tail += data[room:]
        del self.tail[:-KEPT_TAIL_BYTES]

    @property
    def kept(self) -> bytes:
        """What is kept, with a line in the place of what is not."""
        missing = self.size - len(self.head) - len(self.tail)
        note = b"\n[... %d bytes left out ...]\n" % missing if missing else b""
        return bytes(self.head) + note + bytes(self.tail)

    @property
    def end(self) -> str:
        """The last characters."""
        return bytes(self.tail or self.head).decode(errors="replace")


@dataclass(slots=True)
class Lines:
    """Cuts bytes into lines and passes each on, without its end and colours, at most ``MAX_LINE_BYTES`` of it."""

    take: Callable[[str], None]
    rest: bytearray = field(default_factory=bytearray)
    is_long: bool = False  # the beginning of the present line was passed on already

    def feed(self, data: bytes) -> None:
        *lines, rest = _LINE_ENDS.split(data)
        for line in lines:
            self._end(line)
        self._add(rest)
        if len(self.rest) >= MAX_LINE_BYTES and not self.is_long:
            self._pass_on()
            self.is_long = True

    def close(self) -> None:
        """Pass on a last line without an end."""
        self._end(b"")

    def _add(self, data: bytes) -> None:
        if not self.is_long:
            self.rest += data[: MAX_LINE_BYTES - len(self.rest)]

    def _end(self, data: bytes) -> None:
        self._add(data)
        if not self.is_long:
            self._pass_on()
        self.is_long = False

    def _pass_on(self) -> None:
        if self.rest:
            self.take(_FOR_TERMINALS.sub("", self.rest.decode(errors="replace")))
        self.rest.clear()


@dataclass(slots=True)
class Search:
    """The last match of one pattern, and how many there were."""

    pattern: re.Pattern[str]
    last: tuple[str, ...] | None = None
    count: int = 0

    def look(self, line: str) -> bool:
        """Search a line; whether it has a match. Of several in it the last counts too."""
        matches = [match for match in self.pattern.finditer(line) if match[1] is not None]
        if matches:
            self.last = tuple(group for group in matches[-1].groups() if group is not None)
        self.count += len(matches)
        return bool(matches)
