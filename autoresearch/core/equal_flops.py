"""What a gain would be at equal FLOPs, where candidate and baseline had equal steps or tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from autoresearch.core.costs import CostRatios, cost_ratios, describe_compute, is_same_compute
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Meta
from autoresearch.core.values import Cfg
from autoresearch.verdicts.equal_flops import gain_at_equal_flops

READ = "read from the loss curves"
CAVEAT = "a run that ends there decays its learning rate earlier"

Range = tuple[float, float]


def equal_flops_gain(
    gain_frac: float, candidate: Sequence[Measurement], baseline: Sequence[Measurement], cfg: Cfg, meta: Meta | None
) -> Range | None:
    """Return about the gain at equal FLOPs as (low, high), read from the recorded curves of the costlier side.

    ``None`` where the FLOPs are the same, where a budget in seconds or FLOPs asks another question, and where the
    curves are not recorded or too short. ``cfg`` is the candidate's configuration.
    """
    ratio = cost_ratios(candidate, baseline).flops
    if meta is None or meta.yardstick.budget_kind not in ("steps", "tokens") or ratio is None or is_same_compute(ratio):
        return None
    costlier, its_cfg = (candidate, cfg) if ratio > 1 else (baseline, meta.baseline_cfg)
    curves = [m.train_loss_curve for m in costlier if m.train_loss_curve]
    if len(curves) < len(costlier):
        return None
    curve = [fmean(points) for points in zip(*curves, strict=True)]
    warmup_frac = float(its_cfg.get("lr_warmup", 0)) / fmean(m.train_steps or 1 for m in costlier)
    return gain_at_equal_flops(gain_frac, ratio, curve, warmup_frac)


def describe_equal_flops(ratios: CostRatios, gain: Range | None) -> str:
    """What a verdict adds about unequal FLOPs; empty where they are equal or unknown."""
    if not (more := describe_compute(ratios)):
        return ""
    if gain is None:
        return f"it {more}; at equal FLOPs the difference is not known"
    return f"it {more}; at equal FLOPs, {READ}: about {format_range(gain)} ({CAVEAT})"


def qualify_gain(ratios: CostRatios, gain: Range | None = None) -> str:
    """The same as a sentence beside a gain."""
    text = describe_equal_flops(ratios, gain).replace("; at", ": at" if gain is None else ". At", 1)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def format_range(gain: Range) -> str:
    """``-7.9 to -2.6%``."""
    return f"{100 * gain[0]:+.1f} to {100 * gain[1]:+.1f}%"
