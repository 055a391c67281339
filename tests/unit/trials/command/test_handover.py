"""How a configuration reaches a command."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.command import CommandSettings
from autoresearch.trials.command.handover import HandoverError, check_constants, hand_over, passed_environment

CFG = {"lr": 1e-05, "n_layer": 6, "dropout": 0.0, "kind": "a b"}


def handed(folder: Path, cfg: Any = CFG, **settings: Any) -> Any:
    found = CommandSettings.model_validate({"argv": ["python3", "t.py"], "cwd": str(folder), **settings})
    return hand_over(found, cfg, 3, 2000.0, folder, {"PATH": "/bin", "HOME": "/h", "SECRET": "s"})


def test_flags_come_last_or_in_their_place_and_floats_keep_their_point(tmp_path: Path) -> None:
    flags = ["--lr=1e-05", "--n_layer=6", "--dropout=0.0", "--kind=a b"]
    assert list(handed(tmp_path).argv) == ["python3", "t.py", *flags]
    argv = ["python3", "t.py", "{flags}", "{x}", "--dir={trial}"]
    end = ["{x}", f"--dir={tmp_path}"]
    assert list(handed(tmp_path, argv=argv).argv) == ["python3", "t.py", *flags, *end]
    two = handed(tmp_path, {"n_layer": 6}, flag=["--{kebab}", "{value}"], seed_flag="--seed={seed}")
    assert two.argv[2:] == ("--n-layer", "6", "--seed=3")


def test_a_whole_budget_has_no_point(tmp_path: Path) -> None:
    assert handed(tmp_path, {}, budget_flag="--max={budget}").argv[2:] == ("--max=2000",)
    assert handed(tmp_path, {}, budget_env="MAX").env["MAX"] == "2000"


def test_variables_and_files(tmp_path: Path) -> None:
    env = handed(tmp_path, config="env", seed_env="SEED").env
    assert (env["LR"], env["N_LAYER"], env["SEED"]) == ("1e-05", "6", "3")
    assert handed(tmp_path, config="env", variable="X_{knob}").env["X_lr"] == "1e-05"
    for kind, parse in (("json", json.loads), ("toml", tomllib.loads)):
        argv = handed(tmp_path, config="file", format=kind, argv=["p", "{config}"]).argv
        assert parse(Path(argv[1]).read_text()) == CFG


def test_constants_are_replaced_in_a_copy_alone(tmp_path: Path) -> None:
    source = b"# -*- coding: latin-1 -*-\r\n# \xe4\r\nLR = 0.1  # rate\r\nSEED = 0\r\nMAX = 1.5\r\n"
    (tmp_path / "t.py").write_bytes(source)
    (copies := tmp_path / "run").mkdir()
    settings = CommandSettings.model_validate(
        {"argv": ["python3", "-u", "t.py"], "cwd": str(tmp_path), "config": "constants", "seed_constant": "SEED"}
        | {"budget_constant": "MAX"}
    )
    found = hand_over(settings, {"lr": 0.5}, 7, 20.0, copies, {"PYTHONPATH": "/x"})
    assert found.argv == ("python3", "-u", str(copies / "t.py"))
    assert found.env["PYTHONPATH"] == f"{tmp_path}"
    assert (tmp_path / "t.py").read_bytes() == source
    changed = source.replace(b"0.1 ", b"0.5 ").replace(b"SEED = 0", b"SEED = 7").replace(b"1.5", b"20")
    assert (copies / "t.py").read_bytes() == changed


def test_what_cannot_be_handed_over_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("LR = 1\nLR = 2\n")
    with pytest.raises(HandoverError, match="LR cannot be replaced: it is assigned 2 times"):
        handed(tmp_path, {"lr": 3}, config="constants")
    with pytest.raises(HandoverError, match=r"no word of command\.argv is a script"):
        handed(tmp_path, argv=["python3", "-m", "pkg"], config="constants")
    with pytest.raises(HandoverError, match=r"a\.py and b\.py are scripts: name one"):
        handed(tmp_path, argv=["a.py", "b.py"], config="constants")
    with pytest.raises(HandoverError, match="variable PATH is one that programs need"):
        handed(tmp_path, {"path": 3}, config="env")
    assert handed(tmp_path, {"path": 3}, config="env", variable="X_{KNOB}").env["X_PATH"] == "3"
    (tmp_path / "t.py").unlink()
    settings = CommandSettings.model_validate({"argv": ["t.py"], "cwd": str(tmp_path), "config": "constants"})
    assert "No such file" in check_constants(settings, ["lr"])


def test_the_environment_is_an_allowlist_without_secrets() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "HF_HOME": "/hf", "TOKEN": "t", "AUTORESEARCH_LLM_KEY": "k"}
    assert passed_environment((), environ) == {"PATH": "/bin", "LC_ALL": "C"}
    passed = passed_environment(("HF_*", "AUTORESEARCH_*", "X=a=b"), environ)
    assert passed == {"PATH": "/bin", "LC_ALL": "C", "HF_HOME": "/hf", "X": "a=b"}


def test_a_copy_runs_as_its_script_does(tmp_path: Path) -> None:
    """An executable script with a shebang, in an encoding that has not every character of a value."""
    script = tmp_path / "t.py"
    script.write_bytes(b"#!/usr/bin/env python3\n# coding: latin-1\nNAME = '\xe4'  # \xe4\n")
    script.chmod(0o755)
    (copies := tmp_path / "run").mkdir()
    found = handed(copies, {"name": "\u20ac"}, argv=["./t.py"], cwd=str(tmp_path), config="constants")
    copy = Path(found.argv[0])
    assert copy.stat().st_mode & 0o100
    assert copy.read_bytes() == script.read_bytes().replace(b"'\xe4'", rb"'\u20ac'")
