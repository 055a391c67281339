"""The text of `autoresearch status` and `autoresearch report`. Pure: no clock and no terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import assert_never

from autoresearch.core.equal_flops import qualify_gain
from autoresearch.core.text import plural
from autoresearch.report.by_source import source_lines, source_table
from autoresearch.report.climb import climb_lines
from autoresearch.report.early_stops import describe_early_stops
from autoresearch.report.energy import device_lines, energy_lines, marks_line
from autoresearch.report.format import (
    NAME_CELLS,
    describe_budget,
    describe_unseeded,
    format_bpb,
    format_change,
    format_counts,
    format_duration,
    format_gib,
    format_share,
    safe,
)
from autoresearch.report.history import History, Row, qualify_disturbed
from autoresearch.report.importance import describe_importance, importance_block
from autoresearch.report.llm import endings_table, llm_facts
from autoresearch.report.promotion import promotion_lines
from autoresearch.report.race import race_lines
from autoresearch.report.research import research_lines
from autoresearch.report.several_seeds import several_seeds_table
from autoresearch.report.sparkline import BLOCKED, FAILED, STOPPED, Point, Scale, sparkline
from autoresearch.report.stack import render_stack
from autoresearch.report.summary import Summary, best_keep, time_by_activity
from autoresearch.report.table import format_verdict, paint, render_table
from autoresearch.report.vault import vault_lines
from autoresearch.report.verdict_text import (
    describe_correction,
    describe_error_rate,
    describe_verdict,
    format_seeds,
    verdict_counts,
    verdict_facts,
)

MIN_WIDTH = 40
LABEL_CELLS = 12
LAST_ROWS = 5
WARNING_CELLS = 300
MAX_PLACES = 10  # iterations that are named in a line
REASON_CELLS = 200


def render_status(
    summary: Summary, history: History, *, width: int = 80, color: bool = False, writer_alive: bool | None = None
) -> str:
    """The run on one screen, with its last iterations. No newline at the end.

    Prose is wrapped to ``width`` (at least 40); the line of an iteration takes 78 cells, and its reason the rest.
    ``writer_alive`` is whether a process holds the run's lock; ``None`` if that is not known. ``color`` adds ANSI
    colours. Apart from those and newlines the text has no control characters, whatever the log contains.
    """
    blocks = _overview(summary, history, max(width, MIN_WIDTH), color, writer_alive)
    rows = history.rows[-LAST_ROWS:]
    return "\n\n".join([*blocks, *_rows_block("The last iterations", rows, summary, width, color)])


def render_report(
    summary: Summary, history: History, *, width: int = 80, color: bool = False, writer_alive: bool | None = None
) -> str:
    """As ``render_status``, plus tables of the sources and of the LLM calls, and a line for every iteration."""
    blocks = _overview(summary, history, max(width, MIN_WIDTH), color, writer_alive)
    importance = importance_block(summary.importance, describe_importance(history), max(width, MIN_WIDTH), color)
    tables = {
        "Proposals by source": source_table(summary.sources, color),
        "LLM calls by result": endings_table(summary.llm, color),
        "Knob importance": importance,
        "Keeps combined": render_stack(summary.stack, max(width, MIN_WIDTH), color),
        "Measured with several seeds": several_seeds_table(history.rows, color),
    }
    blocks += ["\n".join([f"{title}:", *lines]) for title, lines in tables.items() if lines]
    return "\n\n".join([*blocks, *_rows_block("Every iteration", history.rows, summary, width, color)])


def _overview(s: Summary, history: History, width: int, color: bool, writer_alive: bool | None) -> list[str]:
    head = [paint(line, "bold", color) for line in textwrap.wrap(describe_state(s, history, writer_alive), width)]
    damage = [paint(line, "bold", color) for text in damage_lines(s) for line in textwrap.wrap(text, width)]
    best = [line for sentence in describe_best(s, history) for line in textwrap.wrap(sentence, width)]
    waits = textwrap.wrap(describe_disk_waits(history), width)
    blocks = [damage, [*head, *waits, *textwrap.wrap(describe_run(s), width)], best]
    blocks.append([line for label, text in summary_facts(s) for line in _labelled(label, text, width)])
    blocks.append(render_curve(s, history, width))
    return ["\n".join(block) for block in blocks if block]


def damage_lines(s: Summary) -> Iterator[str]:
    """A warning for each place in a damaged log, and what the numbers of its report mean; none for a whole log."""
    if s.warnings:
        yield from (f"WARNING: in the trajectory, {safe(text, WARNING_CELLS)}" for text in s.warnings)
        yield "Shown is what is whole. `autoresearch run` refuses this file; `autoresearch repair RUN` says what to do."


def describe_disk_waits(history: History) -> str:
    """How often and how long the run waited for disk space; empty if it did not."""
    if not history.disk_waits:
        return ""
    lasted = f", {format_duration(history.disk_wait_s)} in all" if history.disk_wait_s else ""
    return f"It waited for disk space {plural(history.disk_waits, 'time')}{lasted}; no trial ran meanwhile."


def _rows_block(title: str, rows: Sequence[Row], s: Summary, width: int, color: bool) -> list[str]:
    if not rows:
        return []
    shown = {"with_source": len(s.sources) > 1, "sequential": s.verdicts is not None}
    table = render_table(rows, max(width, MIN_WIDTH), color, **shown, metric=s.words.name)
    return ["\n".join([f"{title}:", *table])]


def _labelled(label: str, text: str, width: int) -> list[str]:
    indent = " " * LABEL_CELLS
    return textwrap.wrap(text, width, initial_indent=label.ljust(LABEL_CELLS), subsequent_indent=indent)


def describe_state(s: Summary, history: History, writer_alive: bool | None) -> str:
    """The state of the run in a sentence. Only the lock, not the records, shows that a daemon died."""
    of = f" of {s.iters_requested:,}" if s.iters_requested is not None else ""
    done = f"{s.iterations:,}{of} iterations closed" + (
        f", {format_duration(s.wall_s)} of work" if s.wall_s is not None else ""
    )
    done += " in trials side by side" if history.parallel and s.wall_s is not None else ""
    why = f" ({safe(s.stop_reason, REASON_CELLS)})" if s.stop_reason else ""
    match s.state:
        case "running" | "paused" if writer_alive is False and s.log_format == "autoresearch":
            return f"Interrupted: {done}. No process is running it; the same `autoresearch run` continues it."
        case "running":
            known = "" if writer_alive else " (according to the log)"
            return f"Running{known}: {done}{_describe_open_trial(history)}."
        case "open":
            return f"No end in the log: {done}."
        case "paused" | "stopped" | "complete":
            return f"{s.state.capitalize()}{why}: {done}."
        case _:
            assert_never(s.state)


def _describe_open_trial(history: History) -> str:
    if history.open_trial is None:
        return ""
    if len(history.open_trials) > 1:
        at_work = (f"{f'iteration {t.iter}' if t.iter else 'the baseline'} seed {t.seed}" for t in history.open_trials)
        return f"; {len(history.open_trials)} trials running: {', '.join(at_work)}"
    what = f"iteration {history.open_trial.iter}" if history.open_trial.iter else "the baseline"
    seed = f" with seed {history.open_trial.seed}" if history.is_sequential else ""
    return f", {what}{seed} running since {safe(history.open_trial.ts, NAME_CELLS)}"


def describe_run(s: Summary) -> str:
    """The name and the conditions of the run, as far as the log has them."""
    if s.log_format == "origin":
        what = "its val_bpb is bits per token of one batch, not comparable with any other log"
        return f"A log in the origin's format: {what}."
    named = {"run": s.run_id, "profile": s.profile, "proposer": s.proposer}
    parts = [f"{word} {safe(name, NAME_CELLS)}" for word, name in named.items() if name]
    if y := s.yardstick:
        parts.append(f"trainer {safe(y.trainer, NAME_CELLS)} on {safe(y.device_kind, NAME_CELLS)}")
        parts.append(f"{describe_budget(y)} a trial")
        if not s.words.is_bits_per_byte:
            better = "higher" if s.words.higher_is_better else "lower"
            parts.append(f"measured: {safe(s.words.named_unit, NAME_CELLS)}, {better} is better")
    return ", ".join(parts)


def describe_best(s: Summary, history: History) -> Iterator[str]:
    """The best keep in sentences that claim no more than was measured."""
    if s.baseline_result is None and s.warnings and s.iterations:
        yield "The record of the baseline is among those that are lost."
    elif s.baseline_result is None:
        yield describe_missing_baseline(s)
    elif best := best_keep(history.rows):
        yield from _describe_best_keep(s, history, best)
    elif s.evaluated == 0:
        value = f"{safe(s.words.name, NAME_CELLS)} {format_bpb(s.baseline_result)}"
        yield f"The baseline has {value}. No candidate is measured yet."
        if history.baseline and history.baseline.disturbance:
            yield f"NOTE: {history.baseline.disturbance}; every verdict against it will carry that mark."
    elif s.verdicts:
        yield describe_no_keep(s, history)
    else:
        needed = "enough" if s.accept_delta_frac is None else f"the {100 * s.accept_delta_frac:g}% that a keep needs"
        where = f"in iteration {s.lowest_iter:,}" if s.lowest_iter else "the baseline's own"
        tried = plural(s.evaluated, "candidate")
        yield (
            f"No keep: none of {tried} beat the baseline's {format_bpb(s.baseline_result)} by {needed}. "
            f"The {s.words.best} single measurement is {format_bpb(s.lowest_result)}, {where}."
        )


def describe_missing_baseline(s: Summary) -> str:
    """That no candidate can be compared, and why if a trial of the baseline failed."""
    if s.baseline_failure is None:
        return "The baseline is not measured yet, so no candidate can be compared."
    return f"The baseline failed: {safe(s.baseline_failure, REASON_CELLS).rstrip('.')}. No candidate can be compared."


def describe_no_keep(s: Summary, history: History) -> str:
    """That no candidate was confirmed, and the largest gain that was measured, with its label."""
    needed = "better" if s.accept_delta_frac is None else f"{100 * s.accept_delta_frac:g}% better"
    text = f"No keep: none of {plural(s.evaluated, 'candidate')} was confirmed as {needed} than the baseline"
    best = max((r for r in history.rows if r.evidence), key=lambda r: r.improvement_frac or 0.0, default=None)
    if best is None or best.evidence is None:
        return f"{text}."
    gain = f"{100 * (best.improvement_frac or 0.0):+.2f}% over {format_seeds(best.evidence)}"
    return f"{text}. The largest gain is {gain}, {format_verdict(best)}, in iteration {best.iter:,}."


def _describe_best_keep(s: Summary, history: History, best: Row) -> Iterator[str]:
    was = history.baseline_cfg.get(best.knob or "")
    instead = f" instead of {safe(str(was), NAME_CELLS)}" if was is not None else ""
    if best.evidence and s.verdicts:
        change = f"{format_change(best.knob, best.new_value, NAME_CELLS)}{instead}"
        yield f"Best keep: iteration {best.iter:,}, {change}: {describe_verdict(best.improvement_frac, best.evidence)}."
        yield " ".join(
            t
            for t in (
                describe_correction(best.corrected_frac, best.improvement_frac, s.keeps),
                describe_error_rate(s.verdicts),
            )
            if t
        )
    else:
        yield from _describe_threshold_keep(s, history, best, instead)
    if unequal := qualify_gain(best.ratios, best.equal_flops_gain):
        yield unequal
    if best.disturbance:
        yield qualify_disturbed(best)
    if best.why:
        yield f'The proposer\'s reason: "{safe(best.why, 160)}"'


def _describe_threshold_keep(s: Summary, history: History, best: Row, instead: str) -> Iterator[str]:
    gain = f"{100 * best.improvement_frac:.2f}% {s.words.beyond}" if best.improvement_frac is not None else "against"
    yield (
        f"Best keep: iteration {best.iter:,}, {format_change(best.knob, best.new_value, NAME_CELLS)}{instead}: "
        f"{safe(s.words.name, NAME_CELLS)} {format_bpb(best.val_bpb)}, {gain} the baseline's "
        f"{format_bpb(s.baseline_result)}."
    )
    baseline_trials = history.baseline.trials if history.baseline else 0
    if best.trials <= 1 or baseline_trials <= 1:
        yield (
            f"It is the best of {plural(s.evaluated, 'candidate')}, each measured with a single seed: part of the "
            "difference may be luck, and only more seeds can tell."
        )
    else:
        yield f"Means of {best.trials} trials against {baseline_trials} of the baseline."


def summary_facts(s: Summary) -> Iterator[tuple[str, str]]:
    """Label and text of each count that the run has."""
    yield "verdicts", _count_verdicts(s)
    if unseeded := describe_unseeded(s.yardstick):
        yield "seeds", unseeded
    if s.early_stops:
        yield "early stop", describe_early_stops(s.early_stops)
    for n, text in enumerate(vault_lines(s.vault)):
        yield "" if n else "vault", text
    for n, text in enumerate(climb_lines(s.climb)):
        yield "" if n else "climb", text
    yield from (("race", text) for text in race_lines(s.race))
    yield from (("longer", text) for text in promotion_lines(s.promotion))
    if s.verdicts:
        yield from verdict_facts(s.verdicts)
    if s.refused_attempts_by_rail:
        attempts = sum(s.refused_attempts_by_rail.values())
        yield "refused", f"{plural(attempts, 'attempt')}: {format_counts(s.refused_attempts_by_rail)}"
    if s.knobs_touched or s.knob_counts:
        never = (
            f"; never proposed: {', '.join(safe(k, NAME_CELLS) for k in s.knobs_untouched)}"
            if s.knobs_untouched
            else ""
        )
        proposed = f"{len(s.knobs_touched)} of {s.knobs_total} proposed"
        yield "knobs", f"{proposed}: {format_counts(s.knob_counts)}{never}"
    if s.top_pairs and s.repeat_rate is not None:
        top = s.top_pairs[0]
        most = (
            f"; most often {format_change(top.knob, top.new_value, NAME_CELLS)}, {top.count:,} times"
            if top.count > 1
            else ""
        )
        proposals = plural(s.unique_pairs + s.repeat_count, "proposal")
        repeats = f"{s.repeat_count:,} of {proposals} ({format_share(s.repeat_rate)})"
        yield "repeats", f"{repeats}, {s.unique_pairs:,} distinct{most}"
    for n, text in enumerate(research_lines(s.research) if s.iterations else []):
        yield "" if n else "research", text
    for n, text in enumerate(source_lines(s.sources)):
        yield "" if n else "sources", text
    if s.llm:
        yield from llm_facts(s.llm)
    if s.wall_s is not None:
        yield "time", _list_times(s)
    if s.peak_bytes is not None:
        yield "memory", f"{format_gib(s.peak_bytes)} peak in the largest trial"
    energy = [*energy_lines(s.energy, s.currency), *device_lines(s.device_j)]
    if not energy and s.energy_kwh is not None:
        energy = [f"{s.energy_kwh:.4f} kWh for the trials that were metered"]
    for n, text in enumerate(energy):
        yield "" if n else "energy", text
    if marks := marks_line(s.marks, s.voided):
        yield "marked", marks
    if s.deadline_extended_s:
        yield "deadlines", describe_extensions(s)


def describe_extensions(s: Summary) -> str:
    """How much more time slowed trials got. Needs ``deadline_extended_s``."""
    places = ["baseline" if n == 0 else str(n) for n in s.deadline_extended_iters[:MAX_PLACES]]
    others = len(s.deadline_extended_iters) - len(places)
    more = f" and {others} more" if others else ""
    extended = format_duration(s.deadline_extended_s)
    return f"extended by {extended} in all for slowed trials that progressed, in iterations {', '.join(places)}{more}"


def _count_verdicts(s: Summary) -> str:
    failures = dict(s.failed_by_cause) | ({"no proposal": s.proposer_failed} if s.proposer_failed else {})
    blocked = sum(s.blocked_by_rail.values())
    stopped = [f"{s.early_stops.stopped:,} stopped early"] if s.early_stops and s.early_stops.stopped else []
    return ", ".join(
        [
            *(verdict_counts(s.verdicts) if s.verdicts else (plural(s.keeps, "keep"), plural(s.reverts, "revert"))),
            *stopped,
            f"{blocked} blocked" + (f" ({format_counts(s.blocked_by_rail)})" if blocked else ""),
            f"{s.failed} failed" + (f" ({format_counts(failures)})" if s.failed else ""),
        ]
    )


def _list_times(s: Summary) -> str:
    parts = time_by_activity(s)
    each = f" (median {format_duration(s.overhead_median_s)} an iteration)" if s.overhead_median_s is not None else ""
    known = ", ".join(f"{name} {format_duration(value)}" for name, value in parts.items() if value is not None)
    return f"{known or format_duration(s.wall_s)}{each}"


def render_curve(s: Summary, history: History, width: int) -> list[str]:
    """The sparkline of val_bpb over the iterations and its legend; empty before the first iteration."""
    if not history.rows:
        return []
    points = [_point(row, history) for row in history.rows]
    measured = [p for p in points if not isinstance(p, str)]
    scale = Scale.of([*measured, *([] if s.baseline_result is None else [s.baseline_result])])
    room = width - LABEL_CELLS
    label = safe(s.words.name, LABEL_CELLS - 1).ljust(LABEL_CELLS)
    return [label + sparkline(points, room, scale), *_legend(s, points, scale, room, width)]


def _legend(s: Summary, points: Sequence[Point], scale: Scale | None, room: int, width: int) -> list[str]:
    parts = []
    if scale:
        above = " and above" if scale.clipped else ""
        parts.append(
            f"{format_bpb(scale.low)} {scale.bar(scale.low)} to {format_bpb(scale.high)} {scale.bar(scale.high)}{above}"
        )
    if scale and s.baseline_result is not None:
        parts.append(f"the baseline, {format_bpb(s.baseline_result)}, is {scale.bar(s.baseline_result)}")
    words = {FAILED: "failed", BLOCKED: "blocked", STOPPED: "stopped early"}
    parts += [f"{glyph} {word}" for glyph, word in words.items() if glyph in points]
    if len(points) > room:
        parts.append(f"each glyph is the lowest of about {len(points) / room:.1f} iterations")
    return _labelled("", "; ".join(parts), width)


def _point(row: Row, history: History) -> Point:
    if (bpb := history.comparable_bpb(row)) is not None:
        return bpb
    return {"blocked": BLOCKED, "stopped_early": STOPPED}.get(row.stage, FAILED)
