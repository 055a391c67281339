"""The training side of a night: corpus, trainer and device, memory, and the yardstick they make."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import (
    STDLIB,
    baseline_spec,
    build_yardstick,
    limits_now,
    longest_context,
    refuse_another_tokenizer,
    refuse_clocks_of_several_ranks,
)
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.policy import Policy, check_yardstick
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import Span
from autoresearch.data.windows import choose_span
from autoresearch.errors import AutoresearchError, BaselineFailed, ConfigError, TrialServerError
from autoresearch.storage.run_dir import CORPUS
from autoresearch.trials.compile_decision import refuse_compiled
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.runner import ChildRunner
from autoresearch.trials.server import TrialServer
from autoresearch.trials.spec import Device
from rails import over_budget

GIB = 2**30
VOCABULARIES = {"byte": 257, "gpt2": 50257}  # of the tokenizers whose size is no setting


def corpus(settings: Settings, policy: Policy) -> tuple[Check, Corpus | None, Span | None]:
    """The prepared corpus, every byte of it read, and the span of it that is scored."""
    path = settings.run_dir / CORPUS if settings.corpus == STDLIB else Path(settings.corpus or "")
    if settings.corpus == STDLIB and not (path / "manifest.json").exists():
        return ok("corpus", "this Python's standard library, prepared when the run begins"), None, None
    try:
        if settings.corpus is None:
            hint = "autoresearch prepare SOURCE... --out CORPUS, then --corpus CORPUS; or --corpus stdlib"
            raise ConfigError("corpus is not set", hint=hint)
        found = Corpus.open(path, verify=True)
        if settings.corpus == STDLIB:
            refuse_another_tokenizer(settings, found)
        span = choose_span(found.split("val"), found.token_bytes, longest_context(policy), settings.eval.bytes)
    except AutoresearchError as e:
        return fail("corpus", e), None, None
    tokens = found.manifest.splits["train"].tokens
    text = f"{path}: {tokens:,} training tokens, {span.bytes:,} bytes scored, {found.sha256[:16]}"
    return ok("corpus", text, sha256=found.sha256, vocab=found.vocab), found, span


def device(settings: Settings) -> tuple[Check, Device | None]:
    """Starts the trial server as a run would, and asks a child of it what it sees."""
    try:
        refuse_clocks_of_several_ranks(settings)
        refuse_compiled(settings.compile, settings.trainer)
        with tempfile.TemporaryDirectory() as logs:
            server = TrialServer(settings.trainer, Path(logs) / "trial-server.log")
            try:
                runner = ChildRunner(server, lambda: False)
                found = runner.probe(settings.device, settings.trainer, settings.limits.deadline_s)
            except TrialServerError as e:  # the log that the hint may name goes away with this look
                e.hint = e.hint.replace(f"see {server.log}; ", "").replace(f"{server.log}, and ", "")
                raise
            finally:
                server.close()
    except AutoresearchError as e:
        return fail("trainer", e), None
    versions = ", ".join(f"{k} {v}" for k, v in found.versions.items())
    text = f"{settings.trainer} on {found.kind}: {', '.join(found.precisions)} ({versions})"
    return ok("trainer", text, device=found.device, kind=found.kind, precisions=found.precisions), found


def estimator(
    settings: Settings, policy: Policy, device: Device, corpus: Corpus | None, span: Span | None
) -> Estimator:
    """R7's prices; for a corpus that is not prepared yet, with the vocabulary and the span that it is to have."""
    wanted = settings.tokenizer
    vocab = corpus.vocab if corpus else VOCABULARIES.get(wanted.kind, wanted.vocab_size)
    span_tokens = span.tokens if span else settings.eval.bytes
    ranks = (settings.parallel.data, settings.parallel.tensor)
    return Estimator(policy.baseline, vocab, settings.trainer, device, policy.budget, span_tokens, ranks)


def memory(settings: Settings, policy: Policy, device: Device, estimate: Estimator) -> Check:
    """Whether the baseline can be trained here, by R7's own estimate of it."""
    cost, limits = estimate(policy.baseline), limits_now(device.free_bytes, settings)
    if cost.unsupported:
        hint = "change it with --set baseline.NAME=VALUE, or the trainer"
        return fail("memory", ConfigError(f"baseline: {cost.unsupported}", hint=hint))
    have = limits.memory_bytes or 0
    text = f"the baseline needs about {cost.peak_bytes / GIB:.2f} GiB, {have / GIB:.2f} GiB are free for a trial"
    facts = {"needed_bytes": cost.peak_bytes, "free_bytes": have}
    if why := over_budget(cost, limits):
        hint = "stop what else uses the memory, or make baseline.batch_size smaller"
        return fail("memory", BaselineFailed(f"the baseline {why}", hint=hint))
    if cost.peak_bytes > 0.8 * have:
        return warn("memory", text, "there is little to spare: R7 will refuse bigger candidates", **facts)
    return ok("memory", text, **facts)


def yardstick(
    settings: Settings, policy: Policy, corpus: Corpus, span: Span, device: Device, records: Sequence[Event]
) -> Check:
    """What val_bpb would be measured with, and whether that is what the run was begun with."""
    trajectory = Trajectory.fold(records)
    spec = baseline_spec(settings, policy, str(corpus.path), span, device)
    compiled = settings.compile == "on"
    if trajectory.meta is not None and settings.compile == "auto":  # decided when the run began
        compiled = trajectory.meta.yardstick.compiled
    spec = spec.model_copy(update={"compiled": compiled})
    found = build_yardstick(spec, corpus, device)
    try:
        check_yardstick(trajectory, found)
    except AutoresearchError as e:
        return fail("yardstick", e)
    return ok("yardstick", "the run's own" if trajectory.meta else "fixed when the run begins")
