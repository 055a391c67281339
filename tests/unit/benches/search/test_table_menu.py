"""Menus of other people's tables: their names, and choices that this program's menu does not have."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.search.table import read_table
from autoresearch.benches.search.table_menu import read_menu
from autoresearch.errors import ConfigError, CorpusError
from rails import parse_menu
from tests.unit.benches.search.conftest import MENU

FOREIGN = {"rate": "MATRIX_LR", "width": "Model.Width (log2)", "depth": "2depth", "kind": ""}


def foreign(cfg):
    return {FOREIGN[name]: value for name, value in cfg.items()}


def test_the_names_of_another_program_are_taken(write, read, measured):
    """Capitals, dots, spaces, digits first and the empty name; the same rows in the same order of knobs."""
    menu = {**MENU, "knobs": foreign(MENU["knobs"])}
    table, path = write([{**row, "cfg": foreign(row["cfg"])} for row in measured], menu)
    found = read_table(table, read_menu(path))
    assert list(found.menu.knobs) == ["matrix_lr", "model_width_log2", "knob_2depth", "knob"]
    assert [list(row.cfg.values()) for row in found.rows] == [list(row.cfg.values()) for row in read(measured).rows]


def test_their_names_in_csv_and_in_rules(write, measured):
    menu = {"knobs": foreign(MENU["knobs"]), "constraints": [{"name": "step", "rule": "MATRIX_LR < 0.5 and 0 < 1"}]}
    rows = [",".join(f'"{name}"' for name in FOREIGN.values()) + ",value"]
    rows += [",".join(map(str, row["cfg"].values())) + f",{row['value'] or ''}" for row in measured]
    table, path = write("\n".join(rows), menu, "table.csv")
    found = read_table(table, read_menu(path))
    assert [row.cfg["matrix_lr"] for row in found.rows] == [row["cfg"]["rate"] for row in measured]
    assert found.menu.broken_rule({**found.menu.defaults, "matrix_lr": 0.6}, None)
    assert not found.menu.broken_rule(found.menu.defaults, None)


def test_choices_with_fractions_and_true_and_false_stand_for_their_ranks(write):
    knobs = {
        "dropout": {"type": "choice", "choices": [0.5, 0, 0.1], "default": 0.1},
        "tied": {"type": "choice", "choices": [True, False], "default": True},
    }
    given = [(0.5, True), (0, False), (0.1, "TRUE"), (0.1, "no")]
    entries = [{"cfg": {"dropout": d, "tied": t}, "value": 1.0} for d, t in given * 5]
    table, path = write(entries, {"knobs": knobs})
    found = read_table(table, read_menu(path))
    assert [tuple(row.cfg.values()) for row in found.rows[:4]] == [(2, 1), (0, 0), (1, 1), (1, 0)]
    assert found.menu.defaults == {"dropout": 1, "tied": 1}


def test_a_number_that_is_not_a_choice_is_off_the_menu_and_a_word_is_refused(write):
    knobs = {"dropout": {"type": "choice", "choices": [0.0, 0.1], "default": 0.1}}
    entries = [{"cfg": {"dropout": 0.1}, "value": 1.0}] * 20
    table, path = write([*entries, {"cfg": {"dropout": 0.3}, "value": 1.0}], {"knobs": knobs})
    assert read_table(table, read_menu(path)).outside == 1
    table, path = write([*entries, {"cfg": {"dropout": "none"}, "value": 1.0}], {"knobs": knobs})
    with pytest.raises(CorpusError, match="row 21: dropout takes a whole number"):
        read_table(table, read_menu(path))


def test_a_field_with_the_new_name_of_a_knob_does_not_replace_its_value(write):
    knobs = {"LR": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}}
    table, path = write([{"cfg": {"LR": 0.25, "lr": 7}, "value": 1.0}] * 20, {"knobs": knobs})
    assert {row.cfg["lr"] for row in read_table(table, read_menu(path)).rows} == {0.25}


def test_a_missing_field_is_named_as_the_file_spells_it(write):
    knob = {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}
    table, path = write([{"cfg": {"lr": 0.25}, "value": 1.0}] * 20, {"knobs": {"lr": knob, "LR": knob}})
    with pytest.raises(CorpusError, match="row 1: cfg has no 'LR'"):
        read_table(table, read_menu(path))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"type": "choice", "choices": [0.1, 0.2], "default": 0.3}, "drop.default: 0.3 is not one of"),
        ({"type": "choice", "choices": [0.1, 0.1], "default": 0.1}, "drop.choices"),
        ({"type": "choice", "choices": [0.1, "a"], "default": 0.1}, "drop.choices"),
        ({"type": "choice", "choices": [], "default": 0.1}, "drop.choices"),
        ({"type": "choice", "choices": [0.1, 0.2]}, "drop.default"),
        (7, "drop"),
    ],
)
def test_what_no_menu_can_have_is_named(tmp_path, entry, says):
    path = tmp_path / "menu.json"
    path.write_text(json.dumps({"knobs": {"drop": entry}}))
    with pytest.raises(ConfigError, match=says):
        read_menu(path)


def test_a_rule_over_ranks_is_refused(tmp_path):
    path = tmp_path / "menu.json"
    knobs = {"Drop": {"type": "choice", "choices": [0.1, 0.2], "default": 0.1}}
    path.write_text(json.dumps({"knobs": knobs, "constraints": [{"name": "low", "rule": "Drop < 0.2"}]}))
    with pytest.raises(ConfigError, match="uses Drop, whose choices stand for their ranks"):
        read_menu(path)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8, unique=True))
def test_every_set_of_names_becomes_as_many_usable_names(names):
    from autoresearch.benches.search.table_menu import _usable_names

    found = _usable_names(names)
    assert list(found) == names
    knob = {"type": "int", "low": 0, "high": 1, "default": 0}
    assert len(parse_menu({"version": 1, "knobs": dict.fromkeys(found.values(), knob)}).knobs) == len(names)
