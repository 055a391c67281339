"""``autoresearch prepare`` reports what it left out and found, and one rule holds for rows without text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.data.corpus import Corpus


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i}.txt").write_text("".join(f"line {j} of document {i}\n" for j in range(i, i + 20)))
    (folder / "copy.txt").write_bytes((folder / "3.txt").read_bytes())
    (folder / "blank.txt").write_text(" \n")
    (folder / "table.csv").write_text("a,b\n")
    (folder / "image.md").write_bytes(bytes(range(256)))
    (folder / "latin.txt").write_bytes("un café noir, s'il vous plaît".encode("latin-1"))
    return folder


def test_the_counts_are_printed_and_in_the_manifest(docs: Path, tmp_path: Path, capsys) -> None:
    assert main(["prepare", str(docs), "--tokenizer", "byte", "--out", str(tmp_path / "c")]) == 0
    out = capsys.readouterr().out
    assert "dropped: 1 repeated document (" in out
    assert "left out: 1 blank document\n" in out
    assert "left out: files of other kinds: .csv 1\n" in out
    assert "left out: 1 file of undecodable bytes: docs/image.md\n" in out
    assert "undecodable: 2 replacement characters (U+FFFD) in place of what does not decode: docs/latin.txt 2\n" in out
    assert "of validation occurs verbatim in train (" in out
    found = Corpus.open(tmp_path / "c", verify=True).manifest.preparation
    assert found is not None
    assert (found.duplicate_documents, found.blank_documents, found.other_files) == (1, 1, {".csv": 1})


def test_a_folder_and_its_parent_are_read_once(docs: Path, tmp_path: Path, capsys) -> None:
    arguments = ["prepare", str(docs), str(tmp_path), "--tokenizer", "byte", "--json", "--out", str(tmp_path / ".c")]
    assert main(arguments) == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["preparation"]["duplicate_documents"] == 1 + 41 + 1
    assert sum(split["documents"] for split in manifest["splits"].values()) <= 41 + 2


def test_rows_without_text_are_named_then_skipped_and_counted(tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.jsonl"
    rows = [json.dumps({"body": f"row {i} has a text of its own, which is not short"}) for i in range(60)]
    path.write_text("\n".join([*rows[:7], '{"body": null}', *rows[7:], '{"body": "cut']))
    arguments = ["prepare", str(path), "--tokenizer", "byte", "--out", str(tmp_path / "c")]
    assert main(arguments) == 66
    assert (
        "a.jsonl, line 1: no field `text`, only body\n  try: choose the field with --field" in capsys.readouterr().err
    )
    assert main([*arguments, "--field", "body"]) == 66
    assert "a.jsonl, line 8: field `body` is null, not a string" in capsys.readouterr().err
    assert main([*arguments, "--field", "body", "--skip-bad-lines"]) == 0
    assert "left out: 2 lines without usable text" in capsys.readouterr().out
