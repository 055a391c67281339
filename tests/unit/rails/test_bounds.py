"""Bounds, separators and words of the rails that only an exact example fixes."""

from __future__ import annotations

import json
import sys

import pytest

from rails import FloatKnob, Proposal, Rail, Tried, Verdict, default_menu, gate, parse_menu
from rails.checks import MAX_REASON_CHARS, MAX_REPLY_BYTES
from rails.knobs import is_finite, show
from rails.menu import MenuError
from rails.strict_json import MAX_NESTING, StrictJsonError, parse_json

MENU = default_menu()
BASELINE = MENU.defaults
GOOD = {"knob": "lr", "new_value": 1e-3, "reason": "a hunch"}


class TestReply:
    @pytest.mark.parametrize("padded", [str.encode, str])
    def test_the_longest_reply_is_read_and_one_byte_more_is_not(self, padded) -> None:
        text = json.dumps(GOOD)
        longest = text + " " * (MAX_REPLY_BYTES - len(text))
        assert gate(padded(longest), BASELINE).ok
        refused = gate(padded(longest + " "), BASELINE)
        assert (refused.rail, refused.reason) == (Rail.R1_SCHEMA, "the reply is longer than 4096 bytes")

    def test_the_bytes_of_a_text_count_and_not_its_characters(self) -> None:
        text = json.dumps(GOOD | {"reason": "é" * 100}, ensure_ascii=False)
        assert gate(text + " " * (MAX_REPLY_BYTES - len(text) - 100), BASELINE).ok
        assert not gate(text + " " * (MAX_REPLY_BYTES - len(text) - 99), BASELINE).ok

    def test_the_longest_reason_passes_and_one_character_more_does_not(self) -> None:
        assert gate(json.dumps(GOOD | {"reason": "x" * MAX_REASON_CHARS}), BASELINE).ok
        refused = gate(json.dumps(GOOD | {"reason": "x" * (MAX_REASON_CHARS + 1)}), BASELINE)
        assert refused.reason == "reason has 501 characters, at most 500 are allowed"

    def test_the_expected_keys_are_listed(self) -> None:
        assert gate(json.dumps(GOOD | {"x": 1}), BASELINE).reason == (
            "unexpected key 'x'; exactly knob, new_value, reason are expected"
        )
        assert gate(json.dumps({"knob": "lr"}), BASELINE).reason == (
            "missing key new_value; exactly knob, new_value, reason are expected"
        )


class Inconsistent(dict):
    """A baseline whose pairs are not those of its keys."""

    def items(self):  # type: ignore[no-untyped-def]
        return [(name, 0.5 if name == "beta1" else self[name]) for name in self]


def test_r5_does_not_trust_the_code_that_built_the_candidate() -> None:
    assert gate(json.dumps(GOOD), Inconsistent(BASELINE)) == Verdict(
        False, Rail.R5_DIFF_LINT, "the change touches lr, not lr alone", Proposal("lr", 1e-3, "a hunch")
    )


class TestShow:
    def test_sixty_characters_are_shown_whole(self) -> None:
        assert show("x" * 58) == "'" + "x" * 58 + "'"
        assert show("x" * 59) == "'" + "x" * 56 + "..."
        assert show("x" * 10, limit=12) == "'xxxxxxxxxx'"
        assert show("x" * 11, limit=12) == "'xxxxxxxx..."

    def test_the_largest_float_is_finite(self) -> None:
        largest = sys.float_info.max
        assert [is_finite(v) for v in (largest, -largest, 2 * int(largest), float("inf"), float("nan"))] == [
            True, True, False, False, False,
        ]  # fmt: skip

    def test_a_float_knob_refuses_true_and_words_by_name(self) -> None:
        knob = FloatKnob("x", 0.0, 2.0, 1.0)
        assert knob.accept(True) == (None, "x takes a number, not True")
        assert knob.accept(2.5) == (None, "x = 2.5 is outside [0, 2]")
        assert [knob.accept(v) for v in (0, 2, 1.5)] == [(0.0, ""), (2.0, ""), (1.5, "")]


class TestNesting:
    def test_one_hundred_levels_are_read_beside_other_brackets(self) -> None:
        deep = "[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1)
        assert len(parse_json(f"[[], {deep}, []]")) == 3

    @pytest.mark.parametrize("text", ["[" * 60 + "[]," + "[" * 60, "[" * 50 + "[]," * 60 + "[" * 60])
    def test_a_closed_level_counts_once(self, text: str) -> None:
        with pytest.raises(StrictJsonError, match=r"^nested more than 100 levels deep$"):
            parse_json(text)


class TestTried:
    def test_changes_of_several_knobs_are_listed(self) -> None:
        tried = Tried(BASELINE)
        tried.add(BASELINE | {"lr": 1e-3, "beta1": 0.8}, "measured")
        found = tried.find(BASELINE | {"lr": 1e-3, "beta1": 0.8})
        assert found == "beta1 = 0.8, lr = 0.001 was tried before in this run: measured"

    @pytest.mark.parametrize("value", [-1.0, -1e-3, -1e300, 0.0, 5e-324])
    def test_values_below_zero_are_found_on_both_sides_of_their_tolerance(self, value: float) -> None:
        tried = Tried({"x": 7.0})
        for other in (value, 2 * value, 3.0, -5.0, 4e300):
            tried.add({"x": other}, "measured")
        for near in (value, value * (1 + 9e-10), value * (1 - 9e-10)):
            assert tried.find({"x": near}) == f"x = {near} was tried before in this run: measured"
        assert tried.find({"x": 1.5 * value + 0.25}) == ""

    def test_entries_are_plain_and_in_the_order_of_their_values(self) -> None:
        tried = Tried(BASELINE)
        tried.add(BASELINE | {"lr": 2e-3}, "failed (killed)", retryable=True)
        tried.add(BASELINE | {"lr": 1e-3}, "measured")
        tried.add(BASELINE | {"precision": "bf16", "lr": 1e-3}, "measured")
        entries = tried.entries()
        assert entries == [
            (("lr",), [((1e-3,), "measured", False), ((2e-3,), "failed (killed)", True)]),
            (("lr", "precision"), [((1e-3, "bf16"), "measured", False)]),
        ]
        again = Tried.of_entries(BASELINE, entries)
        assert again == tried
        assert again.baseline == BASELINE
        again.add(BASELINE | {"lr": 5e-4}, "measured")
        assert len(tried.entries()[0][1]) == 2

    def test_a_value_that_equals_the_baselines_is_not_a_change(self) -> None:
        tried = Tried({"a": 1, "b": 2.0})
        assert tried.find({"a": 1.0, "b": 2}) == "it is the baseline itself"
        tried.add({"a": 1.0, "b": 3.0}, "measured")
        assert tried.find({"a": 1, "b": 3.0}) == "b = 3.0 was tried before in this run: measured"
        assert tried.find({"a": 1, "b": 3.0, "c": 5}) == ""


class TestMenu:
    def test_why_the_steps_cannot_be_computed(self) -> None:
        def steps(_cfg: object) -> int:
            raise ZeroDivisionError("no tokens in a step")

        why = "its number of steps cannot be computed: ZeroDivisionError: no tokens in a step"
        assert MENU.broken_rule(BASELINE, steps) == why

    @pytest.mark.parametrize(
        ("knob", "entry", "why"),
        [
            ("precision", {"choices": ["fp8", "a\u202e"], "default": "fp8"},
             r"knobs.precision.choices: 'a\u202e' has a character that does not print"),
            ("precision", {"choices": ["fp8", "\uff46p8"], "default": "fp8"},
             r"knobs.precision.choices: two of ['fp8', '\uff46p8'] look the same"),
            ("precision", {"choices": ["fp8", "\u212a", "K"], "default": "fp8"},
             r"knobs.precision.choices: two of ['fp8', '\u212a', 'K'] look the same"),
            ("lr", {"doc": "\u2067"}, r"knobs.lr.doc: '\u2067' has a character that does not print"),
            ("lr", {"doc": "one\n\u2067"}, r"knobs.lr.doc: 'one \u2067' has a character that does not print"),
            ("lr", {"doc": "a\rb"}, r"knobs.lr.doc: 'a\rb' has a character that does not print"),
        ],
    )  # fmt: skip
    def test_hidden_text_is_named(self, knob: str, entry: dict[str, object], why: str) -> None:
        with pytest.raises(MenuError) as refused:
            MENU.override({"knobs": {knob: entry}})
        assert str(refused.value) == why

    def test_lines_and_tabs_may_stand_in_a_description(self) -> None:
        menu = MENU.override({"knobs": {name: {"doc": f"{name}\n\ttwo"} for name in MENU.knobs}})
        assert [knob.doc for knob in menu.knobs.values()] == [f"{name}\n\ttwo" for name in MENU.knobs]
        rules = [{"name": "a", "rule": "lr < 1", "doc": "one\n\ttwo"}]
        assert MENU.override({"constraints": rules}).constraints[0].doc == "one\n\ttwo"

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"name": "\u200b"}, r"constraints[0].name: '\u200b' has a character that does not print"),
            ({"doc": "a\n\u200b"}, r"constraints[0].doc: 'a \u200b' has a character that does not print"),
            ({"doc": "\u200b"}, r"constraints[0].doc: '\u200b' has a character that does not print"),
        ],
    )
    def test_hidden_text_of_a_rule_is_named(self, change: dict[str, str], why: str) -> None:
        plain = {"version": 1, "knobs": {"a": {"type": "int", "low": 1, "high": 2, "default": 1}}}
        with pytest.raises(MenuError) as refused:
            parse_menu(plain | {"constraints": [{"name": "c", "rule": "a > 0"} | change]})
        assert str(refused.value) == why
