"""``autoresearch bench stop``."""

from __future__ import annotations

import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch.benches.proposers.table_file import format_table
from autoresearch.daemon.fresh_trials import FreshTrial
from autoresearch.daemon.null_trials import NULL_TRIALS
from autoresearch.storage.journal import Journal
from tests.unit.benches.proposers.conftest import build_table


@pytest.fixture
def curves(tmp_path: Path) -> str:
    rng = random.Random(2)
    lines = ["group,run,fraction,value"]
    for n in range(80):
        gain = 0.0 if n == 0 else rng.gauss(-0.01, 0.02)
        for k in range(1, 9):
            noise = 0 if k == 8 or n == 0 else rng.gauss(0, 0.002)
            lines.append(f"{'base' if n == 0 else n},0,{k / 8},{(5 - k / 4) * (1 - gain - noise)}")
    file = tmp_path / "curves.csv"
    file.write_text("\n".join(lines))
    return str(file)


def test_the_promised_keys_are_in_the_json_with_the_trade_off(cli, curves):
    code, out, _ = cli("bench", "stop", "--curves", curves, "--json")
    found = json.loads(out)
    assert code == 0
    assert {"keeps", "keeps_lost_frac", "keeps_lost_upper95", "saved_frac"} <= set(found)
    assert found["trials"] == 79
    assert found["saved_frac"] > 0
    assert [row["tolerated"] for row in found["trade_off"]] == [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]


def test_the_text_says_what_was_lost_and_saved(cli, curves):
    code, out, _ = cli("bench", "stop", "--curves", curves)
    assert code == 0
    assert "79 trials of 79 groups against base" in out
    assert "of their training saved" in out
    assert "95% confidence" in out


def test_too_few_curves_stop_nothing_and_this_is_said(cli, curves):
    short = Path(curves).with_name("short.csv")
    short.write_text("\n".join(Path(curves).read_text().splitlines()[: 1 + 8 * 20]))
    code, out, _ = cli("bench", "stop", "--curves", str(short))
    assert code == 0
    assert "the rule is off before 30 full curves" in out


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--curves", "missing.csv"], 66, "cannot read missing.csv"),
        (["--curves", "X", "--baseline", "no"], 66, "no group 'no'"),
        (["--curves", "X", "--tolerated", "1"], 78, "--tolerated 1"),
        (["--curves", "X", "--needed", "0"], 78, "--needed 0"),
        (["--curves", "X", "--min-curves", "3"], 78, "--min-curves 3"),
    ],
)
def test_a_wrong_input_is_explained(flags, code, message, cli, curves):
    done, _, err = cli("bench", "stop", *[curves if flag == "X" else flag for flag in flags])
    assert done == code
    assert message in err
    assert "try:" in err


@pytest.fixture
def null_dir(tmp_path: Path) -> Path:
    """A directory with the cache of ``bench aa --trials``."""
    folder = tmp_path / "null"
    folder.mkdir()
    with closing(Journal(folder / NULL_TRIALS)) as journal:
        for seed in range(60):
            losses = tuple(round(8 - n / 10 + 0.02 * (seed % 7), 5) for n in range(32))
            trial = FreshTrial(
                conditions_sha256="c", seed=seed, val_bpb=2 + seed % 7 / 500, trial_wall_s=1.0, train_loss_curve=losses
            )
            journal.append(trial.model_dump_json())
    return folder


def test_null_trials_and_csv_files_can_be_given_together(cli, curves, null_dir):
    code, out, _ = cli("bench", "stop", "--curves", str(null_dir), curves, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["trials"], found["baseline"]) == (60 + 79, "the baseline, base")


def test_a_directory_without_curves_is_named(cli, tmp_path):
    code, _, err = cli("bench", "stop", "--curves", str(tmp_path))
    assert code == 66
    assert "has no full loss curve" in err


def test_null_trials_of_another_run_are_not_mixed_with_these(cli, null_dir, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with closing(Journal(other / NULL_TRIALS)) as journal:
        for line in (null_dir / NULL_TRIALS).read_text().splitlines()[:2]:
            fields = {k: v for k, v in json.loads(line).items() if k not in ("seq", "crc")}
            journal.append(json.dumps({**fields, "conditions_sha256": "d"}))
    code, _, err = cli("bench", "stop", "--curves", str(null_dir), str(other))
    assert code == 66
    assert "differ in more than their candidates" in err


@pytest.mark.slow
def test_a_table_of_measured_configurations_has_curves(cli, tmp_path):
    """Each changed configuration is compared with the baseline of the same seed, and its kind is knob and direction."""
    table = build_table(seeds=2)
    rows = tuple(row.model_copy(update={"curve": tuple(9.0 - k / 8 for k in range(32))}) for row in table.rows)
    path = tmp_path / "table.json"
    path.write_text(format_table(table.model_copy(update={"rows": rows})))
    code, out, err = cli("bench", "stop", "--curves", str(path), "--json")
    assert code == 0, err
    changed = [row for row in rows if row.cfg != table.baseline_cfg and row.val_bpb is not None]
    assert json.loads(out)["trials"] == len(changed)


def test_a_table_without_curves_is_refused(cli, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(format_table(build_table(seeds=1)))
    code, _, err = cli("bench", "stop", "--curves", str(path))
    assert code == 66
    assert "no full loss curve" in err
