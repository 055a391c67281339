"""What a run is doing at this moment: its headline, and the bar inside the running trial. Pure."""

from __future__ import annotations

from rich.text import Text

from autoresearch.report import History, text
from autoresearch.report.format import NAME_CELLS, format_change, format_duration, pad, safe
from autoresearch.report.history import plain_value
from autoresearch.report.text import LABEL_CELLS
from autoresearch.report.watch.eta import clock, elapsed_s, left_s, roughly
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.report.watch.styles import BAD, BAR, GOOD, PLAIN, REST, WARN
from autoresearch.storage.run_dir import PAUSE_FLAG

BAR_CELLS, BESIDE_CELLS = 30, 36  # the bar, and what else is in its line: "  42%  validating, 18,432 tokens/s"
REASON_CELLS = 200
PHASES = {"train": "training", "validate": "validating"}


def headline(snapshot: Snapshot) -> tuple[str, str]:
    """Where the run stands, in a sentence, and its style."""
    if snapshot.problem:
        return safe(f"{snapshot.problem.what} (try: {snapshot.problem.hint})", 400), BAD
    if snapshot.starting:
        return "A daemon is starting here.", PLAIN
    if snapshot.history is None or snapshot.summary is None:
        return "Nothing has run here yet. Waiting for the first record.", PLAIN
    told = text.headline(snapshot.summary, snapshot.history, snapshot.alive)
    match snapshot.history.state:
        case "running" | "paused" if snapshot.alive is False:
            return told, BAD
        case "running":
            return _running(snapshot, snapshot.history), PLAIN
        case "paused":
            return f"{told} `autoresearch resume` lets it go on.", WARN
        case "stopped":
            why = safe(snapshot.summary.stop_reason or "no reason is given", REASON_CELLS)
            of = f" of {snapshot.history.iters_requested}" if snapshot.history.iters_requested is not None else ""
            return f"Stopped after {len(snapshot.history.rows)}{of} iterations: {why}.", PLAIN
        case "complete":
            return told, GOOD
        case _:
            return told, PLAIN


def _running(snapshot: Snapshot, history: History) -> str:
    of = f" of {history.iters_requested}" if history.iters_requested is not None else ""
    at = "the baseline" if history.baseline is None else f"iteration {len(history.rows) + 1}{of}"
    if snapshot.suspender:
        return f"Running: {at}. {PAUSE_FLAG} is there: it pauses after this trial."
    left = left_s(history, snapshot.now)
    pace = f", {roughly(left)} to go, until {clock(snapshot.now, left)}" if left is not None else ""
    return f"Running: {at}{pace}."


def now_lines(snapshot: Snapshot, width: int) -> list[Text]:
    """What is tried, and how far the trial is. Two lines whatever is going on, so that nothing jumps."""
    if snapshot.problem or not snapshot.alive:
        return []
    history, progress = snapshot.history, snapshot.progress
    if snapshot.starting or history is None:
        what = progress.phase if progress else "corpus, device and trial server"
        return _now(safe(what, width - LABEL_CELLS), "", progress.fraction if progress else None, width)
    if history.state != "running":
        return []
    if history.open_trial is None:
        return _now(_between(snapshot), "", None, width)
    if progress is None:
        return _now(_tried(snapshot), "", None, width)
    phase = PHASES.get(progress.phase, progress.phase)
    speed = f"{progress.tokens_per_s:,.0f} tokens/s" if progress.tokens_per_s else ""
    return _now(_tried(snapshot), ", ".join(w for w in (phase, speed) if w), progress.fraction, width)


def _between(snapshot: Snapshot) -> str:
    return (
        "the next change is being chosen"
        if snapshot.history and snapshot.history.baseline
        else "the baseline comes next"
    )


def _tried(snapshot: Snapshot) -> str:
    """The change under trial, who proposed it, and for how long it has been running."""
    open_trial = snapshot.history.open_trial if snapshot.history else None
    what = ["the baseline" if open_trial and open_trial.iter == 0 else "a trial"]
    if open_trial and open_trial.iter and snapshot.proposed:
        p = snapshot.proposed.proposal
        what = [
            format_change(p.knob, plain_value(p.new_value), NAME_CELLS),
            f"by {safe(snapshot.proposed.source, NAME_CELLS)}",
        ]
    since = elapsed_s(open_trial.ts, snapshot.now) if open_trial else None
    if since is not None:
        what.append(f"for {format_duration(since) if since >= 10 else f'{since:.0f} s'}")
    return ", ".join(what)


def _now(what: str, beside: str, fraction: float | None, width: int) -> list[Text]:
    room = max(0, width - LABEL_CELLS)
    cells = min(BAR_CELLS, max(10, room - BESIDE_CELLS))
    done = 0 if fraction is None else round(fraction * cells)
    percent = "" if fraction is None else f"{100 * fraction:4.0f}%"
    return [
        Text.assemble((pad("now", LABEL_CELLS), "dim"), (safe(what, room), "bold")),
        Text.assemble(
            " " * LABEL_CELLS,
            ("━" * done, BAR),
            ("─" * (cells - done), REST),
            f"{percent:5}  {safe(beside, max(0, room - cells - 7))}",
        ),
    ]
