"""One row per trial."""

from __future__ import annotations

import pytest

from autoresearch.core.records import Evaluated, Evidence, Meta, Proposed, TrialEnded, TrialStarted, decode, encode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.report.trial_export import TrialTable
from autoresearch.report.trial_export.rows import COLUMNS
from rails import default_menu


def rows_of(records):
    table = TrialTable(records)
    rows = [dict(row) for row in table]
    assert table.count == len(rows)
    assert all(list(row) == list(table.columns) for row in rows)
    return {row["trial"]: row for row in rows}


def test_a_row_for_each_trial_with_what_became_of_it(everything):
    rows = rows_of(everything)
    shown = {n: (row["iter"], row["seed"], row["role"], row["outcome"]) for n, row in rows.items()}
    assert shown == {
        1: (0, 0, "baseline", "measured"),
        2: (1, 0, "candidate", "measured"),
        3: (1, 1, "candidate", "measured"),
        4: (2, 0, "candidate", "void"),
        5: (2, 0, "candidate", "measured"),
        6: (3, 0, "candidate", "failed"),
        7: (5, 0, "candidate", "stopped early"),
        8: (6, 0, "candidate", "unfinished"),
    }
    assert [rows[n]["val_bpb"] for n in sorted(rows)] == [3.4, 3.36, 3.38, None, 3.396, None, None, None]
    assert [rows[n]["decision"] for n in (1, 2, 3, 4, 6, 7, 8)] == [
        None,
        "keep",
        "keep",
        "revert",
        None,
        "revert",
        None,
    ]
    assert rows[2]["gain_frac"] == rows[3]["gain_frac"] == pytest.approx((3.4 - 3.37) / 3.4)
    assert (rows[6]["cause"], rows[6]["peak_bytes"], rows[6]["trial_wall_s"]) == ("out_of_memory", 9 * 2**30, 7.0)
    assert (rows[7]["label"], rows[7]["train_tokens"], rows[7]["energy_j"]) == ("stopped early", 1800, 90.0)
    assert (rows[7]["change"], rows[7]["ts"]) == ("d_model = 768", "2026-11-20T23:30:00Z")
    assert rows[4]["marks"] == "contended, slow"


def test_what_was_not_measured_is_none_and_never_0(everything):
    rows = rows_of(everything)
    known = {name for name, cell in rows[8].items() if cell is not None and not name.startswith("cfg.")}
    assert known == {"iter", "trial", "seed", "role", "outcome", "ts"}
    assert rows[8]["cfg.lr"] == default_menu().defaults["lr"]
    for row in rows.values():
        assert 0 not in [row[n] for n in COLUMNS if n not in ("iter", "seed")]
    for name in ("train_wall_s", "train_tokens", "train_flops", "energy_j", "val_wall_s", "gain_frac"):
        assert rows[6][name] is None, name


def test_another_metric_by_its_name_and_several_changes(accuracy_night):
    rows = rows_of(accuracy_night)
    assert [row["val_bpb"] for row in rows.values()] == [None, None]
    assert [(row["metric_name"], row["metric_value"], row["metric_direction"]) for row in rows.values()] == [
        ("accuracy", 0.5, "higher"),
        ("accuracy", 0.75, "higher"),
    ]
    assert (rows[2]["knobs"], rows[2]["change"]) == ("lr, beta1", "lr = 0.001, beta1 = 0.95")
    assert rows[2]["train_tokens"] is None


def test_real_records_of_several_seeds_agree_with_their_evidence(sequential_night):
    rows = rows_of(sequential_night)
    ended = {r.trial: r for r in sequential_night if isinstance(r, TrialEnded)}
    assert sorted(rows) == sorted(ended)
    judged = [r for r in sequential_night if isinstance(r, Evaluated)]
    assert any(len(r.trials) > 1 for r in judged)
    for record in judged:
        gains = dict(zip(record.evidence.seeds, record.evidence.gains_frac, strict=True))
        for number in record.trials:
            row = rows[number]
            assert (row["iter"], row["label"], row["decision"]) == (record.iter, record.evidence.label, record.decision)
            assert row["seed_gain_frac"] == gains[row["seed"]]
            assert row["val_bpb"] == ended[number].outcome.val_bpb
            assert {n.removeprefix("cfg."): v for n, v in row.items() if n.startswith("cfg.")} == record.candidate_cfg
    extra = [row for row in rows.values() if row["role"] == "baseline"]
    assert {row["gain_frac"] for row in extra} == {None}


def test_trials_for_a_vault_belong_to_their_keep(everything, sequential_night):
    """They follow the verdict, and the next proposal must not claim them."""
    last = max(i for i, r in enumerate(sequential_night) if isinstance(r, Proposed))
    keep = next(r for r in reversed(sequential_night[:last]) if isinstance(r, Evaluated))
    sample = next(r for r in reversed(sequential_night[:last]) if isinstance(r, TrialEnded))
    vault = sample.model_copy(update={"trial": 900, "iter": keep.iter, "seed": 77})
    row = rows_of([*sequential_night[:last], vault, *sequential_night[last:]])[900]
    assert (row["iter"], row["decision"], row["seed_gain_frac"]) == (keep.iter, keep.decision, None)
    assert row["change"] == keep.proposal.text


def test_a_resumed_trial_is_one_row(everything):
    index = next(i for i, r in enumerate(everything) if isinstance(r, TrialStarted) and r.trial == 2)
    again = everything[index].model_copy(update={"continues": True})
    assert rows_of([*everything[: index + 1], again, *everything[index + 1 :]]) == rows_of(everything)


def test_a_run_without_trials_has_columns(everything):
    table = TrialTable(everything[:1])
    assert (list(table), table.count, "cfg.lr" in table.columns) == ([], 0, True)


def test_records_that_contradict_the_menu_are_refused(everything):
    with pytest.raises(JournalDamaged, match="first record is not meta"):
        TrialTable(everything[1:])
    with pytest.raises(JournalDamaged, match="first record is not meta"):
        TrialTable([])
    strange = [
        r.model_copy(update={"cfg": {**r.cfg, "wings": 2}}) if isinstance(r, TrialStarted) else r for r in everything
    ]
    with pytest.raises(JournalDamaged, match="trial 1 has the knob 'wings'"):
        list(TrialTable(strange))
    strange = [
        r.model_copy(update={"cfg": {**r.cfg, "lr": "high"}}) if isinstance(r, TrialStarted) else r for r in everything
    ]
    with pytest.raises(JournalError, match="lr = 'high' is not a value"):
        list(TrialTable(strange))


def test_half_a_surrogate_pair_is_escaped(everything):
    broken = "a\ud800b"
    records = [
        r.model_copy(update={"source": broken}) if isinstance(r, Evaluated) and r.iter == 1 else r for r in everything
    ]
    assert rows_of(records)[2]["source"] == "a\\ud800b"
    assert isinstance(decode(encode(everything[0])), Meta)
    assert Evidence.model_fields["gains_frac"]
