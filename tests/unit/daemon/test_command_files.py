"""Which files of a command are watched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autoresearch.config.command import CommandSettings
from autoresearch.core.metric import MetricKind
from autoresearch.core.records import CommandYardstick
from autoresearch.daemon.command_files import watch_command_files
from autoresearch.daemon.command_listing import check_listing
from autoresearch.daemon.inputs import Inputs
from autoresearch.errors import YardstickMismatch


def watched(tmp_path: Path, *argv: str) -> set[str]:
    settings = CommandSettings.model_validate({"cwd": str(tmp_path / "checkout"), "argv": argv})
    program = tmp_path / "program"
    program.write_text("")
    files = watch_command_files(settings, program, tmp_path / "run", Inputs())
    return {Path(name).name for name in files.hashes}


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


def test_what_a_script_imports_from_beside_it_is_watched_outside_of_git_too(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name, text in {
        "train.py": "import os, numpy, pkg.deep.model as m\nfrom pkg import loss\nif 0: import lazy",
        "lazy.py": "import train",
        "pkg/__init__.py": "",
        "pkg/loss.py": "from . import tools\nfrom .deep import data",
        "pkg/tools.py": "def f(:",
        "pkg/unused.py": "",
        "pkg/deep/model.py": "from ..other import x",
        "pkg/deep/data.py": "",
        "pkg/other.py": "",
        "unused.py": "",
    }.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    imported = {"train.py", "lazy.py", "__init__.py", "loss.py", "tools.py", "model.py", "data.py", "other.py"}
    assert watched(tmp_path, "program", "train.py") == imported
    assert watched(tmp_path, "program", "-m", "pkg.loss") == {"__init__.py", "loss.py", "tools.py", "data.py"}


def test_submodules_and_the_rest_of_the_checkout_are_watched_whatever_gits_variables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``cwd`` is a folder of the checkout; untracked code is watched below it alone, also in a nested repository."""
    top, cwd = tmp_path / "top", tmp_path / "top/checkout"
    for folder in (cwd / "nested", top / "sub", top / "beside"):
        folder.mkdir(parents=True)
    for path in (
        "lib.py",
        "untracked.py",
        "sub/deep.py",
        "checkout/train.py",
        "checkout/new.py",
        "checkout/nested/n.py",
    ):
        (top / path).write_text("")
    for folder, names in ((top / "sub", ["deep.py"]), (cwd / "nested", ["n.py"])):
        subprocess.run(["git", "-C", str(folder), "init", "-q"], check=True)
        subprocess.run(["git", "-C", str(folder), "add", *names], check=True)
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        subprocess.run(["git", "-C", str(folder), *identity, "commit", "-qm", "x"], check=True)
    subprocess.run(["git", "-C", str(top), "init", "-q"], check=True)
    subprocess.run(
        ["git", "-C", str(top), "add", "lib.py", "sub", "checkout/train.py"], check=True, capture_output=True
    )
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    settings = CommandSettings.model_validate({"cwd": str(cwd), "argv": ["program", "train.py"]})
    (program := tmp_path / "program").write_text("")
    files = watch_command_files(settings, program, tmp_path / "run", Inputs())
    assert sorted(files.hashes) == ["../lib.py", "../sub/deep.py", "nested/n.py", "new.py", "train.py"]


def test_a_run_that_is_continued_names_the_files_that_differ(tmp_path: Path) -> None:
    checkout, run = tmp_path / "checkout", tmp_path / "run"
    checkout.mkdir()
    run.mkdir()
    (program := tmp_path / "program").write_text("")
    settings = CommandSettings.model_validate({"cwd": str(checkout), "argv": ["program"], "files": ["*"]})
    for name in ("a.py", "b.py", "c.py"):
        (checkout / name).write_text("")
    first = watch_command_files(settings, program, run, Inputs())
    fixed = CommandYardstick(
        argv=("program",),
        files_sha256=first.sha256,
        files=3,
        commit=None,
        settings_sha256="0",
        metric=MetricKind(name="loss", direction="lower", unit=""),
        seeded=False,
        owns_budget=True,
    )
    check_listing(run, first, None)
    check_listing(run, first, fixed)
    (checkout / "a.py").write_text("1")
    (checkout / "b.py").rename(checkout / "d.py")
    now = watch_command_files(settings, program, run, Inputs())
    with pytest.raises(YardstickMismatch, match=r"a\.py changed, b\.py is gone, d\.py is new"):
        check_listing(run, now, fixed)
    for damaged in ("", "[]", '{"sha256": 1}', "\x00"):
        (run / "command-files.json").write_text(damaged)
        check_listing(run, now, fixed)  # the hash of the yardstick refuses it, without names
