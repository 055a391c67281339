"""What an audit says of a log: of the keeps one by one, of the whole, and from which noise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from autoresearch.report.audit.judge import ASSUMED_SD, judge
from autoresearch.report.audit.log import Entry, Log
from autoresearch.report.audit.read import read_logs
from autoresearch.report.audit.text import render, sentence
from tests.unit.report.audit.conftest import TSV

EVIDENCE = Path(__file__).parents[4] / "evidence"


def fixed(entries: list[Entry], baseline: tuple[float, ...] = (2.0,)) -> Log:
    return Log("log", "csv", "loss", "lower", "fixed", baseline, tuple(entries))


def night(*gains: float, kept: float = 0.005, sd: float = 0.003, nulls: int = 30) -> list[Entry]:
    """Nulls, then these gains."""
    rng = random.Random(4)
    values = [2.0 * (1 - rng.gauss(0, sd)) for _ in range(nulls)] + [2.0 * (1 - g) for g in gains]
    return [Entry(f"line {n}", f"x = {n}", v, (2.0 - v) / 2.0 >= kept, f"x = {n}") for n, v in enumerate(values)]


def test_a_large_gain_is_believed_and_a_small_one_is_not() -> None:
    v = judge(fixed(night(0.006, 0.03)), 0.003)
    small, large = (next(k for k in v.keeps if k.entry.name == f"x = {n}") for n in (30, 31))
    assert large.p_real > 0.99
    assert large.gain == pytest.approx(0.03, abs=0.005)
    assert small.p_real < 0.6
    assert small.gain < 0.004
    assert small.repeats > large.repeats
    assert v.expected_false > 0.4


def test_the_noise_comes_from_repeats_where_there_are_any() -> None:
    repeated = [Entry(f"line {n}", "same", 2.0 + d, False, "same") for n, d in enumerate((0.01, -0.01, 0.01, -0.01))]
    v = judge(fixed([*repeated, Entry("line 9", "other", 1.99, True, "other")], (2.0, 2.02)))
    assert v.noise.df == 4
    # squares of the deviations: 4 x 0.01^2 of "same", 2 x 0.01^2 of the baseline, over 4 degrees of freedom
    assert v.noise.sd == pytest.approx((6e-4 / 4) ** 0.5 / 2.01)
    assert "4 degrees of freedom" in v.noise_from
    assert (v.measured, v.distinct) == (5, 2)


def test_without_repeats_the_noise_is_an_assumption_and_said_to_be() -> None:
    (log,) = [judge(fixed(night(0.03)))]
    assert log.noise.sd == ASSUMED_SD
    assert "The noise is an assumption" in sentence(log)
    assert "assumption" not in sentence(judge(fixed(night(0.03)), 0.003))


def test_a_repeated_configuration_is_one_change() -> None:
    """Seven times the same small gain is evidence for it; once is not."""
    one = judge(fixed(night(0.007)), 0.004).keeps[-1]
    seven = [Entry(f"again {n}", "y", 2.0 * (1 - 0.007), True, "y") for n in range(7)]
    v = judge(fixed([*night(), *seven]), 0.004)
    (keep,) = [k for k in v.keeps if k.entry.name == "y"]
    assert keep.p_real > one.p_real + 0.2


def test_keeps_of_one_configuration_are_counted_and_judged_once() -> None:
    """The origin kept d_model = 768 six times."""
    again = [Entry(f"line {n}", "wider", 1.96, True, "wider") for n in range(100, 106)]
    verdict = judge(fixed([*night(kept=1.0), *again]))
    assert (verdict.kept_trials, len(verdict.keeps), verdict.as_json()["kept_trials"]) == (6, 1, 6)
    assert "6 keeps of 1 configuration (judged by their means)" in render(verdict)
    assert sentence(verdict).startswith("Of 1 kept configuration, ")
    once = judge(fixed([*night(kept=1.0), again[0]]))
    assert "failed, 1 keep\n" in render(once)
    assert sentence(once).startswith("Of 1 keep, ")


def test_a_ratchet_claims_against_its_last_keep(tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    path.write_text(TSV)
    v = judge(read_logs(path)[0], 0.001)
    first, second = v.keeps
    assert first.claimed == pytest.approx(0.02)
    assert second.claimed == pytest.approx(0.0001)
    assert first.p_real > 0.99
    assert second.p_real < 0.5
    assert v.claimed == pytest.approx(0.0201)
    assert "together they claim +2.01%" in sentence(v)


def test_the_night_on_wikitext2_is_believed_as_its_recheck_found() -> None:
    """18 of 20 keeps held on four fresh seeds, one was 0.49%, one was not resolved; none had no gain."""
    v = judge(read_logs(EVIDENCE / "2026-11-26-wikitext2-sequential")[0])
    assert len(v.keeps) == 20
    assert v.expected_false < 1
    assert all(abs(k.gain - k.claimed) < 0.002 for k in v.keeps)


def test_json_is_complete_and_plain() -> None:
    v = judge(fixed(night(0.03)), 0.003)
    facts = json.loads(json.dumps(v.as_json(), allow_nan=False))
    assert facts["keeps"][-1]["p_above_zero"] == pytest.approx(v.keeps[-1].p_real)
    assert facts["expected_false_keeps"] == pytest.approx(sum(1 - k["p_above_zero"] for k in facts["keeps"]))
    assert facts["trials"] == 31


def test_text_of_a_foreign_log_cannot_control_the_terminal() -> None:
    hostile = Entry("line 1", "\x1b]0;title\x07 gain", 1.9, True, "c")
    text = render(judge(fixed([*night(), hostile]), 0.003))
    assert "\x1b" not in text
    assert "gain" in text


def test_a_log_without_keeps_has_nothing_to_doubt() -> None:
    text = render(judge(fixed([Entry("line 1", "a", 2.1, False, "a")]), 0.003))
    assert "no keep" in text
    assert "nothing to doubt" in text


def test_a_cli_audit(cli_audit: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.tsv"
    path.write_text(TSV)
    code, out = cli_audit(str(path), "--noise", "0.001", "--json")
    assert code == 0
    assert len(json.loads(out)["logs"][0]["keeps"]) == 2
    code, out = cli_audit(str(path))
    assert "learning rate up" in out


@pytest.fixture
def cli_audit(capsys: pytest.CaptureFixture[str]) -> Any:
    from autoresearch.cli import main

    def run(*argv: str) -> tuple[int, str]:
        code = main(["audit", *argv])
        return code, capsys.readouterr().out

    return run
