"""The analysis as text: the tables of ``ns summarize_results``, and in sentences what they do not show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.benches.samples.figures import Figure
from autoresearch.core.text import escape_control, plural

NEMO = "[nemo]"
_WITH_K = re.compile(r"(.*(?:@|avg-of-))(\d{1,6})\]?")


def describe_analysis(analysis: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    parts = []
    if analysis["modes"]:
        parts += [_modes(analysis), _remarks(analysis)]
        parts += [_by_k(analysis)] if len(analysis["by_k"]) > 2 else []
        parts += [_families(analysis)] if len(analysis["families"]) > 1 else []
    if analysis["published"]:
        parts += _published(analysis["published"])
    parts += [f"note: {escape_control(note)}" for note in analysis["notes"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def percent(figure: Figure) -> str:
    """A rate in percent; with its bounds where samples are missing or ungraded; ``-`` where it is not defined."""
    value, lower, upper = figure["value"], figure["lower"], figure["upper"]
    if value is None:
        return "-"
    if lower is None:
        return f"{value:.2%} ?"
    return f"{value:.2%}" if lower == upper else f"{lower:.2%} to {upper:.2%}"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, below a centred title."""
    rows = [[escape_control(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    total = sum(widths) + 3 * (len(widths) - 1)
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join([f" {escape_control(title)} ".center(total, "-"), *(line.rstrip() for line in lines)])


def _modes(analysis: Mapping[str, Any]) -> str:
    methods = analysis["methods"]
    rows = []
    for row in analysis["modes"]:
        if row["mode"].startswith("majority") and row["mode"].endswith(NEMO) != bool(_shown_majority(analysis)):
            continue
        rates = [percent(row["rates"][method]) for method in methods]
        counts = [str(row["num_entries"]), _whole(row["avg_tokens"]), _whole(row["gen_seconds"])]
        rows.append([row["mode"], *counts, *rates, percent(row["no_answer"])])
    header = ["evaluation_mode", "num_entries", "avg_tokens", "gen_seconds", *methods, "no_answer"]
    title = f"{analysis['suite']}: {analysis['model'] or 'unknown model'}"
    return table(title, header, rows)


def _remarks(analysis: Mapping[str, Any]) -> str:
    """What the tables do not show; the command adds headline, statuses and what is missing."""
    lines = []
    spread = analysis["run_statistics"][analysis["headline"]["method"]]
    if spread:
        lines.append(
            f"between the {spread['runs']} runs of {analysis['headline']['method']}: SD {spread['sd']:.2%}, "
            f"SE {spread['se']:.2%} (n - 1, as NeMo-Skills: the noise of sampling on these cases only)"
        )
    if not analysis["complete"]:
        lines.append("a to b: every missing or ungraded sample as wrong, and as right; ?: not known")
    if analysis["ungraded"]:
        what = plural(analysis["ungraded"], "sample")
        lines.append(f"{what} without a verdict: `autoresearch bench judge RUN` for cases of kind judge")
    if analysis["undecided"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in analysis["undecided"].items())
        lines.append(f"comparisons that did not end, counted as wrong: {reasons}")
    return "\n".join(lines)


def _shown_majority(analysis: Mapping[str, Any]) -> str:
    """How the majority that the text shows is marked in the names of its figures."""
    return NEMO if analysis["majority"] == "nemo" else ""


def _by_k(analysis: Mapping[str, Any]) -> str:
    header = ["k", "pass@k", "pass^k", f"majority@k{_shown_majority(analysis)}"]
    rows = [[str(row["k"]), *(percent(row[name]) for name in header[1:])] for row in analysis["by_k"]]
    return table("by k", header, rows)


def _families(analysis: Mapping[str, Any]) -> str:
    n = analysis["samples"]
    mode, shown = analysis["headline"]["mode"], _shown_majority(analysis)
    header = ["family", "cases", mode, "SE", f"majority@{n}{shown}", f"pass@{n}", "no_answer"]
    rows = [
        [
            row["family"] or "(none)",
            str(row["cases"]),
            percent(row["mean"]),
            "-" if row["se"] is None else f"{row['se']:.2%}",
            percent(row[f"majority{shown}"]),
            percent(row["pass"]),
            percent(row["no_answer"]),
        ]
        for row in analysis["families"]
    ]
    return table("by family", header, rows)


def _published(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The figures of metrics.json as they were read, none computed here; a table for each set of names."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in _largest_k(rows):
        groups.setdefault(tuple(row["metrics"]), []).append(row)
    return [
        table(
            "published in metrics.json, not computed here",
            ["benchmark", "evaluation_mode", *names],
            [[row["benchmark"], row["mode"], *(_metric(row["metrics"][name]) for name in names)] for row in members],
        )
        for names, members in groups.items()
    ]


def _largest_k(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the modes of a benchmark that differ in k the last, as upstream prints them; the JSON has all."""
    largest: dict[tuple[str, str], int] = {}
    for row in rows:
        kind, k = _mode(row["mode"])
        largest[row["benchmark"], kind] = max(k, largest.get((row["benchmark"], kind), 0))
    return [row for row in rows if _mode(row["mode"])[1] == largest[row["benchmark"], _mode(row["mode"])[0]]]


def _mode(mode: str) -> tuple[str, int]:
    """``majority@8`` as ("majority@", 8)."""
    found = _WITH_K.fullmatch(mode)
    return (found[1], int(found[2])) if found else (mode, 0)


def _metric(metric: Mapping[str, Any]) -> str:
    value = metric["value"]
    if metric["unit"] == "text":
        return str(value)
    return f"{value:.2%}" if metric["unit"] == "fraction" else f"{value:.10g}"


def _whole(value: float | None) -> str:
    return "-" if value is None else str(int(value))
