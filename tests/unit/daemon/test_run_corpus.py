"""The corpus of a run, and the span that its vault scores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.run_corpus import choose_vault, open_corpus, prepare_corpus
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import Span
from autoresearch.errors import CorpusError
from autoresearch.storage.run_dir import CORPUS
from autoresearch.testing.recording_observer import RecordingObserver


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
