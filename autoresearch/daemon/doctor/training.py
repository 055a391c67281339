"""Checks of the training side: corpus, trainer and device, memory, and the yardstick that they define."""

from __future__ import annotations

import tempfile
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import (
    SERVER_LOG,
    baseline_spec,
    build_yardstick,
    refuse_clocks_of_several_ranks,
    start_trial_server,
)
from autoresearch.daemon.cost_check import limits_now
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.packages import refuse_missing_executor, refuse_missing_trainer
from autoresearch.daemon.policy import Policy, check_yardstick
from autoresearch.daemon.run_corpus import corpus_path, needs_preparation, open_corpus
from autoresearch.data.corpus import Corpus
from autoresearch.data.description import LARGE_OVERLAP, UNKNOWN_OVERLAP, describe_overlap
from autoresearch.data.span import Span
from autoresearch.errors import AutoresearchError, BaselineFailed, ConfigError, TrialServerError
from autoresearch.trials.compile_decision import refuse_compiled
from autoresearch.trials.estimate import Estimator, describe_precision_cost
from autoresearch.trials.spec import Device
from rails import Limits, over_budget

GIB = 2**30


def corpus(settings: Settings, policy: Policy) -> tuple[Check, Corpus | None, Span | None]:
    """Verify every byte of the prepared corpus and choose the span of it that is scored."""
    if needs_preparation(settings, settings.run_dir):
        return ok("corpus", "this Python's standard library, prepared when the run begins"), None, None
    try:
        path = corpus_path(settings, settings.run_dir)
        found, span = open_corpus(settings, policy, path)
    except AutoresearchError as e:
        return fail("corpus", e), None, None
    tokens = found.manifest.splits["train"].tokens
    text = f"{path}: {tokens:,} training tokens, {span.bytes:,} bytes scored, {found.sha256[:16]}"
    facts = {"sha256": found.sha256, "vocab": found.vocab, "val_overlap": found.val_overlap}
    preparation = found.manifest.preparation
    if preparation is None:
        return ok("corpus", f"{text}; {UNKNOWN_OVERLAP}", **facts), found, span
    text = f"{text}; {describe_overlap(preparation.overlap)}"
    if preparation.overlap.share > LARGE_OVERLAP:
        hint = "remove copies from the sources and prepare them again: val_bpb would reward memory"
        return warn("corpus", text, hint, **facts), found, span
    return ok("corpus", text, **facts), found, span


def device(settings: Settings) -> tuple[Check, Device | None]:
    """Start the trial server as a run would, and probe the device in a child of it."""
    try:
        refuse_clocks_of_several_ranks(settings)
        refuse_missing_executor(settings)
        refuse_missing_trainer(settings, prepares_corpus=needs_preparation(settings, settings.run_dir))
        refuse_compiled(settings.compile, settings.trainer)
        with tempfile.TemporaryDirectory() as logs:
            log = Path(logs) / SERVER_LOG
            try:
                server, _, found = start_trial_server(settings, log, lambda: False)
            except TrialServerError as e:  # its hint may name the log, which is deleted with this directory
                e.hint = e.hint.replace(f"see {log}; ", "").replace(f"{log}, and ", "")
                raise
            server.close()
    except AutoresearchError as e:
        return fail("trainer", e), None
    versions = ", ".join(f"{k} {v}" for k, v in found.versions.items())
    text = f"{settings.trainer} on {found.kind}: {', '.join(found.precisions)} ({versions})"
    return ok("trainer", text, device=found.device, kind=found.kind, precisions=found.precisions), found


def memory(settings: Settings, policy: Policy, device: Device, estimate: Estimator) -> Check:
    """Whether the baseline fits into memory here, by R7's own estimate."""
    cost, limits = estimate(policy.baseline), limits_now(device.free_bytes, settings)
    if cost.unsupported:
        hint = "change it with --set baseline.NAME=VALUE, or the trainer"
        return fail("memory", ConfigError(f"baseline: {cost.unsupported}", hint=hint))
    have = limits.memory_bytes or 0
    text = f"the baseline needs about {cost.peak_bytes / GIB:.2f} GiB, {have / GIB:.2f} GiB are free for a trial"
    facts = {"needed_bytes": cost.peak_bytes, "free_bytes": have}
    if why := over_budget(cost, limits):
        hint = "stop other programs that use the memory, or make baseline.batch_size smaller"
        return fail("memory", BaselineFailed(f"the baseline {why}", hint=hint))
    if cost.peak_bytes > 0.8 * have:
        return warn("memory", text, "little memory is left: R7 will refuse larger candidates", **facts)
    return ok("memory", text, **facts)


def yardstick(
    settings: Settings, policy: Policy, corpus: Corpus, span: Span, device: Device, trajectory: Trajectory
) -> Check:
    """Whether the yardstick of this start is the one that the run was begun with."""
    spec = baseline_spec(settings, policy, str(corpus.path), span, device)
    compiled = settings.compile == "on"
    if trajectory.meta is not None and settings.compile == "auto":  # decided when the run began
        compiled = trajectory.meta.yardstick.compiled
    spec = spec.model_copy(update={"compiled": compiled})
    found = build_yardstick(spec, policy, corpus, device)
    try:
        check_yardstick(trajectory, found)
    except AutoresearchError as e:
        return fail("yardstick", e)
    return ok("yardstick", "the run's own" if trajectory.meta else "fixed when the run begins")


def add_precision_costs(check: Check, settings: Settings, policy: Policy, device: Device, estimate: Estimator) -> Check:
    """The check of the trainer with what the probe measured of emulated precisions, and which of them R7 refuses."""
    cost, own = device.precision_cost, str(policy.baseline["precision"])
    if own in cost:
        found = f"{check.found}; baseline: {describe_precision_cost(own, cost[own])}"
        return warn(check.name, found, "--set baseline.precision=fp32, or another device", **check.facts, cost=cost)
    limits = Limits(memory_bytes=None, max_time_ratio=settings.limits.max_time_ratio)
    parts = [check.found]
    for name in cost:
        why = over_budget(estimate({**policy.baseline, "precision": name}), limits)
        parts.append(f"R7 refuses {name}: {why}" if why else describe_precision_cost(name, cost[name]))
    return ok(check.name, "; ".join(parts), **check.facts, cost=cost)
