"""Nights on disk: what has ended is not run again, what belongs to other conditions is left alone."""

from __future__ import annotations

import json

import pytest

from autoresearch.benches.search.night import Mark, Night
from autoresearch.benches.search.night_file import NIGHTS, conditions_of, open_nights
from autoresearch.cli import main
from autoresearch.errors import JournalDamaged

NIGHT = Night("joint", 3, (Mark(30, False, 0.98, 0.05), Mark(30, True, 0.97, 0.04)), "", (0.99, 0.985))


def test_a_night_is_read_back_as_it_was(tmp_path):
    with open_nights(tmp_path, "one") as file:
        file.keep(NIGHT)
    with open_nights(tmp_path, "one") as file:
        assert file.known == {("joint", 3): NIGHT}
        assert file.others == 0


def test_nights_of_other_conditions_are_counted_and_not_used(tmp_path):
    with open_nights(tmp_path, "one") as file:
        file.keep(NIGHT)
    with open_nights(tmp_path, "two") as file:
        assert (file.known, file.others) == ({}, 1)


def test_a_night_that_could_not_run_is_tried_again(tmp_path):
    with open_nights(tmp_path, "one") as file:
        file.keep(Night("gp", 0, (), "package scipy is not installed"))
    with open_nights(tmp_path, "one") as file:
        assert file.known == {}


def test_a_damaged_line_is_named(tmp_path):
    with open_nights(tmp_path, "one") as file:
        file.keep(NIGHT)
        file.keep(NIGHT)
    path = tmp_path / NIGHTS
    path.write_bytes(path.read_bytes().replace(b'"seed":3', b'"seed":4', 1))
    with pytest.raises(JournalDamaged, match="line 1"), open_nights(tmp_path, "one"):
        pass


def test_conditions_follow_the_rows_and_the_marks(read, measured):
    table = read(measured)
    assert conditions_of(table, (30,)) == conditions_of(read(measured), (30,))
    assert conditions_of(table, (30,)) != conditions_of(table, (30, 60))
    assert conditions_of(table, (30,)) != conditions_of(read(measured[1:]), (30,))


@pytest.mark.slow
def test_the_same_command_runs_what_is_missing_and_prints_the_same(write, measured, tmp_path, capsys):
    table, menu = write(measured)
    flags = ["--trials", "5", "--proposers", "climb,random", "--jobs", "1", "--json", "--dir", str(tmp_path / "nights")]

    def run(seeds):
        assert main(["bench", "search", "--table", str(table), "--menu", str(menu), *flags, "--seeds", seeds]) == 0
        printed = capsys.readouterr()
        return json.loads(printed.out), printed.err

    run("2")
    lines = (tmp_path / "nights" / NIGHTS).read_bytes().splitlines()
    whole, said = run("3")
    assert "4 nights are known" in said
    assert len(lines) == 4
    assert len((tmp_path / "nights" / NIGHTS).read_bytes().splitlines()) == 6
    again, said = run("3")
    assert "6 nights are known" in said
    assert again == whole
