"""The top of the page: the verdict in one sentence, the measurements it is based on, and the key figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoresearch.core.equal_flops import qualify_gain
from autoresearch.core.text import plural
from autoresearch.report.format import describe_budget, format_bpb, format_duration
from autoresearch.report.history import History, Row, qualify_disturbed
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_gain, format_kwh, format_short_value
from autoresearch.report.summary import Summary, best_keep
from autoresearch.report.text import describe_missing_baseline, describe_no_keep
from autoresearch.report.verdict_text import (
    describe_correction,
    describe_error_rate,
    format_interval,
    format_range,
    format_seeds,
    same_gain,
)

WH_BELOW_KWH = 0.1
STATE_LABELS = {
    "complete": "Complete",
    "stopped": "Stopped",
    "paused": "Paused",
    "running": "Not finished",  # the records cannot say that a daemon died
    "open": "No end in the log",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence in three parts, with the change in ``change``, and a second sentence about its basis."""

    before: str
    change: str
    after: str
    basis: str

    @property
    def sentence(self) -> str:
        return f"{self.before}{self.change}{self.after}"


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """A number with its name and a short note."""

    value: str
    name: str
    note: str = ""


def build_verdict(s: Summary, history: History) -> Verdict:
    """The result of the run, claiming no more than was measured."""
    name = clean(s.words.name, NAME_CHARS)
    best = best_keep(history.rows)
    if s.baseline_result is None:
        first, _, rest = describe_missing_baseline(s).partition(". ")
        return Verdict(f"{first.rstrip('.')}.", "", "", rest)
    if s.evaluated == 0:
        value = f"{name} {format_bpb(s.baseline_result)}"
        return Verdict(f"The baseline has {value}; no candidate is measured yet.", "", "", "")
    if best is None and s.verdicts:
        sentence, _, basis = describe_no_keep(s, history).partition(". ")
        return Verdict(f"{sentence.rstrip('.')}.", "", "", basis.replace("-", MINUS))
    if best is None:
        needed = (
            "by enough" if s.accept_delta_frac is None else f"by the {100 * s.accept_delta_frac:g}% that a keep needs"
        )
        tried = plural(s.evaluated, "candidate")
        sentence = f"No candidate beat the baseline {needed}: {tried} measured, none kept."
        where = f"in iteration {s.lowest_iter:,}" if s.lowest_iter else "the baseline's own"
        lowest = f"The {s.words.best} single measurement is {format_bpb(s.lowest_result)}, {where}"
        return Verdict(sentence, "", "", f"{lowest}; the baseline has {format_bpb(s.baseline_result)}.")
    was = history.baseline_cfg.get(best.knob or "")
    instead = f" instead of {format_short_value(was)}" if was is not None else ""
    change = f"{clean(best.knob or '?', NAME_CHARS)} = {format_short_value(best.new_value)}"
    improves = f"{s.words.improves} {name}"
    if best.evidence:
        confirmed = f"{best.evidence.label} over {format_seeds(best.evidence)}"
        after = f"{instead} {improves} by {100 * (best.improvement_frac or 0.0):.2f}%, {confirmed}."
        return Verdict("", change, after, _basis(s, history, best))
    gain = "changes" if best.improvement_frac is None else f"{improves} by {100 * best.improvement_frac:.2f}%"
    after = f"{instead} {gain}, from {format_bpb(s.baseline_result)} to {format_bpb(best.val_bpb)}."
    return Verdict("", change, after, _basis(s, history, best))


def _basis(s: Summary, history: History, best: Row) -> str:
    disturbed = qualify_disturbed(best) if best.disturbance else ""
    return " ".join(
        filter(None, (_describe_seeds(s, history, best), qualify_gain(best.ratios, best.equal_flops_gain), disturbed))
    )


def _describe_seeds(s: Summary, history: History, best: Row) -> str:
    if best.evidence and s.verdicts:
        of = f"The largest gain of {plural(s.keeps, 'keep')} among" if s.keeps > 1 else "The only keep of"
        interval = (
            f" The interval of its gain is {format_interval(best.evidence)}." if format_interval(best.evidence) else ""
        )
        first = f"{of} {plural(s.evaluated, 'candidate')}.{interval}"
        correction = describe_correction(best.corrected_frac, best.improvement_frac, s.keeps)
        rest = correction, describe_error_rate(s.verdicts)
        return " ".join(text for text in (first, *rest) if text)
    baseline_trials = history.baseline.trials if history.baseline else 0
    if best.trials > 1 and baseline_trials > 1:
        return (
            f"Means of {plural(best.trials, 'trial')} against {baseline_trials} of the baseline; the best of "
            f"{plural(s.evaluated, 'candidate')}."
        )
    return (
        f"The best of {plural(s.evaluated, 'candidate')}, each measured with a single seed: part of the difference may "
        "be luck, and only more seeds can tell."
    )


def describe_state(s: Summary) -> str:
    """The state of the run according to its records alone."""
    of = f" of {s.iters_requested:,}" if s.iters_requested is not None else ""
    why = f" ({clean(s.stop_reason, NAME_CHARS)})" if s.stop_reason else ""
    return f"{STATE_LABELS[s.state]}{why}: {s.iterations:,}{of} iterations"


def describe_run(s: Summary, history: History) -> Iterator[str]:
    """The name and the conditions of the run, as far as the log has them."""
    if s.log_format == "origin":
        yield "a log in the origin's format"
    named = {"run": s.run_id, "profile": s.profile, "proposer": s.proposer}
    for word, name in named.items():
        if name:
            yield f"{word} {clean(name, NAME_CHARS)}"
    if s.yardstick:
        yield clean(s.yardstick.device_kind, NAME_CHARS)
        yield f"{describe_budget(s.yardstick)} a trial"
    stamps = [row.ts for row in (history.baseline, *history.rows) if row and row.ts]
    if stamps:
        yield _format_interval(clean(stamps[0], 40), clean(stamps[-1], 40))


def _format_interval(first: str, last: str) -> str:
    """The two times to the minute, with the second date only if it differs."""
    zone = " UTC" if first.endswith("Z") and last.endswith("Z") else ""
    first, last = (text.replace("T", " ")[:16] for text in (first, last))
    end = last[11:] if last[:10] == first[:10] else last
    return f"{first} to {end}{zone}" if first != last else f"{first}{zone}"


def build_key_figures(s: Summary, history: History, best: Row | None = None) -> Iterator[KeyFigure]:
    """The figures under the verdict; ``best`` is the best keep."""
    name = clean(s.words.name, NAME_CHARS)
    if best and best.evidence:
        interval = format_interval(best.evidence).replace("-", MINUS)
        yield KeyFigure(format_gain(best.improvement_frac), f"best gain, {format_seeds(best.evidence)}", interval)
        if best.corrected_frac is not None and not same_gain(best.corrected_frac, best.improvement_frac):
            yield KeyFigure(format_gain(best.corrected_frac), "corrected gain", "for its selection")
        if best.vault and best.vault.test_gain_frac is not None:
            interval = format_range(best.vault.test_low_frac, best.vault.test_high_frac).replace("-", MINUS)
            note = f"95%: {interval}" if interval else "no interval"
            yield KeyFigure(format_gain(best.vault.test_gain_frac), "gain on test", note)
    elif s.best_result is not None:
        yield KeyFigure(format_bpb(s.best_result), f"best {name}", f"iteration {s.best_iter:,}")
        yield KeyFigure(format_gain(s.best_improvement_frac), "against the baseline", format_bpb(s.baseline_result))
    elif s.baseline_result is not None:
        yield KeyFigure(format_bpb(s.baseline_result), f"baseline {name}")
    blocked = sum(s.blocked_by_rail.values())
    if s.verdicts:
        yield KeyFigure(f"{s.verdicts.labels['confirmed']:,}", "confirmed", f"of {s.iterations:,} iterations")
        others = [
            f"{n:,} {label}"
            for label, n in s.verdicts.labels.items()
            if n and label not in ("confirmed", "screened out")
        ]
        stopped = s.early_stops.stopped if s.early_stops else 0
        ends = ((stopped, "stopped early"), (s.failed, "failed"), (blocked, "blocked"))
        lost = [f"{n:,} {word}" for n, word in ends if n]
        yield KeyFigure(f"{s.verdicts.labels['screened out']:,}", "screened out", ", ".join([*others, *lost]))
    else:
        yield from _count_decisions(s, blocked)
    if s.wall_s is not None:
        note = "in trials side by side" if history.parallel else "without pauses"
        yield KeyFigure(format_duration(s.wall_s), "of work", note)
    if s.energy_kwh is not None:
        yield KeyFigure(_format_energy(s.energy_kwh), "energy", "of the trials")
    elif s.energy:
        yield KeyFigure("-", "energy", "of several scopes")


def _format_energy(kwh: float) -> str:
    """In the unit that makes a short number: ``1.50 kWh``, ``11.2 Wh``."""
    return format_kwh(kwh) if kwh >= WH_BELOW_KWH else f"{1000 * kwh:.3g} Wh"


def _count_decisions(s: Summary, blocked: int) -> Iterator[KeyFigure]:
    yield KeyFigure(f"{s.keeps:,}", "keep" if s.keeps == 1 else "keeps", f"of {s.iterations:,} iterations")
    lost = f"{s.failed:,} failed, {blocked:,} blocked"
    yield KeyFigure(f"{s.reverts:,}", "revert" if s.reverts == 1 else "reverts", lost)
