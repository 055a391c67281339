"""``autoresearch export``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.storage.run_dir import TRAJECTORY


@pytest.mark.parametrize("kind", ["recipe", "dataset"])
def test_every_kind_of_export_explains_itself(kind, capsys):
    with pytest.raises(SystemExit) as end:
        main(["export", kind, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: autoresearch export {kind}")


@pytest.mark.parametrize(("form", "executable"), [("megatron-lm", True), ("megatron-bridge", False)])
def test_a_recipe_is_written_and_its_model_was_built(form, executable, cli, measured, tmp_path):
    file = tmp_path / "recipe"
    code, out, err = cli("export", "recipe", str(measured), "--format", form, "--out", str(file))
    assert (code, err) == (0, "")
    assert re.match(rf"{file}: {form}, (iteration|the baseline)", out)
    assert "\nchecked: Megatron-core builds its GPTModel" in out
    assert os.access(file, os.X_OK) == executable
    assert cli("export", "recipe", str(measured), "--format", form, "--no-check")[1] == file.read_text()


def test_a_recipe_as_json_says_what_it_is(cli, measured, small_corpus):
    code, out, _ = cli("export", "recipe", str(measured / TRAJECTORY), "--json", "--steps", "500")
    shown = json.loads(out)
    assert (code, shown["steps"], shown["checked"], shown["vocab"]) == (0, 500, True, 257)
    assert "--train-iters 500" in shown["script"]
    named = cli("export", "recipe", str(measured), "--json", "--steps", "500", "--corpus", str(small_corpus))[1]
    assert json.loads(named) == shown


def test_a_recipe_of_another_corpus_is_66(cli, finished, small_corpus):
    code, out, err = cli("export", "recipe", str(finished), "--corpus", str(small_corpus))
    assert (code, out) == (66, "")
    assert "the run was measured on 0000000000000000" in err


def test_an_unknown_vocabulary_is_requested(cli, finished):
    code, _, err = cli("export", "recipe", str(finished))
    assert code == 78
    assert "--corpus CORPUS" in err


def test_without_megatron_a_recipe_is_written_unchecked(cli, measured, monkeypatch, tmp_path):
    for name in [n for n in sys.modules if n.partition(".")[0] == "megatron"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "megatron", None)
    code, out, err = cli("export", "recipe", str(measured))
    assert code == 0
    assert out.startswith("#!/usr/bin/env bash\n")
    assert err.startswith("not checked: building the model of the script needs the package megatron-core")
    assert json.loads(cli("export", "recipe", str(measured), "--json")[1])["checked"] is False
    code, _, err = cli("export", "dataset", str(tmp_path), "--out", str(tmp_path / "set"))
    assert code == 66


def test_a_script_that_describes_another_model_is_refused(cli, measured, monkeypatch, tmp_path):
    monkeypatch.setattr("autoresearch.training.models.exported_model.parameter_shapes", lambda _: {"a weight": (2, 3)})
    code, out, err = cli("export", "recipe", str(measured), "--out", str(tmp_path / "recipe"))
    assert (code, out) == (1, "")
    assert "a model of 6 parameters" in err
    assert not (tmp_path / "recipe").exists()

    def refuse(_: object) -> None:
        raise ValueError("no such layer")

    monkeypatch.setattr("autoresearch.training.models.exported_model.parameter_shapes", refuse)
    code, out, err = cli("export", "recipe", str(measured))
    assert (code, out) == (1, "")
    assert "cannot build the model of the script: no such layer\n  try: --no-check" in err


def test_an_origins_log_cannot_be_exported(cli):
    origin = Path(__file__).parents[2] / "assets" / "origin_trajectory.jsonl"
    code, _, err = cli("export", "recipe", str(origin))
    assert code == 74
    assert "not a trajectory of this program" in err


def test_a_corpus_becomes_megatrons_data_set(cli, small_corpus, tmp_path):
    out = tmp_path / "set"
    code, said, _ = cli("export", "dataset", str(small_corpus), "--out", str(out))
    assert code == 0
    assert re.search(rf"^{out}/train: \d+ documents, [\d,]+ tokens$", said, re.MULTILINE)
    about = json.loads(cli("export", "dataset", str(small_corpus), "--out", str(out), "--json")[1])
    assert (about["vocab"], sorted(about["splits"])) == (257, ["train", "val"])
    code, _, err = cli("export", "dataset", str(tmp_path / "nowhere"), "--out", str(out))
    assert code == 66
    assert "is not a prepared corpus" in err


@pytest.mark.slow
@pytest.mark.parametrize("files", [20, 40])
def test_too_few_open_files_are_named_with_their_limit(files, measured, tmp_path):
    """Megatron-core opens sockets, and its own error is a page of tracebacks."""
    pytest.importorskip("megatron.core")
    command = f"ulimit -n {files}; exec {sys.executable} -m autoresearch export recipe {measured} --out {tmp_path}/x"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 74
    assert done.stderr.splitlines()[-2:] == [  # torch built for CUDA warns before it
        f"autoresearch: this process may open {files} files (RLIMIT_NOFILE), which are all open",
        "  try: ulimit -n 1024, or LimitNOFILE= of the unit",
    ]
