"""The run's own corpus is written in the run directory, never through a link that another user planted there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.daemon.backend import prepare_corpus
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
