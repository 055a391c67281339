"""Sentences about a run: how it ends, what is requested, what a start continues."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Suspended
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.run_text import describe_continuation, describe_ending, describe_request, describe_suspended


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("SIGTERM", "a stop was requested (SIGTERM)"),
        ("SIGINT", "a stop was requested (SIGINT)"),
        ("it is 07:00", "it is 07:00"),
        ("paused (pause.flag is there)", "ended while paused (pause.flag is there)"),
        ("complete", "complete"),
    ],
)
def test_an_ending_never_reads_as_finished_and_stopped(reason, text):
    assert describe_ending(reason) == text


@pytest.mark.parametrize(
    ("stop", "pause", "drain_max_s", "in_trial", "text"),
    [
        ("", "", None, True, ""),
        ("SIGTERM", "now", None, True, "stopping after this trial (SIGTERM)"),
        ("SIGTERM", "", None, False, "stopping (SIGTERM)"),
        (
            "SIGTERM",
            "",
            60.0,
            True,
            "stopping (SIGTERM): this trial is suspended if it has not ended in 60 s; the next start resumes it",
        ),
        (
            "SIGTERM",
            "",
            0.0,
            True,
            "stopping (SIGTERM): this trial is suspended at its next step; the next start resumes it",
        ),
        ("it is 07:00", "", 60.0, True, "stopping after this trial (it is 07:00)"),  # drain_max_s is for signals
        ("", "after_trial", None, True, "pausing after this trial (pause.flag is there)"),
        ("", "now", None, True, "pausing at the next step of this trial (pause.flag is there)"),
        ("", "after_trial", None, False, "pausing (pause.flag is there)"),
    ],
)
def test_a_request_says_when_it_takes_effect(stop, pause, drain_max_s, in_trial, text):
    assert describe_request(stop, pause, drain_max_s, in_trial=in_trial) == text


@pytest.mark.parametrize(("resumes_at", "text"), [(40, "resumes after step 40"), (None, "starts over")])
def test_a_suspended_trial_says_how_it_continues(resumes_at, text):
    suspended = Suspended(step=40, resumes_at=resumes_at, train_wall_s=1.0, val_wall_s=0.0)
    assert describe_suspended(Trajectory(suspended=suspended)) == f"its suspended trial {text}"
    continued = describe_continuation(Trajectory(suspended=suspended, starts=2), 9)
    assert continued == f"continues: the baseline is not measured yet; its suspended trial {text}"


def test_a_new_run_continues_nothing():
    assert describe_continuation(Trajectory(starts=1), 9) == ""
