"""settings.json: a run keeps what it was started with, for the commands that continue or repeat it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.daemon import service
from autoresearch.daemon.run_settings import read_run_settings, write_run_settings
from autoresearch.errors import ConfigError
from autoresearch.storage.run_dir import SETTINGS, run_files
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver

MakeSettings = Callable[..., Settings]
GIVEN = {
    "limits.memory_gib": 0.5,
    "budget.size": 50,
    "baseline.lr_warmup": 12,
    "menu.knobs.lr_warmup.high": 30,
    "menu.knobs.precision.choices": ["fp32"],
    "llm.share": 0.25,
    "on_event": ["mail", "me"],
    "decision.earlier_runs": "off",
}


def settings_of_run(run_dir: Path, **flags: Any) -> Settings:
    return resolve(flags, {}, run=("run", read_run_settings(run_dir))).settings


@pytest.mark.parametrize("profile", ["tiny", "tiny-wide"])
def test_what_is_read_is_what_the_run_was_started_with(make_settings: MakeSettings, profile: str) -> None:
    settings = make_settings(GIVEN, profile=profile)
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    assert settings.run_dir / SETTINGS in run_files(settings.run_dir)
    again = settings_of_run(settings.run_dir, dir=settings.run_dir)
    assert again.model_copy(update={"compile": settings.compile}) == settings  # what "auto" has become is kept
    assert settings_of_run(settings.run_dir, seed=3).seed == 3


def test_paths_are_absolute(make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "run").mkdir()
    write_run_settings(make_settings(corpus="text"), print)
    assert read_run_settings(tmp_path / "run")["corpus"] == str(tmp_path / "text")
    write_run_settings(make_settings(corpus="stdlib"), print)
    assert read_run_settings(tmp_path / "run")["corpus"] == "stdlib"


def test_compose_leaves_them_as_they_are(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_run_settings(make_settings(compose="only"), print)
    assert read_run_settings(tmp_path / "run") == {}


def test_a_file_that_cannot_be_written_does_not_end_the_run(make_settings: MakeSettings, tmp_path: Path) -> None:
    messages: list[str] = []
    (tmp_path / "run" / SETTINGS).mkdir(parents=True)
    write_run_settings(make_settings(), messages.append)
    assert "was not written" in messages[0]


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[]", b"[" * 100_000])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SETTINGS).write_bytes(content)
    with pytest.raises(ConfigError, match=SETTINGS):
        read_run_settings(tmp_path)


def test_a_pipe_in_its_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / SETTINGS)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_run_settings(tmp_path)


def test_a_setting_that_does_not_exist_any_more_is_named(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text(json.dumps({"profile": "tiny", "gone": 1}))
    with pytest.raises(ConfigError, match=r"unknown setting gone \(run\)"):
        settings_of_run(tmp_path)
