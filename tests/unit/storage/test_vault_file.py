"""vault.jsonl: private, durable, and never a reason to end a run."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from autoresearch.storage.journal import seal
from autoresearch.storage.vault_file import VaultFile


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def vault(tmp_path: Path, said: list[str]) -> VaultFile:
    return VaultFile(tmp_path / "vault.jsonl", said.append)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_can_read_it(vault: VaultFile) -> None:
    vault.seal(1, 0, 1.5)
    assert mode(vault.path) == 0o600


def test_a_line_has_number_seed_and_value_and_nothing_of_the_configuration(vault: VaultFile) -> None:
    vault.seal(7, 3, 1.5)
    (line,) = vault.path.read_text().splitlines()
    assert line.startswith('{"seq":0,"trial":7,"seed":3,"test_bpb":1.5,"crc":"')


def test_a_torn_line_is_cut_off_and_its_rest_is_private_too(vault: VaultFile, said: list[str]) -> None:
    vault.seal(1, 0, 1.5)
    with vault.path.open("ab") as file:
        file.write(b'{"seq":1,"trial":2,"seed":0,"test_b')
    vault.seal(3, 0, 1.25)
    assert vault.unseal({1, 3}) == {1: 1.5, 3: 1.25}
    (torn,) = vault.path.parent.glob("vault.jsonl.torn-*")
    assert mode(torn) == 0o600
    assert said == []


def test_a_deleted_file_is_reported_with_the_trials_and_a_new_one_begins(vault: VaultFile, said: list[str]) -> None:
    vault.seal(1, 0, 1.5)
    vault.path.unlink()
    vault.seal(2, 0, 1.25)
    assert vault.unseal({1, 2, 3}) == {2: 1.25}
    (message,) = said
    assert message.startswith(f"{vault.path} has no line of trial 1, 3")


def test_a_damaged_file_is_reported_when_written_and_when_read(vault: VaultFile, said: list[str]) -> None:
    for trial in (1, 2, 3):
        vault.seal(trial, 0, 1.5)
    damaged = vault.path.read_text().replace('"trial":2', '"trial":9')
    vault.path.write_text(damaged)
    vault.seal(4, 0, 1.5)
    assert vault.unseal({1, 4}) == {}
    assert vault.path.read_text() == damaged, "nothing is repaired by guessing"
    written, read = said
    assert written.startswith("the value of trial 4 cannot be sealed: ")
    assert "line 2" in read


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_value_that_is_not_bits_per_byte_is_damage(vault: VaultFile, said: list[str], value: float) -> None:
    vault.path.write_bytes(seal(0, json.dumps({"trial": 1, "seed": 0, "test_bpb": value}, separators=(",", ":"))))
    assert vault.unseal({1}) == {}
    assert "test_bpb" in said[0]


def test_a_link_in_its_place_is_not_followed(vault: VaultFile, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    os.symlink(tmp_path / "other", vault.path)
    vault.seal(1, 0, 1.5)
    assert (tmp_path / "other").read_text() == ""
    assert said[0].startswith("the value of trial 1 cannot be sealed: ")


def test_what_could_not_be_written_is_written_later(vault: VaultFile, said: list[str]) -> None:
    vault.path.mkdir()
    vault.seal(1, 0, 1.5)
    vault.seal(2, 0, 1.25)
    vault.path.rmdir()
    assert vault.unseal({1, 2}) == {1: 1.5, 2: 1.25}
    vault.seal(3, 0, 1.125)
    assert [json.loads(line)["trial"] for line in vault.path.read_text().splitlines()] == [1, 2, 3]
    assert len(said) == 1
