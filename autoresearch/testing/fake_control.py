"""A control whose pause and stop are set by the test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class FakeControl:
    """Set ``pause`` or ``stop`` to a reason to request it; ``wait_while_paused`` ends the pause at once.

    With ``now`` the running trial is suspended.
    """

    stop: str = ""
    pause: str = ""
    now: bool = False

    def stop_reason(self) -> str:
        return self.stop

    def pause_reason(self) -> str:
        return self.pause

    def suspend_requested(self) -> bool:
        return self.now and bool(self.stop or self.pause)

    def wait_while_paused(self) -> None:
        self.pause = ""
