"""The analysis as text: the tables of ``ns summarize_results``, and in sentences what they do not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.benches.samples.figures import Figure
from autoresearch.core.text import plural

NEMO = "[nemo]"


def describe_analysis(analysis: Mapping[str, Any]) -> str:
    """The figures for a terminal."""
    parts = []
    if analysis["modes"]:
        parts += [_modes(analysis), _headline(analysis)]
        parts += [_by_k(analysis["by_k"])] if len(analysis["by_k"]) > 2 else []
        parts += [_families(analysis)] if len(analysis["families"]) > 1 else []
    if analysis["published"]:
        parts.append(_published(analysis["published"]))
    parts += [f"note: {note}" for note in analysis["notes"]]
    return "\n\n".join(part for part in parts if part) + "\n"


def percent(figure: Figure) -> str:
    """A rate in percent; with its bounds where samples are missing or ungraded; ``-`` where it is not defined."""
    value, lower, upper = figure["value"], figure["lower"], figure["upper"]
    if value is None:
        return "-"
    if lower is None:
        return f"{value:.2%} [?]"
    return f"{value:.2%}" if lower == upper else f"{value:.2%} [{lower:.2%}, {upper:.2%}]"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, below a centred title."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    total = sum(widths) + 3 * (len(widths) - 1)
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join([f" {title} ".center(total, "-"), *(line.rstrip() for line in lines)])


def _modes(analysis: Mapping[str, Any]) -> str:
    methods = analysis["methods"]
    shown_majority = analysis["majority"] == "nemo"
    rows = []
    for row in analysis["modes"]:
        if row["mode"].startswith("majority") and row["mode"].endswith(NEMO) != shown_majority:
            continue
        rates = [percent(row["rates"][method]) for method in methods]
        counts = [str(row["num_entries"]), _whole(row["avg_tokens"]), _whole(row["gen_seconds"])]
        rows.append([row["mode"], *counts, *rates, percent(row["no_answer"])])
    header = ["evaluation_mode", "num_entries", "avg_tokens", "gen_seconds", *methods, "no_answer"]
    title = f"{analysis['suite']}: {analysis['model'] or 'unknown model'}"
    return table(title, header, rows)


def _headline(analysis: Mapping[str, Any]) -> str:
    headline = analysis["headline"]
    lines = [f"{headline['method']} {headline['mode']}: {percent(headline)} over {plural(analysis['cases'], 'case')}"]
    if headline["wilson_95"]:
        lines.append("  95% interval {:.2%} to {:.2%} (Wilson)".format(*headline["wilson_95"]))
    elif headline["se"] is not None:
        lines.append(f"  standard error {headline['se']:.2%} (SD of the case means / sqrt(cases))")
    spread = analysis["run_statistics"][headline["method"]]
    if spread:
        lines.append(
            f"  between the {spread['runs']} runs: SD {spread['sd']:.2%}, SE {spread['se']:.2%} "
            "(n - 1, as NeMo-Skills: the noise of sampling on these cases only)"
        )
    lines += _gaps(analysis)
    return "\n".join(lines)


def _gaps(analysis: Mapping[str, Any]) -> list[str]:
    lines = []
    if analysis["missing"]:
        lines.append(f"  incomplete: {analysis['missing']} of {analysis['planned']} planned samples are missing")
    if analysis["ungraded"]:
        what = plural(analysis["ungraded"], "sample")
        lines.append(f"  {what} without a verdict (kind judge: `autoresearch bench judge`)")
    if not analysis["complete"]:
        lines.append("  they count as wrong; [a, b]: all of them wrong, all of them right")
    if analysis["undecided"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in analysis["undecided"].items())
        lines.append(f"  comparisons that did not end, counted as wrong: {reasons}")
    others = {status: n for status, n in analysis["statuses"].items() if status != "finished"}
    if others:
        lines.append("  ended otherwise than finished: " + ", ".join(f"{status} {n}" for status, n in others.items()))
    return lines


def _by_k(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["k", "pass@k", "pass^k", "majority@k"]
    return table("by k", header, [[str(row["k"]), *(percent(row[name]) for name in header[1:])] for row in rows])


def _families(analysis: Mapping[str, Any]) -> str:
    n = analysis["samples"]
    mode = analysis["headline"]["mode"]
    header = ["family", "cases", mode, "SE", f"majority@{n}", f"pass@{n}", "no_answer"]
    rows = [
        [
            row["family"] or "(none)",
            str(row["cases"]),
            percent(row["mean"]),
            "-" if row["se"] is None else f"{row['se']:.2%}",
            percent(row["majority"]),
            percent(row["pass"]),
            percent(row["no_answer"]),
        ]
        for row in analysis["families"]
    ]
    return table("by family", header, rows)


def _published(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures of metrics.json, as they were read: none of them is computed here."""
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    header = ["published", "evaluation_mode", *names]
    cells = [[row["benchmark"], row["mode"], *(_metric(row["metrics"].get(name)) for name in names)] for row in rows]
    return table("metrics.json, not computed here", header, cells)


def _metric(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return ""
    value = metric["value"]
    return (
        f"{value:.2%}" if metric["unit"] == "fraction" else f"{value:g}" if metric["unit"] == "number" else str(value)
    )


def _whole(value: float | None) -> str:
    return "-" if value is None else str(int(value))
