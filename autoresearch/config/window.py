"""The daily hours in which a run may work, in local time.

Nothing is counted from the start of the run: each check compares the window with the current local time. So a window
may cross midnight, it is an hour shorter or longer in the nights in which daylight saving time begins or ends, and a
change of the system clock takes effect at once. A time that such a night skips is reached at the next time that exists;
one that it has twice opens and closes the window the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from autoresearch.config.local_time import moments, next_moment

TIME = r"([01]?\d|2[0-3]):([0-5]\d)"
PATTERN = re.compile(rf"{TIME}\s*-\s*{TIME}")


@dataclass(frozen=True, slots=True)
class Window:
    """Open from ``opens`` (included) to ``closes`` (excluded), on the next day where ``closes`` is not later."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Window:
        """Parse ``HH:MM-HH:MM``. Raises ``ValueError``."""
        match = PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a window of time; give HH:MM-HH:MM, for example 22:00-07:00")
        hour, minute, to_hour, to_minute = map(int, match.groups())
        window = cls(time(hour, minute), time(to_hour, to_minute))
        if window.opens == window.closes:
            raise ValueError(f"{text!r} begins and ends at the same time; leave the window out to run around the clock")
        return window

    def is_open(self, now: datetime) -> bool:
        """Whether the window is open at local time ``now``."""
        for days in (0, 1):
            opened = next(moments(self.opens, now.date() - timedelta(days=days), now.tzinfo))
            if opened.timestamp() <= now.timestamp():
                return now.timestamp() < next_moment(self.closes, opened).timestamp()
        return False

    def next_closing(self, now: datetime) -> datetime:
        """When the window that is open at ``now`` closes."""
        return next_moment(self.closes, now)

    def next_opening(self, now: datetime) -> datetime:
        """When the window that is closed at ``now`` opens."""
        return next_moment(self.opens, now)

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"
