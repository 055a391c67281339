"""YAML of unknown origin: what is refused, with file and line, and what plain scalars mean."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.workflow.bounded_yaml import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml
from autoresearch.errors import CorpusError

FILE = Path("t/task.yaml")


def value(text: str) -> object:
    return parse_yaml(text.encode(), FILE).value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 2026-03-01", "2026-03-01"),  # YAML 1.1: a date
        ("a: 12:30", "12:30"),  # YAML 1.1: 750
        ("a: no", "no"),  # YAML 1.1: false
        ("a: yes", "yes"),
        ("a: on", "on"),
        ("a: 0x10", "0x10"),
        ("a: 1_000", "1_000"),
        ("a: .nan", ".nan"),
        ("a: .inf", ".inf"),
        ("a: true", True),
        ("a: 'true'", "true"),
        ("a: '7'", "7"),
        ("a: 7", 7),
        ("a: -7", -7),
        ("a: 7.50", 7.5),
        ("a: 1e3", 1000.0),
        ("a: ~", None),
        ("a:", None),
        ("a: null", None),
        ("a: [1, {b: x}]", [1, {"b": "x"}]),
        ("a: |\n  x\n  y\n", "x\ny\n"),
    ],
)
def test_plain_scalars_mean_what_they_look_like(text: str, wanted: object) -> None:
    assert value(text) == {"a": wanted}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: &x 1\nb: *x", "line 1: anchors"),
        ("a: 1\nb: *x", "line 2: anchors"),
        ("a: 1\na: 2", "line 2: the key 'a' occurs twice"),
        ("x:\n  b: 1\n  b: 1", "line 3: the key 'b' occurs twice"),
        ("1: a", "line 1: a key must be a string"),
        ("[a]: b", "line 1: a key must be a string"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: the tag"),
        ("a: !x 1", "line 1: the tag"),
        ("a: [1", "line"),
        ("a: 'x", "line"),
        ('a: "\\ud800"', "line 1: a text holds half a surrogate pair"),
        ("\tb: 1", "line 1: not YAML"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ("{" * 100_000, "nested deeper"),
    ],
)
def test_what_is_refused_is_named_with_file_and_line(text: str, what: str) -> None:
    with pytest.raises(CorpusError) as error:
        value(text)
    assert str(error.value).startswith("t/task.yaml")
    assert what in str(error.value)


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(CorpusError, match="anchors"):
        value("\n".join(lines))


def test_what_is_not_text_or_too_long_is_refused(tmp_path: Path) -> None:
    for data, what in ((b"\xff\xfe\x00", "UTF-8"), (b"a: " + b"x" * MAX_BYTES, "larger"), (b"a: \x00", "not YAML")):
        with pytest.raises(CorpusError, match=what):
            parse_yaml(data, FILE)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_yaml(tmp_path)


def test_an_error_names_the_line_of_the_field() -> None:
    document = parse_yaml(b"a: 1\nb:\n  - c: 1\n  - c: 2\n", FILE)
    assert "line 4: b.1.c: bad" in str(document.error(("b", 1, "c"), "bad"))
    assert "line 4: b.1.row.c: bad" in str(document.error(("b", 1, "row", "c"), "bad"))  # a tag of a union is skipped
    assert "line 1: z: bad" in str(document.error(("z",), "bad"))


SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3), max_leaves=8
)


@given(VALUES)
def test_json_is_read_as_json(plain: object) -> None:
    assert value(json.dumps({"a": plain})) == {"a": plain}


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(CorpusError):
        parse_yaml(text.encode(errors="replace"), FILE)


def test_yaml_is_the_real_one() -> None:
    assert yaml.safe_load("a: no") == {"a": False}
