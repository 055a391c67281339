"""A run in the sandbox, seen from outside: its processes and its records, and waiting for either.

What a test and the captured night (``service_night``) have in common.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoresearch.core.records import IterationRecord, Meta, Started, Stopped, TrialEnded, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.storage.progress_file import ProgressSnapshot, read_progress
from tests.systemd_sandbox import DEADLINE_S, Sandbox, have_ended, until

WARM = "autoresearch.training.server"


def mid_training(box: Sandbox, name: str, after: float = 0.0, of: int | None = None) -> ProgressSnapshot:
    """Wait until a trial of iteration ``of`` (any if ``None``) trains beyond a fraction ``after`` of its budget."""

    def training() -> ProgressSnapshot | None:
        found = read_progress(box.state / name)
        if found is None or found.phase != "train" or found.fraction <= after or of not in (None, found.iter):
            return None
        return found

    return until(f"a trial of {name} beyond {after:.0%}", training)  # type: ignore[no-any-return]


def main_pid(box: Sandbox, name: str) -> int:
    """The daemon, as this machine numbers it."""
    (pid,) = (pid for pid, words in box.processes(name).items() if WARM not in words)
    return pid


def server_and_trial(box: Sandbox, name: str) -> tuple[int, int | None]:
    """The trial server, and the trial if one runs."""
    warm = [pid for pid, words in box.processes(name).items() if WARM in words]
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in warm}
    (server,) = (pid for pid in warm if parents[pid] not in warm)
    return server, next((pid for pid in warm if parents[pid] == server), None)


def in_a_trial(box: Sandbox, name: str, after: int = 0, deadline_s: float = DEADLINE_S) -> tuple[int, int]:
    """Wait until a candidate's trial trains, ``after`` closed iterations at least; server and trial."""

    def training() -> tuple[int, int] | None:
        found = box.records(name)
        closed = sum(isinstance(r, IterationRecord) for r in found)
        if closed < after or not found or not isinstance(found[-1], TrialStarted) or found[-1].iter == 0:
            return None
        try:
            server, trial = server_and_trial(box, name)
        except (ValueError, FileNotFoundError):  # just being started or ended
            return None
        return (server, trial) if trial else None

    return until(f"a trial of {name}", training, deadline_s)  # type: ignore[no-any-return]


def last(box: Sandbox, name: str, kind: type, more_than: int = 0, deadline_s: float = DEADLINE_S) -> Any:
    """Wait for a record of ``kind`` beyond the first ``more_than``; the newest."""

    def newest() -> Any:
        found = [r for r in box.records(name) if isinstance(r, kind)]
        return found[-1] if len(found) > more_than else None

    return until(f"{kind.__name__} in the log of {name}", newest, deadline_s)


def check_whole(box: Sandbox, name: str) -> list[Any]:
    """Nothing is lost, doubled or out of order, in however many processes the run was made."""
    found = box.records(name)
    trajectory = Trajectory.fold(found)
    assert [r.iter for r in trajectory.iterations] == list(range(1, trajectory.next_iter))
    assert [isinstance(r, Meta) for r in found].count(True) == 1
    begun = [r.trial for r in found if isinstance(r, TrialStarted) and not r.continues]
    assert begun == list(range(1, len(begun) + 1))
    ended = [r.trial for r in found if isinstance(r, TrialEnded)]
    assert len(set(ended)) == len(ended)
    return found


def stop(box: Sandbox, name: str) -> list[Any]:
    """`systemctl stop`: it returns when the drain is over, and no process is left."""
    box.systemctl("stop", f"autoresearch@{name}")
    assert box.processes(name) == {}
    assert box.show(name, "Result") == "success"
    found = check_whole(box, name)
    assert isinstance(found[-1], Stopped)
    begun = [r.trial for r in found if isinstance(r, TrialStarted)]
    assert found[-1].reason == "SIGTERM"
    assert [r.trial for r in found if isinstance(r, TrialEnded)][-1] == begun[-1], "the running trial was finished"
    return found


def recovered(box: Sandbox, name: str, ends: list[int], old: list[Any]) -> list[Any]:
    """Everybody of old is gone, systemd has started it anew, and the open trial is run again."""
    assert have_ended(ends), "a process outlived the daemon"
    last(box, name, Started, more_than=sum(isinstance(r, Started) for r in old))
    until("the restart", lambda: box.show(name, "ActiveState") == "active")
    last(box, name, TrialEnded, more_than=sum(isinstance(r, TrialEnded) for r in old))
    assert box.show(name, "NRestarts") == "1", box.journal(name)
    found = check_whole(box, name)
    assert found[: len(old)] == old
    again = next(r for r in found[len(old) :] if isinstance(r, TrialStarted))
    assert (again.iter, again.cfg) == (old[-1].iter, old[-1].cfg)
    return found
