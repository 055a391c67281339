"""``autoresearch pause`` and ``resume``."""

from __future__ import annotations

import re
import shlex

import pytest

from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY, hold


def test_pause_and_resume_can_be_repeated(cli, finished):
    said = [cli(command, str(finished)) for command in ("pause", "pause", "resume", "resume")]
    assert [(code, out.splitlines()[0]) for code, out, _ in said] == [
        (0, f"{finished} pauses after its running trial"),
        (0, f"{finished} is paused or pausing already"),
        (0, f"{finished} continues"),
        (0, f"{finished} was not paused"),
    ]


def test_where_nothing_runs_it_is_said_that_the_next_start_waits(cli, finished):
    told = "nothing runs there now: what is started there next will wait before its first trial; `autoresearch"
    assert told in cli("pause", str(finished))[1]
    with hold(finished):
        assert told not in cli("pause", str(finished))[1]


def test_pause_now_makes_a_waiting_pause_immediate(cli, finished):
    flag = finished / PAUSE_FLAG
    said = [cli("pause", *words, str(finished)) for words in ([], ["--now"], ["--now"], [])]
    assert [(code, out.splitlines()[0]) for code, out, _ in said] == [
        (0, f"{finished} pauses after its running trial"),
        (0, f"{finished} pauses inside its running trial"),
        (0, f"{finished} is paused or pausing already"),
        (0, f"{finished} is paused or pausing already"),
    ]
    assert flag.read_text() == "now\n"
    cli("resume", str(finished))


def test_a_directory_without_a_run_is_said(cli, tmp_path):
    code, out, _ = cli("pause", str(tmp_path))
    assert code == 0
    assert f"no run has started there yet: its first trial will wait; `autoresearch resume {tmp_path}`" in out
    assert cli("resume", str(tmp_path))[1] == f"{tmp_path} continues\n"


def test_the_trajectory_names_its_run_too(cli, finished):
    assert cli("pause", str(finished / TRAJECTORY))[0] == 0
    assert (finished / PAUSE_FLAG).exists()
    assert f"pause.flag exists: `autoresearch resume {finished}` removes it" in cli("status", str(finished))[1]


def test_the_printed_command_is_quoted_and_works_from_any_directory(cli, finished, monkeypatch):
    odd = finished.rename(finished.parent / "my run; $HOME")
    monkeypatch.chdir(odd.parent)
    cli("pause", odd.name)
    printed = re.search(r"pause.flag exists: `(.*)` removes it", cli("status", odd.name)[1])
    assert printed is not None
    monkeypatch.chdir("/")
    assert cli(*shlex.split(printed[1])[1:])[:2] == (0, f"{odd} continues\n")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_misspelt_run_is_not_taken_for_its_parent(command, cli, finished):
    code, _, err = cli(command, str(finished.parent / "rnu"))
    assert code == 1
    assert "rnu is not a run directory" in err
    assert f"name one: autoresearch {command} RUN" in err
    assert not (finished.parent / PAUSE_FLAG).exists()
