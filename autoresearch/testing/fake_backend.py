"""A trial backend without corpus, device or process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import (
    Observer,
)
from autoresearch.core.records import Yardstick
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.fake_trial import FakeTrial

YARDSTICK = Yardstick(
    corpus_sha256="0" * 64,
    tokenizer_sha256="0" * 64,
    span_start_token=256,
    span_tokens=1000,
    span_bytes=1000,
    evaluator_version=1,
    trainer="fake",
    versions={"fake": "1"},
    threads=1,
    device_kind="fake",
    budget_kind="steps",
    budget_size=10,
)


def fake_backend(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
) -> TrialBackend:
    """Build a trial backend without corpus, device or process."""
    return TrialBackend(FakeTrial(aborted=aborted), YARDSTICK, None, timer=FakeTimer())
