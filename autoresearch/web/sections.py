"""The parts of a run's page as plain values, made of the parts of the morning report. Pure.

A page gets each part again only when it changed. Therefore no part holds the present time: a duration that grows is
given by its beginning, and the page counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from autoresearch.report.format import NAME_CELLS, format_bpb, format_changes, safe
from autoresearch.report.history import History
from autoresearch.report.html.course import build_course
from autoresearch.report.html.headline import build_key_figures, build_verdict, describe_run
from autoresearch.report.html.limits import describe_limits
from autoresearch.report.html.rows import KIND_NAMES, KINDS
from autoresearch.report.html.text import clean
from autoresearch.report.summary import Summary, best_keep
from autoresearch.report.text import damage_lines
from autoresearch.report.watch.headline import PHASES, describe_state
from autoresearch.report.watch.several_trials import RunningTrial, several_trials
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.report.watch.styles import BAD, GOOD, WARN
from autoresearch.web.run_log import LogLine
from autoresearch.web.telemetry_tail import Reading

STYLES = {BAD: "bad", GOOD: "good", WARN: "warn"}
Sections = dict[str, Any]
LEAST_FRACTION = 0.05  # of a trial, from which on its end is estimated
LEFT_STEP_S = 5  # of an estimate, so that it is not a new one with every reading


def live_sections(
    snapshot: Snapshot,
    readings: Iterable[Reading],
    log: Iterable[LogLine],
    of_device: Mapping[str, Sequence[Reading]] = MappingProxyType({}),
) -> Sections:
    """What changes while a run works: state, devices, log."""
    words, style = describe_state(snapshot)
    return {
        "state": {"text": words, "style": STYLES.get(style, "")},
        "live": _live_word(snapshot),
        "devices": describe_devices(snapshot, list(readings), of_device),
        "log": [[line.ts, line.kind, line.text] for line in log],
    }


def _live_word(snapshot: Snapshot) -> str:
    if snapshot.problem:
        return "unreadable"
    if snapshot.starting:
        return "starting"
    if snapshot.history is None:
        return "empty"
    if snapshot.history.state in ("running", "paused") and not snapshot.alive:
        return "interrupted"
    return "pausing" if snapshot.pause_requested and snapshot.history.state == "running" else snapshot.history.state


def describe_device(snapshot: Snapshot, readings: list[Reading]) -> dict[str, Any]:
    """What the run's device does now. ``readings`` are shown only of a run that a process works on."""
    history, progress = snapshot.history, snapshot.progress
    yardstick = history.yardstick if history else None
    open_trial = history.open_trial if history and snapshot.alive and not snapshot.starting else None
    device: dict[str, Any] = {
        "name": clean(yardstick.device_kind, 60) if yardstick else "device not known yet",
        "doing": _doing(snapshot),
        "phase": "",
        "fraction": None,
        "speed": "",
        "since": clean(open_trial.ts, 40) if open_trial else None,
        "left_s": None,
        "readings": [_reading(r) for r in readings] if snapshot.alive else [],
    }
    if progress:
        device["phase"] = clean(PHASES.get(progress.phase, progress.phase), 40)
        device["fraction"] = round(progress.fraction, 3)
        device["speed"] = f"{progress.tokens_per_s:,.0f} tokens/s" if progress.tokens_per_s else ""
        device["left_s"] = _left_s(snapshot)
    return device


def describe_devices(
    snapshot: Snapshot, readings: list[Reading], of_device: Mapping[str, Sequence[Reading]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """One card, or of several running trials one for each, with the readings of its device.

    Those of all devices together are on the first card, unless they are the sum of what the cards have.
    """
    device = describe_device(snapshot, readings)
    is_at_work = snapshot.alive and not snapshot.starting
    trials = several_trials(snapshot.history, snapshot.progress, snapshot.now) if is_at_work else []
    if not trials:
        return [device]
    trials.sort(key=_place)
    owned = {r.scope for found in of_device.values() for r in found}
    shared = [_reading(r) for r in readings if r.scope not in owned]
    return [
        {
            "name": clean(t.at.where if t.at and t.at.where else device["name"], 60),
            "doing": clean(t.what, 120),
            "phase": clean(PHASES.get(t.at.phase, t.at.phase), 40) if t.at else "starting",
            "fraction": round(t.at.fraction, 3) if t.at else None,
            "speed": f"{t.at.tokens_per_s:,.0f} tokens/s" if t.at and t.at.tokens_per_s else "",
            "since": clean(t.trial.ts, 40),
            "left_s": None if t.left_s is None else LEFT_STEP_S * round(t.left_s / LEFT_STEP_S),
            "readings": [
                *(_reading(r) for r in (of_device.get(t.at.where, ()) if t.at else ())),
                *(shared if n == 0 else ()),
            ],
        }
        for n, t in enumerate(trials)
    ]


def _place(trial: RunningTrial) -> list[tuple[int, str]]:
    """The device, with its number as a number, so that each has the same card for as long as it has a trial."""
    parts = re.split(r"(\d+)", trial.at.where if trial.at else "")
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _doing(snapshot: Snapshot) -> str:
    """The trial of now, as far as the records say."""
    history = snapshot.history
    if not snapshot.alive:
        return "idle: no process works on this run"
    if snapshot.starting or history is None:
        return clean(snapshot.progress.phase, 60) if snapshot.progress else "starting"
    if history.state != "running":
        return f"waiting: the run is {history.state}"
    if (trial := history.open_trial) is None:
        return "waiting for the next proposal" if history.baseline else "the baseline is next"
    seed = f", seed {trial.seed}" if history.is_sequential else ""
    if snapshot.proposed is None:
        return f"the baseline{seed}" if trial.iter == 0 else f"a trial{seed}"
    change = format_changes(snapshot.proposed.proposal, NAME_CELLS)
    by = f" by {safe(snapshot.proposed.source, NAME_CELLS)}"
    return f"the baseline for {change}{seed}" if trial.iter == 0 else f"{change}{by}{seed}"


def _left_s(snapshot: Snapshot) -> int | None:
    """Seconds until the trial has trained, at the pace so far; ``None`` where that is not known."""
    from autoresearch.report.watch.eta import elapsed_s

    progress, history = snapshot.progress, snapshot.history
    if progress is None or history is None or history.open_trial is None or progress.phase != "train":
        return None
    spent = elapsed_s(history.open_trial.ts, snapshot.now)
    if spent is None or not LEAST_FRACTION <= progress.fraction <= 1:
        return None
    left = spent * (1 - progress.fraction) / progress.fraction
    return LEFT_STEP_S * round(left / LEFT_STEP_S) if left < 1e7 else None


def _reading(r: Reading) -> list[str]:
    """The scope, then each number that was read, with its unit."""
    numbers = (
        (r.power_w, "{:.1f} W"),
        (r.temp_c, "{:.0f} \N{DEGREE SIGN}C"),
        (r.util_pct, "{:.0f}% busy"),
        (r.clock_mhz, "{:.0f} MHz"),
        (None if r.mem_used_mib is None else r.mem_used_mib / 1024, "{:.1f} GiB"),
    )
    shown = [text.format(number) for number, text in numbers if number is not None]
    return [r.scope or "device", *shown, *([f"slowed: {r.slowdowns}"] if r.slowdowns else [])]


def result_sections(history: History, summary: Summary) -> Sections:
    """What the records say so far: verdict, figures, course, limits. Costs more the longer the run is."""
    best = best_keep(history.rows)
    verdict, course = build_verdict(summary, history), build_course(history)
    higher = history.words.higher_is_better
    baseline = course.baseline
    return {
        "verdict": [verdict.before, verdict.change, verdict.after, verdict.basis],
        "figures": [[f.value, f.name, f.note] for f in build_key_figures(summary, history, best)],
        "identity": list(describe_run(summary, history)),
        "course": {
            "metric": clean(history.words.name, 40),
            "higher": higher,
            "baseline": baseline,
            "baseline_text": format_bpb(baseline),
            "needed": course.needed,
            "sign": 1 if higher == (baseline is not None and baseline < 0) else -1,
            "low": course.low,
            "high": course.high,
            "kinds": [KIND_NAMES.get(kind, kind) if history.is_sequential else kind for kind in KINDS],
        },
        "limits": [[clean(title, 80), clean(text, 1200)] for title, text in describe_limits(summary, history)],
        "damage": [clean(line, 400) for line in damage_lines(summary)],
    }


def overview(snapshot: Snapshot, rows: int, keeps: int) -> Sections:
    """One run in the list of all runs."""
    words, style = describe_state(snapshot)
    history, devices = snapshot.history, describe_devices(snapshot, [])
    device, several = devices[0], len(devices) > 1
    best = best_keep(history.rows) if history else None
    return {
        "live": _live_word(snapshot),
        "state": words,
        "style": STYLES.get(style, ""),
        "iterations": rows,
        "requested": history.iters_requested if history else None,
        "keeps": keeps,
        "best": f"{100 * best.improvement_frac:+.2f}%" if best and best.improvement_frac is not None else "",
        "device": clean(history.yardstick.device_kind, 60) if history and history.yardstick else "",
        "doing": f"{len(devices)} trials at work" if several else device["doing"] if snapshot.alive else "",
        "fraction": None if several else device["fraction"],
    }
