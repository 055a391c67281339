"""``autoresearch menu``: a menu from a script, and a menu explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rails import load_menu

SCRIPT = "DEPTH = 8  # layers\nLR = 1e-3\nSEED = 1\n"


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return str(path)


def test_a_menu_is_printed_and_the_rules_beside_it(cli, script):
    code, out, err = cli("menu", "from-constants", script)
    assert code == 0
    assert list(json.loads(out)["knobs"]) == ["depth", "lr"]
    assert "depth: from 1 to x 2" in err
    assert "SEED is left out: a seed is not a knob" in err


def test_a_menu_is_written_and_checks(cli, script, tmp_path):
    file = str(tmp_path / "menu.json")
    assert cli("menu", "from-constants", script, "--out", file)[0] == 0
    assert load_menu(Path(file)).defaults == {"depth": 8, "lr": 1e-3}
    code, out, _ = cli("menu", "check", file)
    assert code == 0
    assert "the defaults are a valid configuration" in out
    assert "[0.0001, 0.01] log" in out
    code, out, _ = cli("rails", "check", '{"knob": "depth", "new_value": 40, "reason": "r"}', "--menu", file)
    assert code == 1
    assert "R3" in out


def test_a_menu_of_thousands_of_constants_can_be_read_again(cli, script, tmp_path):
    Path(script).write_text("".join(f"C{n} = {n}  # {'x' * 190}\n" for n in range(1, 4000)))
    file = str(tmp_path / "menu.json")
    assert cli("menu", "from-constants", script, "--out", file)[0] == 0
    assert Path(file).stat().st_size > 1 << 20
    assert len(load_menu(Path(file)).knobs) == 3999


def test_json_has_menu_rules_and_what_was_left_out(cli, script):
    code, out, _ = cli("menu", "from-constants", script, "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) == {"menu", "rules", "left_out"}
    assert list(found["left_out"]) == ["SEED"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"x = (", "not valid Python"),
        (b"x = 1\n", "no constant became a knob"),
        (b"\xff\xfe\x00", "not a text file"),
        (b"LR = 1  # caf\xe9\n", "not a text file"),
        (b"# coding: rot13\nLR = 1\n", "not a text file"),
        (b"# coding: utf-16\nLR = 1\n", "not"),
        (b"# coding: utf-32\nLR = 1\n", "not a text file"),
    ],
)
def test_what_is_not_a_script_is_refused(cli, tmp_path, content, what):
    path = tmp_path / "bad.py"
    path.write_bytes(content)
    code, _, err = cli("menu", "from-constants", str(path))
    assert code == 78
    assert what in err


def test_a_missing_script_is_named(cli, tmp_path):
    code, _, err = cli("menu", "from-constants", str(tmp_path / "nowhere.py"))
    assert code == 78
    assert "nowhere.py" in err


def test_a_menu_whose_defaults_break_a_constraint(cli, tmp_path):
    menu = {
        "version": 1,
        "knobs": {"a": {"type": "int", "low": 1, "high": 9, "default": 9}},
        "constraints": [{"name": "small", "rule": "a < 5"}, {"name": "short", "rule": "a < steps"}],
    }
    path = tmp_path / "menu.json"
    path.write_text(json.dumps(menu))
    code, out, _ = cli("menu", "check", str(path))
    assert code == 78
    assert "small: a < 5  (does not hold for the defaults)" in out
    assert "short: a < steps  (not checked: it uses steps)" in out
    code, out, _ = cli("menu", "check", str(path), "--json")
    assert json.loads(out)["defaults_ok"] is False


def test_a_file_that_is_not_a_menu(cli, tmp_path):
    path = tmp_path / "menu.json"
    path.write_text("{}")
    code, _, err = cli("menu", "check", str(path))
    assert code == 78
    assert "menu.json" in err
