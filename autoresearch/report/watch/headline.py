"""What a run is doing now: its state in a sentence, and the progress of the running trial. Pure."""

from __future__ import annotations

from typing import assert_never

from rich.text import Text

from autoresearch.hints import command
from autoresearch.report import History, text
from autoresearch.report.end_time import describe_end
from autoresearch.report.format import NAME_CELLS, format_changes, format_duration, pad, safe
from autoresearch.report.text import LABEL_CELLS
from autoresearch.report.watch.eta import elapsed_s, estimate_left_s, format_clock, format_estimate
from autoresearch.report.watch.several_trials import several_trials, trial_lines
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.report.watch.styles import BAD, BAR, GOOD, PLAIN, REST, WARN
from autoresearch.storage.run_dir import PAUSE_FLAG

BAR_CELLS, DETAIL_CELLS = 30, 36  # the bar, and the rest of its line: "  42%  validating, 18,432 tokens/s"
REASON_CELLS = 200
PHASES = {"train": "training", "validate": "validating"}


def describe_state(snapshot: Snapshot) -> tuple[str, str]:
    """The state of the run in a sentence, and the style of that sentence."""
    if snapshot.problem:
        return safe(f"{snapshot.problem.what} (try: {snapshot.problem.hint})", 400), BAD
    if snapshot.waits and (snapshot.starting or snapshot.history is None):
        return safe(f"A daemon is starting; it {snapshot.waits}.", 400), WARN
    if snapshot.starting:
        return "A daemon is starting in this run directory.", PLAIN
    if snapshot.history is None or snapshot.summary is None:
        return "No run has started here yet. Waiting for the first record.", PLAIN
    state = text.describe_state(snapshot.summary, snapshot.history, snapshot.alive)
    match snapshot.history.state:
        case "running" | "paused" if snapshot.alive is False:
            return state, BAD
        case "running":
            return _running(snapshot, snapshot.history), PLAIN
        case "paused" if snapshot.history.waits_for == "disk_space":
            return f"{state} It continues by itself.", WARN
        case "paused":
            return f"{state} `{safe(command('resume', snapshot.path), REASON_CELLS)}` continues it.", WARN
        case "stopped":
            why = safe(snapshot.summary.stop_reason or "no reason recorded", REASON_CELLS)
            of = f" of {snapshot.history.iters_requested:,}" if snapshot.history.iters_requested is not None else ""
            return f"Stopped after {len(snapshot.history.rows):,}{of} iterations: {why}.", PLAIN
        case "complete":
            return state, GOOD
        case "open":
            return state, PLAIN
        case _:
            assert_never(snapshot.history.state)


def _running(snapshot: Snapshot, history: History) -> str:
    of = f" of {history.iters_requested:,}" if history.iters_requested is not None else ""
    at = "the baseline" if history.baseline is None else f"iteration {len(history.rows) + 1:,}{of}"
    if snapshot.pause_requested:
        return f"Running: {at}. {PAUSE_FLAG} exists: the run pauses after this trial."
    left = estimate_left_s(history, snapshot.now)
    remaining = f", {format_estimate(left)} left, until {format_clock(snapshot.now, left)}" if left is not None else ""
    end = describe_end(history, snapshot.now)
    return f"Running: {at}{remaining}{f'; {end}' if end else ''}."


def render_activity(snapshot: Snapshot, width: int) -> list[Text]:
    """The running trial and its progress, always in two lines, so that the lines below do not move.

    Of several trials, a line for each.
    """
    if snapshot.problem or not snapshot.alive:
        return []
    history, progress = snapshot.history, snapshot.progress
    if snapshot.starting or history is None:
        what = progress.phase if progress else "corpus, device and trial server"
        return _render_progress(safe(what, width - LABEL_CELLS), "", progress.fraction if progress else None, width)
    if history.state != "running":
        return []
    if trials := several_trials(history, progress, snapshot.now):
        lines = trial_lines(trials, width - LABEL_CELLS)
        return [
            Text.assemble((pad("" if n else "now", LABEL_CELLS), "dim"), (line, "bold")) for n, line in enumerate(lines)
        ]
    if history.open_trial is None:
        return _render_progress(_describe_next(snapshot), "", None, width)
    if progress is None:
        return _render_progress(_describe_trial(snapshot), "", None, width)
    phase = PHASES.get(progress.phase, progress.phase)
    speed = f"{progress.tokens_per_s:,.0f} tokens/s" if progress.tokens_per_s else ""
    return _render_progress(
        _describe_trial(snapshot), ", ".join(w for w in (phase, speed) if w), progress.fraction, width
    )


def _describe_next(snapshot: Snapshot) -> str:
    has_baseline = snapshot.history and snapshot.history.baseline
    return "waiting for the next proposal" if has_baseline else "the baseline is next"


def _describe_trial(snapshot: Snapshot) -> str:
    """The change on trial, its source, and for how long the trial has been running."""
    open_trial = snapshot.history.open_trial if snapshot.history else None
    what = ["the baseline" if open_trial and open_trial.iter == 0 else "a trial"]
    if open_trial and snapshot.proposed:
        p = snapshot.proposed.proposal
        change = format_changes(p, NAME_CELLS)
        what = [change, f"by {safe(snapshot.proposed.source, NAME_CELLS)}"]
        if open_trial.iter == 0:  # the candidate needs one more seed of the baseline
            what = [f"the baseline for {change}"]
    if open_trial and snapshot.history and snapshot.history.is_sequential:
        what.append(f"seed {open_trial.seed}")
    since = elapsed_s(open_trial.ts, snapshot.now) if open_trial else None
    if since is not None:
        what.append(f"for {format_duration(since) if since >= 10 else f'{since:.0f} s'}")
    return ", ".join(what)


def _render_progress(what: str, details: str, fraction: float | None, width: int) -> list[Text]:
    room = max(0, width - LABEL_CELLS)
    cells = min(BAR_CELLS, max(10, room - DETAIL_CELLS))
    done = 0 if fraction is None else round(fraction * cells)
    percent = "" if fraction is None else f"{100 * fraction:4.0f}%"
    return [
        Text.assemble((pad("now", LABEL_CELLS), "dim"), (safe(what, room), "bold")),
        Text.assemble(
            " " * LABEL_CELLS,
            ("━" * done, BAR),
            ("─" * (cells - done), REST),
            f"{percent:5}  {safe(details, max(0, room - cells - 7))}",
        ),
    ]
