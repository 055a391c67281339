"""A control whose pause and stop are set by the test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class FakeControl:
    """The user's hand: set ``pause`` or ``stop`` to the reason; a pause ends as soon as it is waited for.

    With ``now`` neither waits for the running trial.
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
