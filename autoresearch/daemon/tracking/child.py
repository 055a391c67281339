"""The process of `run --track TOOL`. It only reads the run; the loop neither feeds it nor waits for it.

    python -P -m autoresearch.daemon.tracking.child TOOL RUN_DIR FD PARENT

FD is the reading end of a pipe that its parent closes when the run is over: then it hands over what is left and ends.
It is killed with its parent.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter

from autoresearch.config.secrets import TRACKER_SECRETS
from autoresearch.core.values import FrozenModel, sha256_of
from autoresearch.daemon.tracking.follow import follow
from autoresearch.errors import AutoresearchError
from autoresearch.machine import die_with_parent
from autoresearch.report.trackers import TRACKERS, Place, open_tracker, tracked_runs
from autoresearch.report.trackers.export import describe
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import TRACKING, TRAJECTORY

MODULE = "autoresearch.daemon.tracking.child"
POLL_S = 1.0
FOLDERS = {"mlflow": "mlflow.db", "wandb": "", "trackio": "trackio"}  # below tracking/; wandb makes one of its name


class Progress(FrozenModel):
    """How far a tool is: so many candidates of this run, in their order, were handed over to this destination."""

    run_id: str
    destination_sha256: str
    candidates: int


PROGRESS: TypeAdapter[Progress] = TypeAdapter(Progress)


def main(words: list[str]) -> int:
    """Track until the pipe is closed; 0, or 1 after an error, which is one line on stderr."""
    tool, run_dir, fd, parent = words[0], Path(words[1]), int(words[2]), int(words[3])
    die_with_parent(parent)
    os.set_inheritable(fd, False)
    _yield_to_trials()
    try:
        track(tool, run_dir, os.environ, lambda: bool(select.select([fd], [], [], POLL_S)[0]))
    except AutoresearchError as e:
        print(f"{tool}: {e.what}", file=sys.stderr)
        return 1
    except Exception as e:  # what a library raises is its own affair
        print(f"{tool}: {describe(e)}", file=sys.stderr)
        return 1
    return 0


def track(tool: str, run_dir: Path, environ: Mapping[str, str], wait: Callable[[], bool]) -> None:
    """Hand over every candidate that was not handed over yet, and those to come until ``wait`` says that it is over.

    Raises what the tool's library raises; the next call continues.
    """
    events = follow(run_dir / TRAJECTORY, wait)
    if (first := next(events, None)) is None:
        return
    folder = run_dir / TRACKING
    folder.mkdir(exist_ok=True)
    place = Place(folder / FOLDERS.get(tool, tool), environ)
    with open_tracker(tool, place) as tracker:
        done: Progress | None = None
        for number, run in enumerate(tracked_runs(chain([first], events)), 1):
            done = done or _progress(folder / f"{tool}.json", run.tags["run_id"], _destination(tool, environ))
            if number > done.candidates:
                tracker.write(run)
                done = done.model_copy(update={"candidates": number})
                atomic_write(folder / f"{tool}.json", done.model_dump_json().encode())


def _progress(path: Path, run_id: str, destination: str) -> Progress:
    """How far an earlier process was. Of another run, another destination, or unreadable: at the beginning."""
    new = Progress(run_id=run_id, destination_sha256=destination, candidates=0)
    try:
        found = PROGRESS.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return new
    except (OSError, ValueError) as e:
        print(f"{path} cannot be read, so every candidate is handed over again: {type(e).__name__}", file=sys.stderr)
        return new
    same = (found.run_id, found.destination_sha256) == (run_id, destination) and found.candidates >= 0
    return found if same else new


def _destination(tool: str, environ: Mapping[str, str]) -> str:
    """A hash of what says where the tool sends runs: it may contain a password."""
    named = {name: environ.get(name, "") for name in TRACKERS[tool].destination}
    keys = {name: name in environ for name in sorted(TRACKER_SECRETS.get(tool, ()))}
    return sha256_of({"named": named, "keys": keys})


def _yield_to_trials() -> None:
    """Give trials precedence in CPU time and memory."""
    with contextlib.suppress(OSError):
        os.nice(10)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
