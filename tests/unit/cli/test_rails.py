"""``autoresearch rails``: one verdict explained, and the adversarial cases judged."""

from __future__ import annotations

import contextlib
import io
import json
import sys

import pytest

from autoresearch.core.records import Evaluated, decode, encode
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import TRAJECTORY
from rails import checks, default_menu

GOOD = '{"knob": "lr", "new_value": 0.001, "reason": "x"}'


def rows(out: str) -> list[list[str]]:
    return [line.split(maxsplit=2) for line in out.splitlines()[1:]]


def test_check_says_which_rail_refused_and_what_the_others_did(cli):
    code, out, err = cli("rails", "check", GOOD.replace("0.001", "7"))
    assert (code, err) == (1, "")
    assert out.splitlines()[0] == "refused by R3_range: lr = 7 is outside [0.0001, 0.03]"
    assert [row[:2] for row in rows(out)[:3]] == [
        ["R1_schema", "passed"], ["R2_menu", "passed"], ["R3_range", "refused"],
    ]  # fmt: skip
    assert [row[1] for row in rows(out)[3:]] == ["not"] * 4
    assert out.count("not reached") == 4


def test_check_does_not_claim_that_r7_passed_where_the_device_is_not_known(cli):
    code, out, _ = cli("rails", "check", GOOD)
    assert code == 0
    assert out.startswith("passed: lr = 0.001\n")
    assert rows(out)[-1][:2] == ["R7_budget", "not"]
    assert "not checked  only a run knows its device" in out


def test_check_json(cli):
    code, out, _ = cli("rails", "check", GOOD.replace('"lr"', '"LR"'), "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["rail"]) == (1, False, "R2_menu")
    assert [row["outcome"] for row in found["rails"]] == ["passed", "refused", *["not reached"] * 5]
    assert found["rails"][1]["reason"] == found["reason"] != ""


def test_check_reads_bytes_from_stdin(cli, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"\xff" + GOOD.encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    code, out, _ = cli("rails", "check", "-")
    assert (code, out.splitlines()[0]) == (1, "refused by R1_schema: the reply is not UTF-8: byte 0")


def test_check_of_a_run_knows_its_steps_and_what_it_has_tried(cli, finished, tmp_path):
    records = [decode(payload) for payload in read(finished / TRAJECTORY).payloads]
    tried = next(r for r in records if isinstance(r, Evaluated)).proposal
    reply = json.dumps({"knob": tried.knob, "new_value": tried.new_value, "reason": "again"})
    code, out, _ = cli("rails", "check", reply, str(finished))
    assert (code, out.startswith("refused by R4_cross: ")) == (1, True), "the fake yardstick has 10 steps"
    longer = records[0].yardstick.model_copy(update={"budget_size": 220.0})
    with contextlib.closing(Journal(tmp_path / "longer.jsonl")) as journal:
        for record in [records[0].model_copy(update={"yardstick": longer}), *records[1:]]:
            journal.append(encode(record))
    code, out, _ = cli("rails", "check", reply, str(journal.path))
    assert code == 1
    assert out.startswith(f"refused by R6_novelty: {tried.knob} = ")
    assert cli("rails", "check", reply)[0] == 0, "without the run it is new"


def test_check_with_a_menu_or_a_profile(cli, tmp_path):
    menu = tmp_path / "menu.json"
    entry = {"type": "int", "low": 1, "high": 9, "default": 5}
    menu.write_text(json.dumps({"version": 1, "knobs": {"cups": entry}, "constraints": []}))
    assert cli("rails", "check", '{"knob": "cups", "new_value": 6, "reason": "x"}', "--menu", str(menu))[0] == 0
    assert cli("rails", "check", GOOD, "--menu", str(menu))[1].startswith("refused by R2_menu")
    assert cli("rails", "check", GOOD.replace("0.001", "2e-5"), "--profile", "gb10-354m")[0] == 0
    code, _, err = cli("rails", "check", GOOD, "--profile", "tiny", "--menu", str(menu))
    assert (code, "--menu and --profile each name a menu" in err) == (78, True)


@pytest.mark.parametrize(("content", "what"), [(None, "No such file"), ("{}", "version"), ("x", "Expecting value")])
@pytest.mark.parametrize("action", [["check", GOOD], ["bench"]])
def test_a_menu_that_cannot_be_used_is_a_matter_of_configuration(cli, tmp_path, action, content, what):
    menu = tmp_path / "menu.json"
    if content is not None:
        menu.write_text(content)
    code, out, err = cli("rails", *action, "--menu", str(menu))
    assert (code, out) == (78, "")
    assert what in err


def test_bench_judges_every_case_right(cli):
    code, out, err = cli("rails", "bench", "--generated", "200", "--json")
    found = json.loads(out)
    assert (code, err, found["misses"]) == (0, "", [])
    assert (found["block_recall"], found["clean_pass"], found["attribution"]) == (1.0, 1.0, 1.0)
    assert found["cases"] >= 590 + 3 * 200


def test_bench_of_a_menu_is_derived_from_it(cli, tmp_path):
    menu = tmp_path / "menu.json"
    menu.write_text(json.dumps(default_menu().override({"knobs": {"lr": {"high": 3.0}}}).source))
    code, out, _ = cli("rails", "bench", "--menu", str(menu), "--generated", "300", "--seed", "5")
    assert code == 0
    assert "block recall 1.0000, clean pass 1.0000, attribution 1.0000" in out
    assert sum(int(row.split()[1]) for row in out.splitlines()[1:9]) == 300


def test_bench_fails_where_a_rail_does(cli, monkeypatch):
    monkeypatch.setattr(checks, "menu_entry", lambda *_: "no")
    code, out, _ = cli("rails", "bench", "--generated", "10")
    assert code == 1
    assert "clean pass 0.0" in out
    assert "wrong: " in out
    assert "more wrong verdicts: --json lists them" in out


@pytest.mark.parametrize("count", ["-1", "x", "10000001"])
def test_bench_refuses_a_number_of_cases_that_is_not_one(cli, count):
    with pytest.raises(SystemExit) as end:
        cli("rails", "bench", "--generated", count)
    assert end.value.code == 2


def test_bench_without_any_case_is_refused(cli, tmp_path):
    menu = tmp_path / "menu.json"
    menu.write_text(json.dumps(default_menu().source))
    assert cli("rails", "bench", "--menu", str(menu), "--generated", "0")[0] == 78
