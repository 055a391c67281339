"""The menu: its entries, its hash, overrides, and the errors, which name the bad entry."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from rails import ChoiceKnob, FloatKnob, IntKnob, MenuError, default_menu, load_menu, parse_menu
from rails.menu import MAX_MENU_BYTES

SHIPPED = Path(__file__).parents[3] / "perturbation_menu.json"


@pytest.fixture
def plain() -> dict:
    """The shipped menu as plain values, to change one thing in."""
    return json.loads(SHIPPED.read_text())


def test_the_package_contains_the_menu_of_the_repository(plain):
    menu = default_menu()
    assert menu == parse_menu(plain)
    assert len(menu.knobs) == 13
    assert [c.name for c in menu.constraints] == ["heads_divide_width", "warmup_leaves_room"]


def test_each_entry_becomes_a_knob_of_its_kind():
    knobs = default_menu().knobs
    assert knobs["n_layer"] == IntKnob("n_layer", 4, 48, 24, knobs["n_layer"].doc)
    assert knobs["lr"] == FloatKnob("lr", 1e-5, 1e-2, 3e-4, True, knobs["lr"].doc)
    assert knobs["precision"] == ChoiceKnob("precision", ("bf16", "fp8"), "fp8", knobs["precision"].doc)


def test_the_defaults_are_a_valid_configuration_of_it():
    menu = default_menu()
    assert menu.check_config(menu.defaults, 60) == ""


def test_a_parsed_menu_can_be_parsed_again():
    menu = default_menu()
    assert parse_menu(menu.source) == menu


def test_choices_of_numbers_are_sorted_and_strings_keep_their_order(plain):
    plain["knobs"]["n_head"]["choices"] = [32, 4, 16]
    plain["knobs"]["precision"]["choices"] = ["fp8", "bf16", "fp32"]
    menu = parse_menu(plain)
    assert menu.knobs["n_head"].choices == (4, 16, 32)
    assert menu.knobs["precision"].choices == ("fp8", "bf16", "fp32")


def test_a_whole_number_is_a_fine_bound_and_default_of_a_float(plain):
    plain["knobs"]["grad_clip"].update(low=1, high=5, default=2)
    knob = parse_menu(plain).knobs["grad_clip"]
    assert [repr(v) for v in (knob.low, knob.high, knob.default)] == ["1.0", "5.0", "2.0"]


def test_the_hash_does_not_depend_on_the_layout_of_the_file(plain, tmp_path):
    turned = {
        "constraints": plain["constraints"],
        "knobs": {name: dict(reversed(entry.items())) for name, entry in reversed(plain["knobs"].items())},
        "version": 1,
    }
    file = tmp_path / "menu.json"
    file.write_text(json.dumps(turned, indent=7))
    assert load_menu(file).sha256 == default_menu().sha256


def test_the_menu_of_an_earlier_run_keeps_its_hash():
    trajectory = SHIPPED.parent / "evidence" / "2026-11-20-tiny-wikitext2" / "trajectory.jsonl"
    with trajectory.open() as lines:
        menu = json.loads(next(lines))["menu"]
    assert parse_menu(menu).sha256 == "6891f9e77207c1539c87778514fabdb75fa12b00ace3696f72999c392d5510fc"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["knobs"]["lr"].update(high=0.02),
        lambda m: m["knobs"]["lr"].update(doc="something else"),
        lambda m: m["knobs"].pop("beta2"),
        lambda m: m["constraints"].pop(),
        lambda m: m["constraints"].reverse(),
        lambda m: m["constraints"][0].update(rule="d_model % n_head <= 0"),
    ],
)
def test_each_change_of_the_content_changes_the_hash(plain, change):
    change(plain)
    assert parse_menu(plain).sha256 != default_menu().sha256


BAD = {
    "not a table": (lambda m: [], "the menu: a table is expected"),
    "another version": (lambda m: m | {"version": 2}, "version: 2 is not 1"),
    "no version": (lambda m: m.pop("version") and m, "version: None is not 1"),
    "an unknown part": (lambda m: m | {"knob": {}}, "unknown field 'knob'"),
    "no knobs": (lambda m: m | {"knobs": {}}, "knobs: at least one is needed"),
    "knobs in a list": (lambda m: m | {"knobs": []}, "knobs: a table is expected"),
    "constraints in a table": (lambda m: m | {"constraints": {}}, "constraints: a list is expected"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_menu_is_refused(plain, change, words):
    with pytest.raises(MenuError, match=words):
        parse_menu(change(plain))


BAD_KNOB = {
    "not a table": ("lr", 3, r"^knobs\.lr: a table"),
    "no kind": ("lr", {"type": None}, r"^knobs\.lr\.type: None"),
    "an unknown kind": ("lr", {"type": "log"}, r"^knobs\.lr\.type: 'log' is not one of int, float, choice"),
    "a kind that is not a string": ("lr", {"type": ["int"]}, r"^knobs\.lr\.type"),
    "a misspelt field": ("lr", {"lo": 1}, r"^knobs\.lr: unknown field 'lo'; known are"),
    "a field of another kind": ("n_layer", {"log": True}, r"^knobs\.n_layer: unknown field 'log'"),
    "doc is not a string": ("lr", {"doc": 3}, r"^knobs\.lr\.doc"),
    "upside down": ("lr", {"low": 0.5}, r"^knobs\.lr: low = 0.5 is above high = 0.01"),
    "low is not a number": ("lr", {"low": "1e-5"}, r"^knobs\.lr\.low: '1e-5'"),
    "low is true": ("n_layer", {"low": True}, r"^knobs\.n_layer\.low: True"),
    "high is nothing": ("lr", {"high": None}, r"^knobs\.lr\.high: None"),
    "high is infinite": ("lr", {"high": float("inf")}, r"^knobs\.lr\.high: inf is not a finite float"),
    "high is not a number": ("lr", {"high": float("nan")}, r"^knobs\.lr\.high: nan"),
    "high is beyond floats": ("lr", {"high": 10**400}, r"^knobs\.lr\.high"),
    "a fractional bound of ints": ("n_layer", {"high": 48.0}, r"^knobs\.n_layer\.high: 48.0 is not a finite int"),
    "ints beyond floats": ("n_layer", {"high": 10**400}, r"^knobs\.n_layer\.high"),
    "a logarithm of zero": ("weight_decay", {"log": True}, r"^knobs\.weight_decay\.log: .* low is above 0"),
    "log is not a boolean": ("lr", {"log": 1}, r"^knobs\.lr\.log"),
    "a default outside": ("lr", {"default": 0.5}, r"^knobs\.lr\.default: lr = 0.5 is outside"),
    "a default beyond floats": ("lr", {"default": 10**400}, r"^knobs\.lr\.default"),
    "a default of another kind": ("n_layer", {"default": 24.0}, r"^knobs\.n_layer\.default"),
    "a default that is true": ("n_layer", {"low": 0, "default": True}, r"^knobs\.n_layer\.default"),
    "a default not among the choices": ("n_head", {"default": 6}, r"^knobs\.n_head\.default: n_head = 6 is not one of"),
    "no choices": ("n_head", {"choices": []}, r"^knobs\.n_head\.choices"),
    "choices in a word": ("precision", {"choices": "bf16"}, r"^knobs\.precision\.choices"),
    "a choice twice": ("n_head", {"choices": [16, 16]}, r"^knobs\.n_head\.choices"),
    "mixed choices": ("n_head", {"choices": [16, "16"]}, r"^knobs\.n_head\.choices"),
    "true among numbers": ("n_head", {"choices": [16, True]}, r"^knobs\.n_head\.choices"),
    "fractional choices": ("n_head", {"choices": [16.0, 8.0]}, r"^knobs\.n_head\.choices"),
    "lists as choices": ("n_head", {"choices": [[16], [8]]}, r"^knobs\.n_head\.choices"),
    "choices beyond floats": ("n_head", {"choices": [16, 10**400]}, r"^knobs\.n_head\.choices"),
}


@pytest.mark.parametrize(("knob", "fields", "words"), BAD_KNOB.values(), ids=BAD_KNOB.keys())
def test_a_bad_knob_is_refused_by_its_name(plain, knob, fields, words):
    plain["knobs"][knob] = plain["knobs"][knob] | fields if isinstance(fields, dict) else fields
    with pytest.raises(MenuError, match=words):
        parse_menu(plain)


@pytest.mark.parametrize(("knob", "field"), [("lr", "low"), ("n_layer", "default"), ("n_head", "choices")])
def test_a_missing_field_is_named(plain, knob, field):
    del plain["knobs"][knob][field]
    with pytest.raises(MenuError, match=rf"^knobs\.{knob}\.{field}: missing"):
        parse_menu(plain)


@pytest.mark.parametrize("name", ["", "LR", "1st", "a b", "a-b", "lr\n", "é", "steps", "x" * 41, "_lr"])
def test_a_knob_needs_a_name_that_rules_can_use(plain, name):
    plain["knobs"][name] = plain["knobs"]["lr"]
    with pytest.raises(MenuError, match="not a usable name"):
        parse_menu(plain)


BAD_CONSTRAINT = {
    "a bare rule": ("lr > 0", r"^constraints\[2\]: a table"),
    "no name": ({"rule": "lr > 0"}, r"^constraints\[2\]: name and rule"),
    "no rule": ({"name": "positive"}, r"^constraints\[2\]: name and rule"),
    "a rule that is a number": ({"name": "positive", "rule": 1}, r"^constraints\[2\]: name and rule"),
    "an unknown field": ({"name": "positive", "rule": "lr > 0", "when": 1}, r"^constraints\[2\]: unknown field 'when'"),
    "an unknown name": (
        {"name": "positive", "rule": "rl > 0"},
        r"^constraints\[2\] \(positive\): rl is neither a knob",
    ),
    "code": ({"name": "evil", "rule": "__import__('os').getcwd() == 1"}, r"^constraints\[2\] \(evil\): Call"),
    "a value": ({"name": "positive", "rule": "lr"}, r"^constraints\[2\] \(positive\): a rule is true or false"),
}


@pytest.mark.parametrize(("entry", "words"), BAD_CONSTRAINT.values(), ids=BAD_CONSTRAINT.keys())
def test_a_bad_constraint_is_refused_by_its_place_and_name(plain, entry, words):
    plain["constraints"].append(entry)
    with pytest.raises(MenuError, match=words):
        parse_menu(plain)


BAD_FILE = {
    "not JSON": (b"knobs = 3", "Expecting value"),
    "not text": (b"\xff\xfe", "utf-8"),
    "a key twice": (b'{"version": 1, "knobs": {"lr": {}, "lr": {}}}', "key 'lr' is written twice"),
    "not a number": (b'{"version": NaN}', "NaN is not a number"),
    "nested too deeply": (b"[" * 100_000, "nested more than 100 levels deep"),
    "empty": (b"", "Expecting value"),
    "endless": (b" " * (1 << 24) + b"{}", "more than 8 MiB"),
    "a bad knob": (b'{"version": 1, "knobs": {"lr": {"type": "float"}}}', r"knobs\.lr\.default: missing"),
    "a number too long": (b'{"version": ' + b"1" * 5000 + b"}", "digits"),
}


@pytest.mark.parametrize(("content", "words"), BAD_FILE.values(), ids=BAD_FILE.keys())
def test_a_bad_file_is_refused_by_its_name(content, words, tmp_path):
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    with pytest.raises(MenuError, match=rf"mine\.json: .*{words}"):
        load_menu(file)


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path):
    with pytest.raises(MenuError, match=r"mine\.json: No such file"):
        load_menu(tmp_path / "mine.json")
    with pytest.raises(MenuError, match="Is a directory"):
        load_menu(tmp_path)


def test_a_profile_narrows_extends_and_moves_entries():
    menu = default_menu()
    small = menu.override(
        {"knobs": {"d_model": {"choices": [64, 128]}, "n_layer": {"low": 1, "high": 6}}},
        defaults={"d_model": 64, "n_layer": 2},
    )
    assert small.knobs["d_model"].choices == (64, 128)
    assert (small.knobs["n_layer"].low, small.knobs["n_layer"].high, small.knobs["n_layer"].default) == (1, 6, 2)
    assert small.knobs["lr"] == menu.knobs["lr"]
    assert small.constraints == menu.constraints
    assert list(small.knobs) == list(menu.knobs)


def test_an_override_leaves_the_menu_that_it_starts_from_alone():
    menu = default_menu()
    before = copy.deepcopy(menu.source)
    menu.override({"knobs": {"lr": {"low": 1e-4}}}, defaults=menu.defaults | {"lr": 1e-3})
    assert menu.source == before


def test_a_knob_can_be_overridden_into_another_kind():
    fields = {"type": "choice", "choices": [0, 5], "default": 5}
    knob = default_menu().override({"knobs": {"lr_warmup": fields}}).knobs["lr_warmup"]
    assert knob == ChoiceKnob("lr_warmup", (0, 5), 5, knob.doc)
    assert knob.doc


def test_an_override_replaces_the_constraints_when_it_has_some():
    menu = default_menu()
    assert menu.override({"constraints": []}).constraints == ()
    small = menu.override({"constraints": [{"name": "shallow", "rule": "n_layer < 12"}]})
    assert small.broken_rule(menu.defaults, 60) == "shallow: n_layer < 12 does not hold with n_layer = 24"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"knobs": {"lrr": {"low": 1}}}, r"knobs\.lrr: there is no such knob; there are n_layer,"),
        ({"knobs": {"lr": 3}}, r"knobs\.lr: a table of fields"),
        ({"knobs": 3}, "knobs: a table is expected"),
        ({"knob": {}}, "the override: unknown field 'knob'"),
        ({"knobs": {"lr": {"low": 1}}}, r"knobs\.lr: low = 1 is above high"),
        ({"knobs": {"d_model": {"choices": [64]}}}, r"knobs\.d_model\.default: d_model = 1024 is not one of \{64\}"),
        ({"constraints": "none"}, "constraints: a list"),
    ],
)
def test_a_bad_override_is_refused_by_the_entry(changes, words):
    with pytest.raises(MenuError, match=words):
        default_menu().override(changes)


def test_a_baseline_outside_its_menu_is_refused_by_the_knob():
    with pytest.raises(MenuError, match=r"knobs\.n_layer\.default: n_layer = 2 is outside \[4, 48\]"):
        default_menu().override({}, defaults=default_menu().defaults | {"n_layer": 2})


def test_a_configuration_is_checked_knob_by_knob_and_then_as_a_whole():
    menu = default_menu()
    good = menu.defaults
    assert menu.check_config({k: v for k, v in good.items() if k != "lr"}, 60) == "lr is missing"
    assert menu.check_config(good | {"lr": 1}, 60) == "lr = 1 is outside [1e-05, 0.01]"
    assert menu.check_config(good | {"lr_warmup": 40}, 60).startswith("warmup_leaves_room: lr_warmup + 5 <= steps / 2")


def test_a_rule_of_steps_is_skipped_where_a_run_has_no_step_budget():
    menu = default_menu()
    assert menu.broken_rule(menu.defaults | {"lr_warmup": 50}, None) == ""
    assert menu.broken_rule(menu.defaults | {"n_head": 3}, None).startswith("heads_divide_width")


def test_a_rule_that_cannot_be_computed_is_broken():
    menu = default_menu()
    assert "cannot be computed: ZeroDivisionError" in menu.broken_rule(menu.defaults | {"n_head": 0}, 60)


def test_a_menu_file_of_more_than_8_mebibytes_is_refused_whatever_stands_at_its_end(tmp_path, plain):
    file, text = tmp_path / "menu.json", json.dumps(plain)
    file.write_text(text.rjust(MAX_MENU_BYTES))
    assert load_menu(file) == parse_menu(plain)
    file.write_text(text.rjust(MAX_MENU_BYTES + 1))
    with pytest.raises(MenuError, match=r"menu\.json: more than 8 MiB"):
        load_menu(file)


def test_docs_and_constraints_may_be_left_out(plain):
    entry = {"type": "int", "low": 3, "high": 3, "default": 3}
    menu = parse_menu({"version": 1, "knobs": {"k": entry}})
    assert menu.constraints == ()
    assert menu.knobs["k"] == IntKnob("k", 3, 3, 3, "")
    menu = parse_menu({"version": 1, "knobs": {"k": entry}, "constraints": [{"name": "c", "rule": "k > 1"}]})
    assert menu.constraints[0].doc == ""


def test_a_knob_of_another_type_keeps_its_doc_or_has_none(plain):
    changes = {"knobs": {"n_layer": {"type": "choice", "choices": [12, 24], "default": 24}}}
    assert parse_menu(plain).override(changes).knobs["n_layer"].doc == plain["knobs"]["n_layer"]["doc"]
    del plain["knobs"]["n_layer"]["doc"]
    assert parse_menu(plain).override(changes).knobs["n_layer"].doc == ""


@pytest.mark.parametrize("default", [1, 2, 3])
def test_a_whole_number_as_the_default_of_a_float_knob_becomes_a_float(default):
    entry = {"type": "float", "low": 1, "high": 3, "default": default}
    knob = parse_menu({"version": 1, "knobs": {"k": entry}}).knobs["k"]
    assert repr(knob.default) == f"{default}.0"


def test_the_errors_of_a_menu_are_whole_sentences(plain):
    with pytest.raises(MenuError) as e:
        parse_menu(plain | {"more": 1})
    assert str(e.value) == "the menu: unknown field 'more'; known are constraints, knobs, version"
    with pytest.raises(MenuError) as e:
        parse_menu(plain | {"knobs": {}})
    assert str(e.value) == "knobs: at least one is needed"
    with pytest.raises(MenuError) as e:
        parse_menu(plain | {"constraints": [{"name": "c", "rule": "b > a"}]})
    assert str(e.value) == "constraints[0] (c): a, b is neither a knob nor 'steps'"


@pytest.mark.parametrize(
    "choice", ["bf16\u202e", "\u2066fp8\u2069", "fp\u200b8", "fp8\u00a0", "fp8\n", "fp8\0", "\ufefffp8", "\ud800"]
)
def test_a_choice_that_shows_otherwise_than_it_is_is_refused(plain, choice):
    plain["knobs"]["precision"]["choices"] = ["bf16", "fp8", choice]
    with pytest.raises(
        MenuError, match=r"knobs.precision.choices: '.*' has a character that does not print"
    ) as refused:
        parse_menu(plain)
    assert str(refused.value).isascii()


def test_choices_that_look_the_same_are_refused(plain):
    plain["knobs"]["precision"]["choices"] = ["bf16", "fp8", "\uff46p8"]
    with pytest.raises(MenuError, match="look the same"):
        parse_menu(plain)


@pytest.mark.parametrize("field", ["doc", "name"])
def test_hidden_text_in_descriptions_is_refused(plain, field):
    plain["constraints"][0][field] = "wide\u202ene"
    with pytest.raises(MenuError, match="does not print"):
        parse_menu(plain)
    if field == "doc":
        plain["constraints"][0][field] = "two\nlines"
        plain["knobs"]["lr"]["doc"] = "\u2067lr"
        with pytest.raises(MenuError, match=r"knobs.lr.doc: .* does not print"):
            parse_menu(plain)


def test_a_file_with_a_byte_order_mark_is_read(plain, tmp_path):
    path = tmp_path / "menu.json"
    path.write_text(json.dumps(plain), encoding="utf-8-sig")
    assert load_menu(path) == default_menu()
