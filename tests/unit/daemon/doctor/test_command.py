"""Trainer ``command``: what can be seen of it before its first trial."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor import Check, examine

from .conftest import well_formed

MENU = {"version": 1, "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0, "default": 0.5}}, "constraints": []}
CHECKS = ["command", "hand-over", "files", "metric", "seed", "memory", "yardstick"]


@pytest.fixture
def of_command(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a command that would work: a script beside its menu."""
    (tmp_path / "train.py").write_text("LR = 0.5\nprint('METRIC loss=1')\n")
    (tmp_path / "menu.json").write_text(json.dumps(MENU))

    def build(**flags: Any) -> Settings:
        fixed = {"trainer": "command", "menu_file": str(tmp_path / "menu.json"), "dir": str(tmp_path / "run")}
        fixed |= {"proposer": "random", "budget.kind": "steps", "command.cwd": str(tmp_path), "command.metric": "loss"}
        fixed |= {"command.argv": [sys.executable, "train.py"], "command.seed_flag": "--seed={seed}"}
        return resolve(fixed | flags, {}).settings

    return build


def checks_of(settings: Settings) -> dict[str, Check]:
    checks = examine(settings)
    assert well_formed(checks)
    return {check.name: check for check in checks}


def test_a_command_that_would_work_is_examined_without_starting_or_writing_anything(
    of_command: Callable[..., Settings], tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = checks_of(of_command(**{"command.files": "train.py"}))
    assert [name for name in found if name in CHECKS] == CHECKS
    assert not [check for check in found.values() if check.state == "fail"]
    assert {"corpus", "trainer"}.isdisjoint(found), "a command has neither"
    assert found["command"].facts == {"program": sys.executable, "scripts": ["train.py"]}
    assert found["files"].facts["files"] == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "name", "words"),
    [
        ({"command.argv": None}, "command", "command.argv is not set"),
        ({"command.argv": ["./no-such-program"]}, "command", "is not found"),
        ({"command.argv": ["./train.py"]}, "command", "is not executable"),
        ({"command.cwd": "/no/such/folder"}, "command", "is not a directory"),
        ({"command.config": "constants", "baseline.depth": 8}, "hand-over", "DEPTH"),
        ({"command.files": "*.cu"}, "files", "matches no file"),
        ({"command.versions": [sys.executable, "-S", "-c", "print(1)"]}, "yardstick", "printed '1'"),
        ({"command.versions": ["./none"]}, "yardstick", "command.versions"),
    ],
)
def test_what_would_end_the_run_fails_with_its_exit_code(
    of_command: Callable[..., Settings], flags: Any, name: str, words: str
) -> None:
    failed = [check for check in checks_of(of_command(**flags)).values() if check.state == "fail"]
    assert [check.name for check in failed] == [name]
    assert words in failed[0].found
    assert failed[0].exit_code == 78


@pytest.mark.parametrize(
    ("flags", "name", "words"),
    [
        ({"command.argv": [sys.executable, "missing.py"]}, "command", "missing.py cannot be read"),
        ({"command.seed_flag": None}, "seed", "gets no seed"),
        ({}, "files", "no git commit"),
        ({"command.checks": ["./check.sh"]}, "checks", "command.checks: ./check.sh is not found"),
    ],
)
def test_what_may_not_be_meant_is_a_warning(
    of_command: Callable[..., Settings], flags: Any, name: str, words: str
) -> None:
    check = checks_of(of_command(**flags))[name]
    assert (check.state, words in check.found) == ("warn", True)


def test_files_of_a_checkout_are_named_with_their_commit(of_command: Callable[..., Settings], tmp_path: Path) -> None:
    for words in (
        ["init", "-q"],
        ["add", "train.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    check = checks_of(of_command())["files"]
    assert check.state == "ok"
    assert len(check.facts["commit"]) == 40


def test_a_checkout_that_git_cannot_read_is_named(of_command: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    check = checks_of(of_command())["files"]
    assert (check.state, f"git reads no commit of {tmp_path}" in check.found) == ("warn", True)


def test_the_program_of_the_checks_is_found(of_command: Callable[..., Settings]) -> None:
    check = checks_of(of_command(**{"command.checks": [sys.executable, "-c", "pass"]}))["checks"]
    assert (check.state, sys.executable in check.found) == ("ok", True)


def test_versions_are_part_of_the_yardstick(of_command: Callable[..., Settings]) -> None:
    printed = [sys.executable, "-S", "-c", "print('torch 2.9')"]
    assert "torch 2.9" in checks_of(of_command(**{"command.versions": printed}))["yardstick"].found
