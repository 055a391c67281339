"""The ``Control`` port: it reports what the user requested, and a wait for the end of a pause ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from autoresearch.core.ports import Control

PATIENCE_S = 60.0  # for a wait that is over; it is only spent where one never ends


class ControlContract:
    """For every implementation of ``autoresearch.core.ports.Control``."""

    @pytest.fixture
    def control(self) -> Any:
        """A control of which nothing is requested."""
        raise NotImplementedError

    def request_pause(self, control: Any, now: bool = False) -> None:
        """As the user would; with ``now`` the pause does not wait for the end of the running trial."""
        raise NotImplementedError

    def end_pause(self, control: Any) -> None:
        """As the user would."""
        raise NotImplementedError

    def request_stop(self, control: Any) -> None:
        """As the user would, once."""
        raise NotImplementedError

    def waiting(self, control: Control) -> threading.Thread:
        """A thread that waits while the run is paused."""
        thread = threading.Thread(target=control.wait_while_paused, daemon=True)
        thread.start()
        return thread

    def test_every_reason_is_empty_while_nothing_is_requested(self, control: Control) -> None:
        assert (control.stop_reason(), control.pause_reason()) == ("", "")
        assert control.suspend_requested() is False

    def test_without_a_pause_there_is_nothing_to_wait_for(self, control: Control) -> None:
        control.wait_while_paused()
        assert (control.stop_reason(), control.pause_reason()) == ("", "")

    def test_a_requested_pause_has_a_reason_until_it_is_ended_and_is_not_a_stop(self, control: Control) -> None:
        self.request_pause(control)
        assert control.pause_reason()
        assert control.pause_reason() == control.pause_reason(), "asking changes nothing"
        assert control.stop_reason() == ""
        self.end_pause(control)
        assert control.pause_reason() == ""

    def test_a_requested_stop_has_a_reason_and_is_not_withdrawn(self, control: Control) -> None:
        self.request_stop(control)
        reason = control.stop_reason()
        assert reason
        control.wait_while_paused()
        assert control.stop_reason() == reason
        assert control.pause_reason() == ""

    def test_reasons_are_one_printable_line(self, control: Control) -> None:
        self.request_pause(control)
        self.request_stop(control)
        assert control.pause_reason().isprintable()
        assert control.stop_reason().isprintable()

    def test_only_a_pause_that_does_not_wait_for_the_trial_suspends_it(self, control: Control) -> None:
        self.request_pause(control)
        assert control.suspend_requested() is False
        self.end_pause(control)
        self.request_pause(control, now=True)
        assert control.pause_reason()
        assert control.suspend_requested() is True
        self.end_pause(control)
        assert control.suspend_requested() is False

    def test_the_wait_ends_with_the_pause(self, control: Control) -> None:
        self.request_pause(control)
        thread = self.waiting(control)
        self.end_pause(control)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert (control.stop_reason(), control.pause_reason()) == ("", "")

    def test_the_wait_ends_with_a_stop(self, control: Control) -> None:
        self.request_pause(control)
        thread = self.waiting(control)
        self.request_stop(control)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert control.stop_reason()

    def test_a_stop_that_was_requested_before_the_pause_lets_no_wait_begin(self, control: Control) -> None:
        self.request_stop(control)
        self.request_pause(control)
        thread = self.waiting(control)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    def test_a_wait_ends_with_its_time(self, control: Control) -> None:
        control.wait(0.01)
        assert control.stop_reason() == ""

    def test_a_wait_ends_with_a_stop_and_is_not_begun_after_one(self, control: Control) -> None:
        thread = threading.Thread(target=control.wait, args=[10 * PATIENCE_S], daemon=True)
        thread.start()
        self.request_stop(control)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        control.wait(10 * PATIENCE_S)
