"""Which files of a command are watched."""

from __future__ import annotations

import subprocess
from pathlib import Path

from autoresearch.config.command import CommandSettings
from autoresearch.daemon.command_files import watch_command_files
from autoresearch.daemon.inputs import Inputs


def watched(tmp_path: Path, *argv: str) -> set[str]:
    settings = CommandSettings.model_validate({"cwd": str(tmp_path / "checkout"), "argv": argv})
    program = tmp_path / "program"
    program.write_text("")
    files = watch_command_files(settings, program, tmp_path / "run", Inputs())
    return {path.name for path in files.paths}


def test_a_file_beside_the_checkout_is_watched_if_argv_names_it(tmp_path: Path) -> None:
    """nanoGPT executes a config file that may lie anywhere."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("train.py", "notes.md", "out.log"):
        (checkout / name).write_text("")
    (checkout / ".gitignore").write_text("*.log\n")
    (tmp_path / "seeded.py").write_text("")
    (tmp_path / "other.py").write_text("")
    git = ["git", "-C", str(checkout)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "train.py", ".gitignore"], check=True)
    assert watched(tmp_path, "program", "train.py", "../seeded.py") == {"train.py", ".gitignore", "seeded.py"}
    assert watched(tmp_path, "program", "train.py", "--config=../seeded.py") == {"train.py", ".gitignore"}


def test_outside_of_git_the_files_that_argv_names_are_watched(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout/train.py").write_text("")
    (tmp_path / "checkout/beside.py").write_text("")
    assert watched(tmp_path, "program", "train.py", "no-such-file", "--flag") == {"train.py"}
