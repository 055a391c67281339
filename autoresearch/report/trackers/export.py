"""A whole run for one tracker."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from autoresearch.core.records import Event
from autoresearch.core.text import escape_control
from autoresearch.errors import AutoresearchError, JournalError
from autoresearch.report.trackers.table import open_tracker
from autoresearch.report.trackers.tracked_run import tracked_runs
from autoresearch.report.trackers.tracker import Place
from autoresearch.report.trial_export.candidates import State

MAX_ERROR_CHARS = 400


def export_run(tool: str, records: Iterable[Event], path: Path) -> Counter[State]:
    """Write every closed candidate to ``path``; returns how many of each state, the baseline's included.

    To a database of MLflow they are added; those that it has already are counted too.

    Raises ``JournalError`` where no trial is closed yet, ``MissingPackage``, and ``AutoresearchError`` for an error of
    the tool's library.
    """
    states = Counter[State]()
    with ExitStack() as stack:
        try:
            tracker = stack.enter_context(open_tracker(tool, Place(path)))
        except AutoresearchError:
            raise
        except Exception as e:
            what = f"the library of {tool} could not open {path}: {describe(e)}"
            raise AutoresearchError(what, hint="name a new file") from e
        for run in tracked_runs(records):
            try:
                tracker.write(run)
            except AutoresearchError:
                raise
            except Exception as e:  # what a library raises is its own affair
                what = f"the library of {tool} could not write iteration {run.iter}: {describe(e)}"
                raise AutoresearchError(what, hint="autoresearch export csv needs no other library") from e
            states[run.state] += 1
    if not states:
        hint = "wait until the baseline is measured; `autoresearch status` shows it"
        raise JournalError("the run has no measurement yet that can be exported", hint=hint)
    return states


def describe(error: Exception) -> str:
    """An error of a library on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    text = re.sub(r"://[^/@ ]*@", "://...@", text)  # a name and a password of a server's address
    return escape_control(text[:MAX_ERROR_CHARS])
