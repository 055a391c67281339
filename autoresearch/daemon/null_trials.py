"""Real null trials: the baseline trained with one seed after another, for ``autoresearch bench aa --trials``.

Nothing is changed between them, so that each is a candidate without a gain. Each is durable in null-trials.jsonl, with
its loss curve, once it is measured; the same command continues after the last one, also after a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from pydantic import TypeAdapter

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Measurement
from autoresearch.core.ports import Interrupted, Observer
from autoresearch.core.values import FrozenModel, NotNegative, Positive, decode_record, sha256_of
from autoresearch.daemon.backend import TrialBackend, real_backend
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.policy import Policy, build_policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import BaselineFailed
from autoresearch.storage.decode import decode_lines
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import PAUSE_FLAG, hold

NULL_TRIALS = "null-trials.jsonl"
SEED_OFFSET = 1000  # above the seeds that a run takes by itself


class NullTrial(FrozenModel):
    """One trial of the baseline. Trials with the same ``conditions_sha256`` differ in nothing but the seed."""

    conditions_sha256: str
    seed: int
    val_bpb: Positive
    trial_wall_s: NotNegative
    train_loss_curve: tuple[float, ...] | None = None  # as in a run's trials; null in older caches
    warmup_frac: NotNegative = 0.0  # the share of its budget that the baseline warms up


NULL_TRIAL: TypeAdapter[NullTrial] = TypeAdapter(NullTrial)


def measure_null_trials(
    settings: Settings,
    count: int,
    observer: Observer,
    *,
    on_trial: Callable[[int, NullTrial], None] = lambda *_: None,
    make_backend: MakeBackend | None = None,
) -> list[NullTrial]:
    """Measure ``count`` trials in the run directory of the settings, those of earlier calls included.

    The first signal ends it at once; it then returns what there is. Raises ``BaselineFailed`` if a trial fails, and
    an ``AutoresearchError`` for everything that the user must decide or repair.
    """
    policy = build_policy(settings)
    with hold(settings.run_dir) as run_dir, closing(Journal(run_dir / NULL_TRIALS)) as journal:
        earlier = decode_null_trials(journal.path, journal)
        control = RunControl(run_dir / PAUSE_FLAG)

        def stopped() -> bool:
            return bool(control.stop_reason())

        backend = (make_backend or real_backend)(settings, policy, run_dir, stopped, observer)
        try:
            conditions = sha256_of({"yardstick": backend.yardstick.model_dump(mode="json"), "cfg": policy.baseline})
            trials = [t for t in earlier if t.conditions_sha256 == conditions][:count]
            done = {t.seed for t in trials}
            seeds = (s for s in range(SEED_OFFSET, SEED_OFFSET + count) if s not in done)
            with control.listening():
                for seed in seeds:
                    if stopped():
                        break
                    trial = _measure(policy, backend, seed, conditions)
                    if trial is None:
                        break
                    journal.append(trial.model_dump_json())
                    trials.append(trial)
                    on_trial(len(trials), trial)
        finally:
            backend.close()
    return trials


def decode_null_trials(path: Path, payloads: Iterable[bytes]) -> list[NullTrial]:
    """Every trial of ``path``. Raises ``JournalDamaged`` with the number of the line that cannot be decoded."""
    return list(decode_lines(payloads, lambda p: decode_record(NULL_TRIAL, p), path, hint="another --dir"))


def _measure(policy: Policy, backend: TrialBackend, seed: int, conditions: str) -> NullTrial | None:
    """``None`` if a signal ended it."""
    try:
        outcome = backend.trial.measure(policy.baseline, seed, lambda *_: None)
    except Interrupted:
        return None
    if not isinstance(outcome, Measurement):
        detail = getattr(outcome, "detail", "it was suspended")
        raise BaselineFailed(f"the baseline with seed {seed} measured nothing: {detail}", hint="autoresearch doctor")
    steps = policy.steps(policy.baseline)
    return NullTrial(
        conditions_sha256=conditions,
        seed=seed,
        val_bpb=outcome.val_bpb,
        trial_wall_s=outcome.trial_wall_s,
        train_loss_curve=outcome.train_loss_curve,
        warmup_frac=min(1.0, int(policy.baseline["lr_warmup"]) / steps) if steps else 0.0,
    )
