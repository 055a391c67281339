"""Every format of a log is read to the same neutral form, and what cannot be read is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.metric import Metric
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.report.audit.judge import judge
from autoresearch.report.audit.log import Log, best_so_far, finite
from autoresearch.report.audit.read import detect, read_logs
from autoresearch.storage.journal import seal
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb, measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, NO_BETTER
from tests.unit.report.audit.conftest import PI, TSV

ASSETS = Path(__file__).parents[3] / "assets"
EVIDENCE = Path(__file__).parents[4] / "evidence"


def shape(log: Log) -> list[tuple[float | None, bool]]:
    return [(entry.value, entry.kept) for entry in log.entries]


def test_results_tsv(write: Any) -> None:
    (log,) = read_logs(write(TSV))
    assert (log.format, log.loop, log.metric, log.baseline) == ("results.tsv", "ratchet", "val_bpb", (1.0,))
    assert shape(log) == [(1.01, False), (None, False), (0.98, True), (0.9799, True), (0.99, False)]
    assert log.entries[0].name == 'wider "MLP"'
    assert log.entries[2].place == "line 5"
    assert log.gain_of(log.entries[2]) == pytest.approx(0.02)


def test_a_results_tsv_as_people_and_agents_write_it(write: Any) -> None:
    """Columns in another order and case, a unit, tabs in a description, a row that ends early, a keep without value."""
    text = """Status\tVAL_BPB\tTime\tDescription
baseline\t1.0 bpb\t300\tas it was
keep\t0.98\t300\tlr\tup
discard\t0.99 bpb\t300
keep\t\t300\tforgotten
crash
"""
    (log,) = read_logs(write(text))
    assert (log.baseline, shape(log)) == ((1.0,), [(0.98, True), (0.99, False), (None, False), (None, False)])
    assert log.entries[0].name == "lr up"
    assert log.notes == ("1 row without a number in val_bpb counted as failed (line 5: empty)",)


def test_pi_autoresearch_with_null_and_notes(write: Any) -> None:
    config = {"type": "config", "name": None, "metricName": None, "bestDirection": None}
    runs = [(12.0, "keep"), (None, "keep"), ("11 s", "keep"), (11.5, None), (None, "crash")]
    records = [{"metric": m, "status": s, "description": None} for m, s in runs]
    (log,) = read_logs(write([{"note": "hello"}, config, *records]))
    assert (log.metric, log.direction, shape(log)) == ("metric", "lower", [(None, False), (11.0, True), (None, False)])
    assert log.notes == ("1 row without a number in metric counted as failed (line 4: empty)",)


def test_pi_autoresearch_has_a_log_per_segment(write: Any) -> None:
    speed, score = read_logs(write(PI))
    assert (speed.metric, speed.direction, shape(speed)) == (
        "wall_s",
        "lower",
        [(11.0, True), (None, False), (11.5, False)],
    )
    assert (score.metric, score.direction, shape(score)) == ("accuracy", "higher", [(0.9, True), (None, False)])
    assert score.gain_of(score.entries[0]) == pytest.approx(0.125), "higher is better"


def test_a_torn_last_line_is_ignored_and_a_torn_line_before_it_is_named(write: Any) -> None:
    path = write(PI[:4])
    path.write_text(path.read_text() + '{"run": 5, "met')
    assert len(read_logs(path)[0].entries) == 2
    path.write_text(path.read_text() + "\n" + '{"run": 6, "metric": 10, "status": "keep"}\n')
    with pytest.raises(CorpusError, match="line 5 is not JSON"):
        read_logs(path)


def test_a_csv_file_with_a_mapping(write: Any) -> None:
    text = "lr,batch,loss,decision\n1e-3,8,2.0,keep\n2e-3,8,1.9,keep\n1e-3,8,2.02,discard\n4e-3,8,nan,crash\n"
    columns = {"value": "loss", "status": "decision", "config": "lr+batch"}
    (log,) = read_logs(write(text), columns=columns)
    assert shape(log) == [(1.9, True), (2.02, False), (None, False)]
    assert log.entries[0].config == "lr=2e-3 batch=8"
    (fixed,) = read_logs(write(text), columns=columns, loop="fixed")
    assert fixed.baseline == (2.0, 2.02), "every repeat of the first configuration is the baseline"
    assert shape(fixed) == [(1.9, True), (None, False)]


def test_without_a_status_a_keep_is_better_than_all_before_it(write: Any) -> None:
    (log,) = read_logs(write("acc\n0.8\n0.7\n0.9\n0.9\nbroken\n"), "csv", columns={"value": "acc"}, direction="higher")
    assert shape(log) == [(0.7, False), (0.9, True), (0.9, False), (None, False)]
    assert log.notes == ("1 row without a number in acc counted as failed (line 6: 'broken')",)


def test_an_optuna_journal_is_read_by_optuna(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = tmp_path / "study.log"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="night", direction="maximize")
    for value in (1.0, 0.5, 2.0):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        study.tell(trial, value)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    assert detect(path) == "optuna"
    (log,) = read_logs(path)
    assert (log.metric, log.direction, log.baseline) == ("night", "higher", (1.0,))
    assert shape(log) == [(0.5, False), (2.0, True), (None, False)]
    with pytest.raises(CorpusError, match="not an Optuna journal"):
        read_logs(path, study="another")


def test_the_origins_log_and_ours_are_compared_with_a_fixed_baseline() -> None:
    (origin,) = read_logs(ASSETS / "origin_trajectory.jsonl")
    assert (origin.format, origin.loop, sum(e.kept for e in origin.entries)) == ("origin", "fixed", 3)
    (ours,) = read_logs(EVIDENCE / "2026-11-26-wikitext2-sequential")
    assert (ours.format, ours.loop, sum(e.kept for e in ours.entries)) == ("autoresearch", "fixed", 20)
    assert ours.pair_sd is not None
    assert 0.0005 < ours.pair_sd < 0.003
    assert ours.pair_df > 20
    kept = next(e for e in ours.entries if e.kept)
    assert kept.pairs >= 4


@dataclass
class Accuracy(FakeTrial):
    """Measures an accuracy, of which more is better; with ``offset`` 0 it is below 0."""

    offset: float = 3.0

    def measure(self, cfg: Any, seed: int, *_: Any) -> Any:
        metric = Metric(name="accuracy", value=self.offset - fake_bpb(cfg, seed), direction="higher")
        return measurement(2.0).model_copy(update={"val_bpb": None, "val_nats_per_token": None, "metric": metric})


@pytest.mark.parametrize("offset", [3.0, 0.0])
def test_gains_of_our_run_are_above_zero_where_more_is_better(make_settings: Any, write: Any, offset: float) -> None:
    """Pairs of several seeds have losses, which of such a metric are below 0."""
    settings = make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=2)
    loop = fake_loop(settings, ScriptedProposer([BETTER, NO_BETTER]), Accuracy(offset=offset))
    loop.run()
    assert isinstance(loop.journal, MemoryJournal)
    lines = [seal(seq, payload).decode() for seq, payload in enumerate(loop.journal.payloads)]
    (log,) = read_logs(write("".join(lines)))
    better, worse = log.entries
    assert (better.kept, worse.kept, better.pairs > 1) == (True, False, True)
    assert log.gain_of(better) > 0 > log.gain_of(worse)


@pytest.mark.parametrize(
    ("text", "form", "what"),
    [
        ("", None, "not a log that can be audited"),
        ("just words\n", None, "not a log that can be audited"),
        ("commit\tval_bpb\tdescription\n1\t2\tx\n", "tsv", "no column status"),
        (TSV.replace("0.9", "0,9"), None, "line 5: val_bpb is '0,980000', whose comma may be a decimal point"),
        (TSV.replace("discard\twider", "maybe\twider"), None, "line 3: 'maybe' is not a status"),
        (TSV.replace("1.010000\t10.0\tdiscard", "1.010000\tdiscard"), None, "line 3: 'wider .mlp.' is not a status"),
        ("commit\tval_bpb\tmemory_gb\tstatus\tdescription\n", None, "no row below a header"),
        (TSV.splitlines()[0] + "\na\t0.0\t0\tcrash\tx\n", None, "no row has a measurement"),
        ("\n".join(TSV.splitlines()[:2]), None, "no trial after the first one"),
        ('{"type":"config"}\n{"run":1,"metric":1,"status":"perhaps"}\n', None, "line 2: 'perhaps' is not a status"),
        ('{"type":"config"}\n[1]\n', None, "line 2 is not a JSON object"),
        ('{"type":"config"}\n', None, "no segment has a baseline"),
        ("l,s\n1 s,keep\n900 ms,keep\n", {"value": "l"}, "l is in s at line 2 and in ms at line 3"),
        ("l,s\n91%,keep\n0.92,keep\n", {"value": "l"}, "l is in % at line 2 and in no unit at line 3"),
        ("l,s\n1,keep\n0.9\n", {"value": "l"}, "line 3 has 1 cells, the header has 2"),
    ],
)
def test_what_cannot_be_read_is_named(write: Any, text: str, form: str | dict[str, str] | None, what: str) -> None:
    columns = form if isinstance(form, dict) else None
    with pytest.raises(CorpusError, match=what):
        read_logs(write(text), None if isinstance(form, dict) else form, columns=columns)


def test_a_csv_file_needs_its_columns(write: Any) -> None:
    path = write("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="column of its metric"):
        read_logs(path)
    with pytest.raises(CorpusError, match="no column 'c'"):
        read_logs(path, columns={"value": "c"})


def test_a_missing_and_a_binary_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot read"):
        read_logs(tmp_path / "nowhere")
    path = tmp_path / "binary.tsv"
    path.write_bytes(b"commit\tval_bpb\tstatus\tdescription\n\xff\xfe\t1\tkeep\tx\n")
    with pytest.raises(CorpusError, match="is not UTF-8"):
        read_logs(path, "tsv")


@pytest.mark.parametrize("value", [None, True, "", "x", "nan", "inf", float("nan"), [], 10**400, "1e999"])
def test_what_is_not_a_measurement(value: Any) -> None:
    assert finite(value) is None


def test_the_best_so_far_skips_what_was_not_measured() -> None:
    assert list(best_so_far([None, 2.0, 3.0, 1.0, None, 1.0], "lower")) == [False, False, False, True, False, False]
    assert list(best_so_far([1.0, 2.0], "higher")) == [False, True]


def test_line_separators_of_unicode_do_not_end_a_row_and_a_semicolon_may_separate(write: Any) -> None:
    [log] = read_logs(write("l;s\n1.0;keep\n0.9;keep\n"), "csv", columns={"value": "l", "status": "s"})
    assert [e.value for e in log.entries] == [0.9]
    tsv = "commit\tval_bpb\tstatus\tdescription\na\t1.0\tkeep\tfirst\nb\t0.9\tkeep\tx\u2028y\x0cz\n"
    assert read_logs(write(tsv))[0].entries[0].name == "x y z"
    runs = [f'{{"metric": {n}, "status": "keep", "description": "\u2028"}}' for n in (1, 2)]
    assert read_logs(write("\n".join(runs) + "\n\n"), "pi")[0].entries[0].value == 2
    with pytest.raises(CorpusError, match="two columns are named 'l'"):
        read_logs(write("l,l\n1,2\n"), "csv", columns={"value": "l"})


def test_repeats_of_the_first_configuration_show_the_noise(write: Any) -> None:
    rows = "l,c\n1.0,a\n0.9,b\n1.02,a\n0.8,d\n"
    [log] = read_logs(write(rows), "csv", columns={"value": "l", "config": "c"})
    assert judge(log).noise.df == 1


def test_a_journal_that_is_missing_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a file"):
        read_logs(tmp_path / "no.log", "optuna")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "separator", "value"),
    [
        ("1,000.5", "\t", 1000.5),
        ("1,234,567", "\t", 1234567.0),
        ("0,93", ";", 0.93),
        ("1,234", ";", 1.234),
        ("0,93", "\t", None),
        ("1,234", "\t", None),
        ("91.5%", ",", 91.5),
        ("12.5 tok/s", ",", 12.5),
        ("1e5s", ",", 1e5),
        ("1e5", ",", 1e5),
        ("12h30", ",", None),
        ("0x10", ",", None),
        ("n/a", ",", None),
    ],
)
def test_a_value_as_it_is_written(write: Any, text: str, separator: str, value: float | None) -> None:
    rows = f"l{separator}s\n{text}{separator}\n{text}{separator}\n"
    columns = {"value": "l", "status": "s"}
    if value is None:
        with pytest.raises(CorpusError, match=r"no row has a measurement|may be a decimal point"):
            read_logs(write(rows), columns=columns)
    else:
        assert shape(read_logs(write(rows), columns=columns)[0]) == [(value, False)]
