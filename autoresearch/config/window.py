"""The hours of the night in which a run may work, as the clock on the wall shows them: pure.

Nothing is counted from the start of the run: whether the window is open is asked anew of the local clock each time.
So it runs through midnight, is an hour shorter or longer in the nights in which the clock changes, and a clock that
was moved is believed as it then stands. Where the closing time is an hour that such a night leaves out, the next one
that exists is past it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time

TIME = r"([01]?\d|2[0-3]):([0-5]\d)"
SHAPE = re.compile(rf"{TIME}\s*-\s*{TIME}")


@dataclass(frozen=True, slots=True)
class Window:
    """Open from ``opens`` on, shut from ``closes`` on; ``closes`` is next day's where it is not later."""

    opens: time
    closes: time

    @classmethod
    def parsed(cls, text: str) -> Window:
        """From ``HH:MM-HH:MM``. Raises ``ValueError``."""
        found = SHAPE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no window of time; give HH:MM-HH:MM, as in 22:00-07:00")
        hour, minute, to_hour, to_minute = map(int, found.groups())
        window = cls(time(hour, minute), time(to_hour, to_minute))
        if window.opens == window.closes:
            raise ValueError(f"{text!r} has no end; leave the window out to run around the clock")
        return window

    def is_open(self, now: datetime) -> bool:
        """At ``now`` of the local clock, of which only the time of day counts."""
        clock = now.time()
        if self.opens < self.closes:
            return self.opens <= clock < self.closes
        return clock >= self.opens or clock < self.closes

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"
