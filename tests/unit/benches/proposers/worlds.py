"""A small table whose truth is known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from autoresearch.benches.proposers.measure_table import TablePlan, plan_trials
from autoresearch.benches.proposers.plan import plan_changes
from autoresearch.benches.proposers.table_file import TableFile, TableRow
from autoresearch.config.resolve import resolve
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.policy import build_policy
from autoresearch.testing.fake_backend import YARDSTICK

SD_FRAC = 0.004


def truth(cfg: Cfg) -> float:
    """Bits per byte: best at lr = 4e-3 and batch_size = 4; the other knobs change little."""
    bpb = 2.0 + 0.02 * math.log(float(cfg["lr"]) / 4e-3) ** 2
    bpb += 0.01 * abs(math.log2(float(cfg["batch_size"]) / 4))
    return bpb + 0.001 * float(cfg["weight_decay"]) + 0.002 * float(cfg["n_layer"])


def build_table(
    values: int = 9, seeds: int = 3, bpb: Callable[[Cfg], float | None] = truth, sd_frac: float = SD_FRAC
) -> TableFile:
    """A table of profile tiny's menu; ``bpb`` is the true mean, ``None`` where the configuration fails."""
    policy = build_policy(resolve({"profile": "tiny"}, {}).settings)

    def allowed(knob: str, value: Any) -> bool:
        return not policy.menu.check_config({**policy.baseline, knob: value}, policy.steps)

    changes = plan_changes(policy.menu, policy.baseline, values, allowed)
    cfgs = [{**policy.baseline, k: v} for k, v in changes if allowed(k, v) and k != "precision"]
    rng = random.Random(1)
    rows = []
    for wanted in plan_trials(policy.baseline, cfgs, TablePlan(values, seeds, 4 * seeds)):
        mean = bpb(wanted.cfg)
        value = None if mean is None else mean * (1 + rng.gauss(0, sd_frac))
        cause = "out_of_memory" if mean is None else None
        rows.append(
            TableRow(
                cfg=wanted.cfg,
                seed=wanted.seed,
                val_bpb=value,
                cause=cause,
                detail="killed by the memory guard" if cause else "",
                trial_wall_s=10.0,
                steps=250,
                tokens=128_000,
                flops=731_000_000_000,
                peak_bytes=1 << 28,
            )
        )
    yardstick = YARDSTICK.model_copy(update={"budget_kind": "flops", "budget_size": 250.0})
    return TableFile(
        ts="2026-11-26T00:00:00.000Z",
        autoresearch_version="1",
        profile="tiny",
        yardstick=yardstick,
        yardstick_sha256=sha256_of(yardstick),
        menu=dict(policy.menu.source),
        menu_sha256=policy.menu.sha256,
        baseline_cfg=policy.baseline,
        vocab=4096,
        planned=len(rows),
        rows=tuple(rows),
    )
