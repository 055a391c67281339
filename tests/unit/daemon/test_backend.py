"""The corpus of a run and the span that its vault scores; what a candidate costs is checked against the memory now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from autoresearch.daemon import backend as backends
from autoresearch.daemon.backend import (
    TrialBackend,
    backend_limits,
    build_cost_check,
    choose_vault,
    open_corpus,
    prepare_corpus,
)
from autoresearch.daemon.policy import build_policy
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import Span
from autoresearch.errors import CorpusError
from autoresearch.storage.run_dir import CORPUS
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from rails import Estimate


@pytest.mark.parametrize("target", ["foreign", "nowhere"])
def test_the_corpus_of_a_run_is_not_prepared_through_a_link(make_settings, tmp_path: Path, target: str) -> None:
    settings = make_settings(corpus="stdlib")
    settings.run_dir.mkdir()
    (tmp_path / "foreign").mkdir()
    (settings.run_dir / CORPUS).symlink_to(tmp_path / target)
    with pytest.raises(CorpusError, match="corpus is a link"):
        prepare_corpus(settings, settings.run_dir, RecordingObserver())
    assert not os.listdir(tmp_path / "foreign")
    assert not (tmp_path / "nowhere").exists()


def test_memory_is_read_once_a_second_and_not_for_each_of_hundreds_of_candidates(make_settings, monkeypatch) -> None:
    free, now, reads = [1000], [0.0], []
    monkeypatch.setattr(backends, "spare_bytes", lambda: reads.append(now[0]) or free[0])
    estimator: Any = lambda cfg: Estimate(peak_bytes=cfg["d_model"], time_ratio=1.0)  # noqa: E731
    check = build_cost_check(TrialBackend(FakeTrial(), YARDSTICK, estimator), make_settings(), lambda: now[0])
    assert [bool(check({"d_model": d})) for d in (1, 999, 1001)] == [False, False, True]
    assert reads == [0.0]
    free[0], now[0] = 500, 1.0
    assert check({"d_model": 999})
    assert reads == [0.0, 1.0]
    assert build_cost_check(TrialBackend(FakeTrial(), YARDSTICK, None), make_settings())({"d_model": 10**9}) == ""


class TestVault:
    def chosen(self, settings, corpus: Path) -> tuple[Span | None, list[str]]:
        said: list[str] = []
        return choose_vault(settings, build_policy(settings), Corpus.open(corpus), said.append), said

    def test_it_scores_half_as_many_bytes_of_the_test_split_after_the_same_context(
        self, make_settings, small_corpus: Path
    ) -> None:
        settings = make_settings({"decision.rule": "sequential", "eval.bytes": 4096}, corpus=str(small_corpus))
        vault, said = self.chosen(settings, small_corpus)
        _, span = open_corpus(settings, build_policy(settings), small_corpus)
        assert vault is not None
        assert (vault.bytes, vault.start, said) == (2048, span.start, [])

    @pytest.mark.parametrize("changes", [{"decision.rule": "threshold"}, {"decision.vault": "off"}])
    def test_without_a_use_for_it_there_is_none(self, make_settings, small_corpus: Path, changes) -> None:
        settings = make_settings({"decision.rule": "sequential"} | changes)
        assert self.chosen(settings, small_corpus) == (None, [])

    def test_a_test_split_that_is_too_small_is_reported_with_its_size(self, make_settings, small_corpus: Path) -> None:
        settings = make_settings({"decision.rule": "sequential", "eval.bytes": 1 << 30})
        vault, said = self.chosen(settings, small_corpus)
        assert vault is None
        assert len(said) == 1
        assert said[0].startswith("there is no vault")
        assert f"the test split has {Corpus.open(small_corpus).manifest.splits['test'].bytes} bytes" in said[0]


def test_of_the_memory_that_a_command_reports_only_the_users_limit_counts(make_settings, monkeypatch) -> None:
    """It may be that of another device: the free memory of this machine says nothing about it."""
    monkeypatch.setattr(backends, "spare_bytes", lambda: 16 << 30)
    reported = {"command.argv": ["true"], "command.peak_memory_pattern": r"peak (\S+)"}
    backend = TrialBackend(FakeTrial(), YARDSTICK, None)

    def limit(**limits: Any) -> int | None:
        settings = make_settings({**reported, **limits}, trainer="command")
        return backend_limits(backend, settings).memory_bytes

    assert limit(**{"limits.memory_gib": 70}) == 70 << 30
    assert limit() == backends.NO_MEMORY_LIMIT
