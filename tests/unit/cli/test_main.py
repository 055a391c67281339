"""Help, usage and exit codes, and what is not imported to show them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from autoresearch import __version__, errors
from autoresearch.cli import build_parser, main
from autoresearch.cli.settings import RUN_FLAGS
from autoresearch.config.resolve import profile_names, resolve
from autoresearch.config.settings import Settings
from autoresearch.errors import AutoresearchError
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, TRAJECTORY

COMMANDS = (
    *(
        "run",
        "prepare",
        "status",
        "report",
        "watch",
        "serve",
        "repair",
        "verify",
        "recheck",
        "crown",
        "promote",
        "compose",
        "audit",
        "pause",
        "resume",
    ),
    *("doctor", "envelope", "energy", "export", "rails", "menu", "bench", "service", "config"),
)
HEAVY = ("torch", "numpy", "optuna", "tokenizers", "pyarrow", "datasets", "matplotlib", "openai")


def kinds_of_error(kind: type[AutoresearchError] = AutoresearchError) -> Iterator[type[AutoresearchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds_of_error(child)


ONE_SEED = ("--decision", "threshold", "--set", "reports=[]")


def run_flags(run_dir: Path, iters: int = 3) -> list[str]:
    return [*("run", "--dir", str(run_dir), "--proposer", "random", "--iters", str(iters)), *ONE_SEED]


def test_help_lists_every_command_and_every_exit_code(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert tuple(re.findall(r"^    (\w+)  +\S", text, re.MULTILINE)) == COMMANDS
    for kind in kinds_of_error():
        assert re.search(rf"\b{kind.exit_code} ", text), kind.__name__


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: autoresearch {command}")
    flags = re.findall(r"^  (--?\w[\w-]*)(.*(?:\n {10,}.*)*)", text, re.MULTILINE)
    assert flags
    assert all(re.search(r"  +\S|\n +\S", rest) for _, rest in flags), "a flag without a word of help"


@pytest.mark.parametrize("command", ["run", "doctor", "config", "envelope"])
def test_the_shared_options_stand_in_one_group_with_choices_and_defaults(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    group = text[text.index("\nsettings:\n") :]
    resolved = [resolve({"profile": name}, {}) for name in profile_names()]
    by_profile = {name for one in resolved for name, origin in one.origins.items() if origin.startswith("profile")}
    shown = [flag for flag in RUN_FLAGS if f"  {flag[0]} " in text]
    assert len(shown) == (5 if command == "envelope" else len(RUN_FLAGS))
    for flag, name, _, help_text in shown:
        assert f"\n  {flag} " in group
        assert f"default: {'the profile' if name in by_profile and name != 'profile' else ''}" in help_text
        section, _, inner = name.rpartition(".")
        model = Settings.model_fields[section].annotation if section else Settings
        field = model.model_fields[inner]  # type: ignore[union-attr]
        for choice in get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
            assert re.search(rf"\b{choice}\b", help_text), (flag, choice)
        if isinstance(field.default, int | str) and name not in by_profile:
            assert f"(default: {field.default})" in help_text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_named_is_parsed_as_among_all_commands(command):
    def flags(parser):
        (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        return subparsers.choices[command].format_help()

    assert flags(build_parser([command])) == flags(build_parser())


def test_a_command_imports_no_other_one():
    code = "from autoresearch.cli.main import main; import sys; main(['energy', 'missing.csv']);"
    code += "print(sorted(m for m in sys.modules if m.startswith('autoresearch.cli.')))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "autoresearch.cli.energy" in ended.stdout
    assert "autoresearch.cli.run'" not in ended.stdout
    assert "autoresearch.cli.bench" not in ended.stdout


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out.strip()) == (0, __version__)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["run", "--iters", "many"],
        ["run", "--no-such-flag"],
        ["prepare"],
        ["prepare", "x", "--out", "y", "--fractions", "0.9,0.1"],
        ["prepare", "x", "--out", "y", "--tokenizer", "words"],
        ["envelope", "--batch-size", "4,many"],
        ["envelope", "--steps", "0"],
        ["envelope", "--iters", "3"],
        ["export"],
        ["export", "wisdom"],
        ["export", "recipe", "--format", "nemo"],
        ["export", "dataset", "corpus"],
    ],
)
def test_wrong_usage_is_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert "usage: autoresearch" in capsys.readouterr().err


def test_every_kind_of_error_has_an_exit_code_of_its_own_and_a_line_in_the_tree():
    kinds = [kind for kind in kinds_of_error() if "exit_code" in vars(kind)]  # others are a kind of their base
    assert {kind for kind in kinds_of_error() if kind.__module__ == errors.__name__} <= set(kinds)
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {0, 2, 130}
    for kind in kinds:
        assert re.search(rf"^ +{kind.__name__} +{kind.exit_code}\b", errors.__doc__, re.MULTILINE)


def test_an_error_says_what_happened_and_what_to_try(cli):
    code, out, err = cli("config", "--set", "budget.sise=3")
    assert (code, out) == (78, "")
    assert err == "autoresearch: unknown setting budget.sise (flag)\n  try: did you mean budget.size?\n"


def test_a_wrong_setting_is_78(cli):
    assert cli("run", "--iters", "0")[0] == 78
    assert cli("run", "--set", "baseline.lr=7")[0] == 78
    assert cli("run", "--set", "iters")[0] == 78
    assert cli("run", "--config", "nowhere.toml")[0] == 78


def test_a_corpus_that_is_not_there_is_66(cli, tmp_path):
    code, _, err = cli("run", "--corpus", str(tmp_path / "nowhere"))
    assert code == 66
    assert "nowhere" in err


def test_a_source_that_is_not_there_is_66(cli, tmp_path):
    code, _, err = cli("prepare", str(tmp_path / "nowhere.txt"), "--out", str(tmp_path / "corpus"))
    assert code == 66
    assert "nowhere.txt" in err


def test_a_run_that_belongs_to_another_daemon_is_75(cli, finished):
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711, "host": "desk"})
    try:
        code, _, err = cli(*run_flags(finished, iters=9))
    finally:
        lock.release()
    assert code == 75
    assert "pid 4711" in err


def test_status_distinguishes_a_running_run_from_a_lost_one(cli, finished):
    """The log of both ends alike, in the middle of a trial; only one of them has a daemon."""
    file = finished / TRAJECTORY
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:7]))
    lost = cli("status", str(finished))[1].splitlines()[0]
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711})
    try:
        at_work = cli("status", str(finished))[1].splitlines()[0]
    finally:
        lock.release()
    assert at_work.startswith("Running")
    assert lost.startswith("Interrupted")


def test_a_run_that_was_begun_differently_is_76(cli, finished):
    code, _, err = cli(*run_flags(finished, iters=9), "--set", "baseline.lr=1e-3")
    assert code == 76
    assert "baseline_cfg.lr: 0.002 then, 0.001 now" in err
    assert "--fresh" in err


@pytest.mark.parametrize("command", [["status"], ["report"], ["watch", "--once"], ["status", "--json"]])
def test_a_damaged_trajectory_is_shown_with_a_warning(command, cli, finished):
    damage_line_4(finished)
    code, out, err = cli(*command, str(finished))
    assert (code, err) == (0, "")
    assert "line 4 is damaged" in out
    if "--json" in command:
        assert json.loads(out)["iterations"] == 3
        assert json.loads(out)["warnings"][0].startswith("line 4 is damaged: its checksum does not fit its ")


@pytest.mark.parametrize("command", [["export", "recipe"], ["run"]])
def test_a_damaged_trajectory_is_65_where_it_must_be_trusted(command, cli, finished):
    damage_line_4(finished)
    flags = run_flags(finished, iters=9) if command == ["run"] else [*command, str(finished)]
    code, out, err = cli(*flags)
    assert (code, out) == (65, "")
    assert "line 4 is damaged" in err
    assert f"autoresearch repair {finished}" in err


def damage_line_4(run_dir: Path) -> None:
    file = run_dir / TRAJECTORY
    lines = file.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b"2", b"3")
    file.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("command", ["status", "report"])
def test_looking_at_a_run_that_is_not_there_says_what_to_do(command, cli):
    code, out, err = cli(command)
    assert (code, out) == (74, "")
    assert "runs/tiny does not exist" in err
    assert "`autoresearch run` creates them" in err


def test_a_place_that_cannot_be_written_is_74(cli, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = cli("run", "--dir", str(tmp_path / "file" / "run"))
    assert code == 74
    assert "choose another --dir" in err


def test_a_package_that_is_missing_is_69(cli, tmp_path):
    if importlib.util.find_spec("datasets"):
        pytest.skip("the datasets library is installed here")
    code, _, err = cli("prepare", "--hf", "no-such-data-set", "--out", str(tmp_path / "corpus"))
    assert code == 69
    assert "datasets" in err


def fresh_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)


def test_help_and_looking_need_neither_torch_nor_numpy_nor_optuna(measured):
    """They answer at once, and where the heavy packages are not installed."""
    program = f"""
import contextlib, io, sys
from autoresearch.cli import main

with contextlib.redirect_stdout(io.StringIO()):
    export = ["export", "recipe", ".", "--no-check"]
    for argv in (
        ["--help"], ["status", "."], ["report", "."], ["status", "--json", "."], ["config"], ["pause", "."], export
    ):
        with contextlib.suppress(SystemExit):
            assert main(argv) == 0
        assert argv != ["--help"] or "pydantic" not in sys.modules, "half of the start of every command"
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert fresh_python(program, measured).stdout.strip() == "[]"


def test_a_closed_pipe_is_not_an_error(finished):
    """As in ``autoresearch report | head -1``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "autoresearch", "report", str(finished)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(24, "Too many open files"), "RLIMIT_NOFILE"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "RLIMIT_NPROC"),
        (RuntimeError("can't start new thread"), "RLIMIT_NPROC"),
        (MemoryError("Unable to allocate 2.00 GiB for an array"), "no memory left"),
        (PermissionError(13, "Permission denied", "/some/file"), "Permission denied: /some/file"),
    ],
)
def test_a_failed_system_call_is_explained_without_a_traceback(error, words, capsys, monkeypatch):
    def fail(_args):
        raise error

    monkeypatch.setattr(sys.modules["autoresearch.cli.main"], "build_parser", argparse.ArgumentParser)
    monkeypatch.setattr("argparse.ArgumentParser.parse_args", lambda *_: argparse.Namespace(command=fail))
    assert main([]) == errors.JournalError.exit_code
    err = capsys.readouterr().err
    assert words in err
    assert "\n  try: " in err
