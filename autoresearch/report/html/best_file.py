"""The best configuration as a settings file, to be the baseline of a next run. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.core.toml import toml_key, toml_value
from autoresearch.core.values import KnobValue
from autoresearch.report.format import format_bpb
from autoresearch.report.history import History, Row
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_gain, format_value
from autoresearch.report.summary import Summary, best_keep
from autoresearch.report.verdict_text import describe_verdict

NAME = "best.toml"


@dataclass(frozen=True, slots=True)
class BestFile:
    """``text`` is TOML; ``changed`` has the indexes of its lines that differ from the baseline."""

    name: str
    text: str
    changed: tuple[int, ...]
    is_baseline: bool

    @property
    def lines(self) -> tuple[tuple[str, bool], ...]:
        """Each line, and whether it is a changed line."""
        return tuple((line, n in self.changed) for n, line in enumerate(self.text.splitlines()))


def build_best_file(s: Summary, history: History) -> BestFile | None:
    """The best keep's configuration, or the baseline's if nothing was kept; ``None`` if the log has neither.

    From a log in the origin's format only the knobs are taken: its other fields are not settings of this program.
    """
    best = best_keep(history.rows)
    cfg = {name: value for name, value in history.baseline_cfg.items() if name in history.knobs}
    if not cfg:
        return None
    changes = _changes(best) if best else {}
    if best and changes and all(knob in cfg for knob in changes):
        cfg.update(changes)
        name = clean(s.words.name, NAME_CHARS)
        why = (
            f"# {best.knob} = {format_value(best.new_value)}, iteration {best.iter}: {name} {format_bpb(best.val_bpb)}"
        )
        if best.evidence:
            why = f"# {best.knob} = {format_value(best.new_value)}, iteration {best.iter}"
        gain = format_gain(best.improvement_frac).replace(MINUS, "-")
        basis = f"{gain} against the baseline's {format_bpb(s.baseline_result)}"
        head = [why, f"# {describe_verdict(best.improvement_frac, best.evidence) if best.evidence else basis}"]
    else:
        best, changes, head = None, {}, ["# the baseline: nothing was kept"]
    where = f"# run {clean(s.run_id, NAME_CHARS)}" if s.run_id else "# a run without a name"
    profile = [f"profile = {toml_value(s.profile)}"] if s.profile else []
    lines = [
        *head,
        where,
        *profile,
        "",
        "[baseline]",
        *(f"{toml_key(name)} = {toml_value(v)}" for name, v in cfg.items()),
    ]
    lines = [line if line.isascii() or not line.startswith("#") else ascii(line)[1:-1] for line in lines]
    changed = tuple(len(lines) - len(cfg) + list(cfg).index(knob) for knob in changes)
    return BestFile(NAME, "\n".join(lines) + "\n", changed, best is None)


def _changes(best: Row) -> dict[str, KnobValue]:
    if best.several:
        return dict(best.several)
    return {} if best.knob is None or best.new_value is None else {best.knob: best.new_value}
