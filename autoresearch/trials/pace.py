"""Whether a child that is past its deadline should get more time: other processes may slow it, and yet it progresses.

Decided from what it reports alone: its progress still advances, and at the pace so far it would finish in time. The
processes that slow a trial need not be visible (a host shares its cores with others), but their effect is.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_DEADLINE_FACTOR = 3.0  # the most time that a child can get, over its deadline
EXTENSION_FRAC = 0.1  # of the deadline, granted at once; afterwards the pace is judged again


@dataclass(slots=True)
class Pace:
    """The progress of a child's present phase, and when it was noted."""

    phase: str = ""
    began: float = 0.0  # when its first progress was noted
    first_fraction: float = 0.0
    fraction: float = 0.0
    advanced: float = 0.0  # when it last advanced
    longest_s: float = 0.0  # between two advances
    earlier_s: float = 0.0  # that the phase before took

    def note(self, phase: str, fraction: float, now: float) -> None:
        """Note the last progress that the child reported; may be called again with the same values."""
        if phase != self.phase:
            self.earlier_s = now - self.began if self.phase else 0.0
            self.phase, self.began, self.advanced, self.longest_s = phase, now, now, 0.0
            self.first_fraction = self.fraction = fraction
        elif fraction > self.fraction:
            self.longest_s = max(self.longest_s, now - self.advanced)
            self.fraction, self.advanced = fraction, now

    def would_finish(self, now: float, latest: float, patience_s: float) -> bool:
        """Whether it still advances, and at its pace would be done by ``latest``.

        A phase that reports its end only (validation) may take as long as the phase before it.
        """
        if not self.phase or now > latest:
            return False
        if self.first_fraction >= 1.0:
            return now - self.began <= self.earlier_s
        done = self.fraction - self.first_fraction
        if done <= 0 or now - self.advanced > max(patience_s, 2 * self.longest_s):
            return False
        return now + (1.0 - self.fraction) / done * (now - self.began) <= latest
