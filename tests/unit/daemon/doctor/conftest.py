"""A healthy night to spoil: settings, an examination that starts no torch, and what may never be missing in one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor import Check, examine
from autoresearch.daemon.doctor.check import ok
from autoresearch.trials.spec import Device

HERE = Device(device="cpu", kind="fake", precisions=("fp32", "bf16"), free_bytes=None, versions={"fake": "1"})


@pytest.fixture(autouse=True)
def empty_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without runs, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("AUTORESEARCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial server is taken as started: one look at a real one is in ``test_real.py``."""
    monkeypatch.setattr("autoresearch.daemon.doctor.training.device", lambda _settings: (ok("trainer", "a fake"), HERE))


def well_formed(checks: Sequence[Check]) -> bool:
    """What a person needs in every case: something was found, and where it is not well, what to try."""
    names = [check.name for check in checks]
    return (
        len(set(names)) == len(names)
        and all(check.found for check in checks)
        and all(bool(check.hint) == (check.state != "ok") for check in checks)
        and all((check.exit_code != 0) == (check.state == "fail") for check in checks)
    )


Examined = Callable[[Settings], dict[str, Check]]


@pytest.fixture
def examined(no_torch: None) -> Examined:
    """The checks of an examination by their names."""

    def poll(settings: Settings) -> dict[str, Check]:
        told: list[Check] = []
        checks = examine(settings, told.append)
        assert told == checks
        assert well_formed(checks)
        return {check.name: check for check in checks}

    return poll


@pytest.fixture
def healthy(make_settings, small_corpus: Path) -> Callable[..., Settings]:
    """Settings under which all is well, unless they say otherwise."""
    return lambda changes=None, **flags: make_settings(changes, **{"corpus": str(small_corpus), **flags})


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """The run directory of ``make_settings``, with a finished run of three iterations that a fake has measured."""
    return Path(shutil.copytree(finished_once, tmp_path / "run"))


def flags_of(run_dir: Path, corpus: Path | str, *more: str) -> list[str]:
    one_seed = ["--set", "reports=[]", "--decision", "threshold"]
    return ["--dir", str(run_dir), "--corpus", str(corpus), "--proposer", "random", "--iters", "3", *one_seed, *more]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in this process; its exit code, output and error output."""

    def call(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in argv])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def as_json(out: str) -> dict[str, dict[str, object]]:
    """The checks that ``--json`` printed, by their names."""
    shown = json.loads(out)
    assert set(shown) == {"ok", "checks"}
    assert shown["ok"] == all(check["state"] != "fail" for check in shown["checks"])
    return {check["name"]: check for check in shown["checks"]}
