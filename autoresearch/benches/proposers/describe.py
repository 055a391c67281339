"""The figures of suite P as text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoresearch.benches.proposers.counts import Counts
from autoresearch.core.text import plural
from autoresearch.report.format import safe


def describe_nights(figures: Mapping[str, Any]) -> str:
    """The figures as text."""
    return "\n".join(_lines(figures))


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    table = figures["table"]
    changes = ", ".join(f"{k} = {v}" for k, v in table["optimum"].items()) or "the baseline itself"
    yield (
        f"table: {plural(table['configurations'], 'configuration')} of profile {safe(table['profile'], 40)}, "
        f"{table['failing']} of them failing, noise of a seed {100 * table['noise_sd_frac']:.2f}%; "
        f"{table['interpolated']} of {table['intervals']} intervals between measured values are interpolated"
    )
    yield (
        f"baseline {table['baseline_mean']:.4f}, best of the table {table['optimum_mean']:.4f} ({changes}); "
        f"rule {figures['decision']}, {plural(figures['seeds'], 'seed')}"
    )
    yield ""
    yield "regret: true mean val_bpb of what a night hands over, minus the best of the table (95% interval)"
    trials = figures["trials"]
    rows: list[Sequence[str]] = [("proposer", *(f"{n} trials" for n in trials))]
    rows += [(p["proposer"], *(_regret(c["regret"]) for c in p["checkpoints"])) for p in figures["proposers"]]
    exact = figures["random_exact"]
    rows.append(("best of n, exact", *("-" if exact[str(n)] is None else f"{exact[str(n)]:.4f}" for n in trials)))
    yield from _columns(rows)
    yield "best of n, exact: n random changes of the table, each known without noise"
    yield from _against(figures)
    for proposer in figures["proposers"]:
        yield ""
        yield from _proposer(proposer)


def _against(figures: Mapping[str, Any]) -> Iterator[str]:
    rows: list[Sequence[str]] = []
    for proposer in figures["proposers"]:
        for checkpoint in proposer["checkpoints"]:
            for rival, pair in checkpoint["against"].items():
                if pair["gain"] is None:
                    continue
                interval = "-" if pair["low"] is None else f"{pair['low']:+.4f} to {pair['high']:+.4f}"
                p = "-" if pair["p"] is None else f"{pair['p']:.2g}"
                names = f"{proposer['proposer']} against {rival}"
                rows.append((names, str(checkpoint["trials"]), f"{pair['gain']:+.4f}", interval, p, str(pair["seeds"])))
    if rows:
        yield ""
        yield "gain: the other's regret minus its own, seed by seed; above 0 it is better"
        yield from _columns([("", "trials", "gain", "95% interval", "p", "seeds"), *rows])


def _proposer(proposer: Mapping[str, Any]) -> Iterator[str]:
    last, counts = proposer["checkpoints"][-1], Counts.model_validate(proposer["counts"])
    model = f" with {safe(proposer['model'], 80)}" if proposer["model"] else ""
    early = f", {plural(proposer['ended_early'], 'night')} ended early" if proposer["ended_early"] else ""
    missing = f", {plural(proposer['missing'], 'night')} MISSING" if proposer["missing"] else ""
    yield f"{proposer['proposer']}{model}: {plural(proposer['seeds'], 'night')}{early}{missing}"
    if last["noisy"] is not None:
        curse = last["true"] - last["noisy"]
        yield (
            f"  winner's curse {curse:+.4f}: chosen at {last['noisy']:.4f}, its truth is {last['true']:.4f}; "
            f"{last['keeps']:.1f} keeps a night, the best keep has a regret of {_mean(last['kept_regret'])}"
        )
    refused = ", ".join(f"{rail} {n:,}" for rail, n in counts.refused.items()) or "none"
    yield (
        f"  {counts.proposals:,} proposals; refused: {refused}; for want of data {counts.no_data:,}; "
        f"iterations without a candidate {counts.blocked + counts.proposer_failed:,}"
    )
    if counts.crashes:
        yield "  failed trials: " + ", ".join(f"{cause} {n:,}" for cause, n in counts.crashes.items())
    if counts.calls:
        share = proposer["model_share"]
        calls = ", ".join(f"{name} {n:,}" for name, n in counts.calls.items())
        yield f"  calls: {calls}; {'-' if share is None else f'{share:.0%}'} of the candidates are the model's"
    tokens = proposer["tokens_per_proposal"]
    joules = proposer["j_per_proposal"]
    cost = [f"{proposer['s_per_proposal']:.3f} s" if proposer["s_per_proposal"] is not None else ""]
    cost += [f"{tokens:.0f} tokens" if tokens is not None else "", f"{joules:.1f} J" if joules is not None else ""]
    if any(cost):
        yield "  a proposal takes " + ", ".join(c for c in cost if c)


def _regret(regret: Mapping[str, float | None]) -> str:
    if regret["mean"] is None:
        low, high = regret["at_least"], regret["at_most"]
        return "-" if low is None or high is None else f"{low:.4f} to {high:.4f}, incomplete"
    if regret["low"] is None:
        return f"{regret['mean']:.4f}"
    return f"{regret['mean']:.4f} ({regret['low']:.4f} to {regret['high']:.4f})"


def _mean(value: Mapping[str, float | None]) -> str:
    return "-" if value["mean"] is None else f"{value['mean']:.4f}"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if not i else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
