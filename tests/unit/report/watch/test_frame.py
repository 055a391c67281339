"""The frames of `autoresearch watch`, from fixed histories: their text, their size, and escaping."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from autoresearch.core.records import ProposalRecord, Proposed
from autoresearch.errors import JournalDamaged
from autoresearch.report import History, OpenTrial, Row, summarise
from autoresearch.report.sparkline import FAILED
from autoresearch.report.watch.eta import elapsed_s, estimate_left_s, format_clock, format_estimate, median_iteration_s
from autoresearch.report.watch.frame import render_frame
from autoresearch.report.watch.screen import unwrapped
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.storage.progress_file import ProgressSnapshot
from autoresearch.testing.fake_meter import fake_power

NOW = datetime(2026, 11, 21, 23, 41, 7, tzinfo=UTC)
HOSTILE = "\x1b[2J\x1b[1;1H\rAll is well\n\x9b2J\u202e\x07\x00[bold]:warning:"


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(n: int, knob: str, value: float, bpb: float, source: str = "tpe", **changes: object) -> Row:
    gain = (2.0 - bpb) / 2.0
    fields = {
        "stage": "evaluated",
        "rail": "passed",
        "reason": "judged",
        "why": "a hunch",
        "improvement_frac": gain,
        "decision": "keep" if gain >= 0.005 else "revert",
        "lowest_val_bpb": bpb,
        "trials": 1,
        "wall_s": 300.0,
    }
    return Row(iter=n, knob=knob, new_value=value, val_bpb=bpb, source=source, **{**fields, **changes})


BY = {"source": "tpe", "knob": "lr", "new_value": 0.001}
DEEP = {"source": "tpe", "knob": "n_layer", "new_value": 48}
ROWS = (
    row(1, "d_model", 192, 1.98),
    row(2, "lr", 0.001, 2.05),
    row(3, "batch_size", 16, 1.91),
    Row(iter=4, stage="eval_failed", cause="out_of_memory", reason="9.1 GiB", wall_s=9.0, **DEEP),
    Row(iter=5, stage="blocked", rail="R6_novelty", reason="known", wall_s=0.5, **BY),
    row(6, "beta2", 0.99, 1.999),
)
NIGHT = History(
    log_format="autoresearch",
    knobs=("lr", "n_layer", "d_model", "batch_size", "beta2"),
    baseline=Row(iter=0, stage="baseline", val_bpb=2.0, lowest_val_bpb=2.0, trials=1, wall_s=290.0),
    rows=ROWS,
    iters_requested=10,
    state="running",
    open_trial=OpenTrial(7, ago(100)),
    run_id="night-1",
    profile="tiny",
    proposer="hybrid",
)
PROPOSED = Proposed(
    ts=ago(101),
    iter=7,
    source="nim",
    proposal=ProposalRecord(knob="lr", new_value=0.0012, reason="a hunch"),
    diff="",
    candidate_cfg={},
    estimate=None,
    attempts=(),
    propose_wall_s=0.0,
)
PROGRESS = ProgressSnapshot(pid=7, iter=7, phase="train", fraction=0.5, tokens_per_s=18432.2)
SNAPSHOT = Snapshot(Path("runs/tiny"), NOW, NIGHT, summarise(NIGHT), PROPOSED, alive=True, progress=PROGRESS)


def of(history: History, **changes: object) -> Snapshot:
    fields = {"proposed": None, "progress": None, **changes}
    return replace(SNAPSHOT, history=history, summary=summarise(history), **fields)


def shown(snapshot: Snapshot, width: int = 80, height: int | None = 24) -> str:
    return "\n".join(line.plain.rstrip() for line in render_frame(snapshot, width, height))


def headline_of(snapshot: Snapshot) -> str:
    """The headline, and the lines between it and the numbers."""
    return shown(snapshot).partition("\n")[2].partition("\nbaseline  ")[0].strip()


def test_a_night_in_80_columns():
    assert shown(SNAPSHOT).splitlines() == [
        "runs/tiny  proposer hybrid                                              23:41:07",
        "Running: iteration 7 of 10, about 18 min left, until 23:59 UTC.",
        "",
        "now         lr = 0.0012, by nim, for 1 min 40 s",
        "            ━━━━━━━━━━━━━━━───────────────  50%  training, 18,432 tokens/s",
        "",
        "baseline    2.0000 bits per byte",
        "best        1.9100, 4.50% below: batch_size = 16, iteration 3",
        "verdicts    2 keeps, 2 reverts, 1 blocked (R6_novelty 1), 1 failed",
        "            (out_of_memory 1)",
        "",
        f"val_bpb     ▅█▁{FAILED}·▆",
        f"            1.9100 ▁ to 2.0500 █; the baseline, 2.0000, is ▆; {FAILED} failed; ·",
        "            blocked",
        "",
        "iter  change                  val_bpb  gain     verdict          time",
        "1     d_model = 192           1.9800   +1.00%   keep             5 min 00 s",
        "2     lr = 0.001              2.0500   -2.50%   revert           5 min 00 s",
        "3     batch_size = 16         1.9100   +4.50%   keep             5 min 00 s",
        "4     n_layer = 48            -        -        out_of_memory    9.00 s",
        "5     lr = 0.001              -        -        R6_novelty       0.50 s",
        "6     beta2 = 0.99            1.9990   +0.05%   revert           5 min 00 s",
        "",
        "q quits; the run continues",
    ]


def test_120_columns_have_room_for_the_reasons():
    lines = shown(SNAPSHOT, 120, 24).splitlines()
    assert lines[0].endswith("23:41:07")
    assert len(lines[0]) == 120
    (heading,) = (line for line in lines if line.startswith("iter"))
    assert heading.endswith("why")
    assert any(line.startswith("3 ") and line.endswith("a hunch") for line in lines)
    assert any(line.startswith("4 ") and line.endswith("9.1 GiB") for line in lines)


@pytest.mark.parametrize("width", [40, 60, 79, 80, 81, 120, 200])
def test_a_frame_fits(width):
    many = replace(NIGHT, rows=tuple(replace(ROWS[n % 6], iter=n + 1) for n in range(2000)), iters_requested=3000)
    snapshots = (SNAPSHOT, of(many), Snapshot(Path("x" * 300), NOW), replace(SNAPSHOT, watts=312.0))
    for height in (1, 2, 3, 5, 8, 11, 13, 16, 20, 24, 36, 50, 100):
        for snapshot in snapshots:
            lines = render_frame(snapshot, width, height)
            assert len(lines) <= height, height
            assert all(cell_len(line.plain) <= width for line in lines), height


def test_a_taller_terminal_shows_more_iterations_and_then_more_counts():
    many = replace(NIGHT, rows=tuple(replace(ROWS[0], iter=n + 1) for n in range(100)), iters_requested=200)
    low, high = shown(of(many), 80, 24), shown(of(many), 80, 50)
    assert low.count("d_model = 192") < high.count("d_model = 192")
    assert "knobs " in high
    assert "knobs " not in low
    assert high.splitlines()[-3].startswith("100 ")  # the newest at the bottom


def test_a_frame_that_is_printed_has_no_footer_and_no_empty_lines_at_its_end():
    lines = shown(SNAPSHOT, 80, None).splitlines()
    assert lines[-1].startswith("6 ")


def test_the_activity_always_takes_two_lines():
    validating = replace(SNAPSHOT, progress=replace(PROGRESS, phase="validate", fraction=1.0))
    assert "━" * 30 + " 100%  validating, 18,432 tokens/s" in shown(validating)
    no_progress = shown(replace(SNAPSHOT, progress=None)).splitlines()
    assert no_progress[3] == "now         lr = 0.0012, by nim, for 1 min 40 s"
    assert no_progress[4] == " " * 12 + "─" * 30
    between = shown(of(replace(NIGHT, open_trial=None))).splitlines()
    assert between[3] == "now         waiting for the next proposal"
    assert between[4] == no_progress[4]
    assert between[6] == no_progress[6]


def test_the_baseline_is_measured_first():
    first = replace(NIGHT, baseline=None, rows=(), open_trial=OpenTrial(0, ago(3)))
    text = shown(of(first, progress=replace(PROGRESS, iter=0)))
    assert "Running: the baseline." in text
    assert "now         the baseline, for 3 s\n" in text
    assert "baseline    not measured yet" in text
    assert "best" not in text
    assert "the baseline is next" in shown(of(replace(first, open_trial=None)))


def test_before_the_first_keep():
    none = shown(of(replace(NIGHT, rows=())))
    assert "best        no candidate is measured yet" in none
    reverts = shown(of(replace(NIGHT, rows=ROWS[1:2])))
    assert "best        no keep yet; the lowest measurement is 2.0000, the baseline's own" in reverts


def test_no_run_has_started_here():
    text = shown(Snapshot(Path("runs/x"), NOW, alive=False))
    assert "No run has started here yet. Waiting for the first record." in text
    assert "now" not in text


def test_a_daemon_that_starts_shows_what_it_prepares():
    starting = Snapshot(Path("runs/x"), NOW, alive=True, starting=True)
    assert headline_of(starting).startswith("A daemon is starting in this run directory.")
    assert "now         corpus, device and trial server" in shown(starting)
    preparing = replace(starting, progress=ProgressSnapshot(7, None, "tokenizing", 0.4, None))
    assert "now         tokenizing\n            ━━━━━━━━━━━━──────────────────  40%" in shown(preparing)
    again = of(replace(NIGHT, state="complete", open_trial=None), starting=True)
    assert headline_of(again).startswith("A daemon is starting in this run directory.")


def test_a_daemon_that_died_is_interrupted():
    dead = headline_of(of(NIGHT, alive=False))
    assert dead.startswith("Interrupted: 6 of 10 iterations closed, 25 min 00 s of work. No process is\nrunning it;")
    assert "now" not in dead
    assert headline_of(of(replace(NIGHT, state="paused"), alive=False)).startswith("Interrupted: ")
    assert headline_of(of(NIGHT, alive=None)).startswith("Running: iteration 7 of 10")  # a bare file: unknown


def test_a_pause_and_one_that_is_coming():
    coming = headline_of(replace(SNAPSHOT, pause_requested=True))
    assert coming.startswith("Running: iteration 7 of 10. pause.flag exists: the run pauses after this trial.")
    paused = replace(NIGHT, state="paused", stop_reason="pause.flag is there", open_trial=None)
    text = " ".join(headline_of(of(paused, pause_requested=True)).split())
    assert text.startswith("Paused (pause.flag is there): 6 of 10 iterations closed")
    assert text.endswith(f"`autoresearch resume {Path('runs/tiny').absolute()}` continues it.")


def test_the_end_stays_on_the_screen():
    stopped = replace(NIGHT, state="stopped", stop_reason="it is 06:30", open_trial=None)
    assert headline_of(of(stopped, alive=False)) == "Stopped after 6 of 10 iterations: it is 06:30."
    complete = replace(NIGHT, state="complete", open_trial=None, iters_requested=6)
    assert headline_of(of(complete, alive=False)).startswith("Complete: 6 of 6 iterations closed")


def test_watts_are_shown_where_they_are_known():
    assert "power" not in shown(SNAPSHOT)
    assert "power       312 W while the last trial trained\n" in shown(of(NIGHT, watts=312.4))
    power = {"gpu": {"train": fake_power(3.6e6)}, "system": {"train": fake_power(7.2e6, scope="system")}}
    text = " ".join(shown(of(replace(NIGHT, power=power), watts=312.4)).split())
    assert "312 W while the last trial trained, 1.0000 kWh of the GPU's board so far" in text
    assert "2.0000 kWh of the whole system so far" in text
    assert "power       1.0000 kWh of the GPU's board so far" in shown(of(replace(NIGHT, power=power)))


def test_a_problem_is_shown_with_its_hint():
    snapshot = Snapshot(Path("x"), NOW, alive=True, problem=JournalDamaged("x: line 3 is damaged", hint="look"))
    assert headline_of(snapshot).splitlines()[0] == "x: line 3 is damaged (try: look)"


def hostile_snapshots() -> list[Snapshot]:
    bad = {"reason": HOSTILE, "why": HOSTILE, "source": HOSTILE}
    rows = (
        *ROWS,
        row(7, HOSTILE, HOSTILE, 1.5, **{k: v for k, v in bad.items() if k != "source"}, source=HOSTILE),
        Row(iter=8, stage="eval_failed", knob="lr", new_value=HOSTILE, cause=HOSTILE, **bad),
        Row(iter=9, stage="blocked", rail=HOSTILE, knob=HOSTILE, new_value=1, **bad),
    )
    night = replace(NIGHT, rows=rows, proposer=HOSTILE, knobs=(HOSTILE,), open_trial=OpenTrial(10, HOSTILE))
    proposal = ProposalRecord(knob=HOSTILE, new_value=HOSTILE, reason=HOSTILE)
    proposed = PROPOSED.model_copy(update={"proposal": proposal, "source": HOSTILE})
    progress = ProgressSnapshot(7, 10, HOSTILE, 0.5, 1.0)
    path = Path(HOSTILE.replace("\x00", ""))
    return [
        replace(of(night, proposed=proposed, progress=progress), path=path),
        of(replace(night, state="stopped", stop_reason=HOSTILE)),
        of(replace(night, state="paused", stop_reason=HOSTILE)),
        replace(SNAPSHOT, problem=JournalDamaged(HOSTILE, hint=HOSTILE)),
        Snapshot(path, NOW, alive=True, starting=True, progress=ProgressSnapshot(7, None, HOSTILE, 0.5, None)),
    ]


@pytest.mark.parametrize("snapshot", hostile_snapshots(), ids=range(5))
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 50), (200, None)])
def test_text_of_a_model_cannot_control_the_terminal(snapshot, width, height):
    lines = render_frame(snapshot, width, height)
    assert all(line.plain.isprintable() for line in lines)
    assert all(cell_len(line.plain) <= width for line in lines)
    assert "[bold]" in shown(snapshot, width, height) or "\\x1b[2J" in shown(snapshot, width, height)


def printed(snapshot: Snapshot, **how: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, markup=False, highlight=False, emoji=False, **how)
    console.print(unwrapped(render_frame(snapshot, 80, 24)))
    return file.getvalue()


def test_colour_carries_no_information_of_its_own():
    colourful, plain = (
        printed(SNAPSHOT, color_system="standard"),
        printed(SNAPSHOT, no_color=True, color_system="standard"),
    )
    assert "\x1b[32m" in colourful  # a keep
    assert "\x1b[3" not in plain
    assert shown(SNAPSHOT).split() == "".join(part.partition("m")[2] for part in f"m{plain}".split("\x1b[")).split()


# The remaining time.


def test_the_pace_is_the_median_of_what_was_closed():
    assert median_iteration_s(NIGHT) == 300.0
    assert estimate_left_s(NIGHT, NOW) == 4 * 300.0 - 100.0
    assert estimate_left_s(replace(NIGHT, open_trial=None), NOW) == 1200.0
    assert (
        estimate_left_s(replace(NIGHT, open_trial=OpenTrial(7, ago(10_000))), NOW) == 900.0
    )  # late, not earlier than late
    assert estimate_left_s(replace(NIGHT, rows=(), open_trial=None), NOW) == 2900.0  # the baseline's
    assert estimate_left_s(replace(NIGHT, iters_requested=3), NOW) == 0.0


def test_without_known_times_there_is_no_estimate():
    assert estimate_left_s(replace(NIGHT, rows=(), baseline=None), NOW) is None
    assert estimate_left_s(replace(NIGHT, iters_requested=None), NOW) is None
    assert estimate_left_s(replace(NIGHT, rows=(replace(ROWS[0], wall_s=None),), baseline=None), NOW) is None


@pytest.mark.parametrize("ts", [None, "", HOSTILE, "2026-11-21T23:00:00", ago(-5), "9" * 400])
def test_an_invalid_time_has_no_age(ts):
    assert elapsed_s(ts, NOW) is None


def test_an_estimate_is_in_whole_minutes():
    assert format_estimate(20) == "less than a minute"
    assert format_estimate(50) == "about 1 min"
    assert format_estimate(3500) == "about 58 min"
    assert format_estimate(3590) == "about 60 min"
    assert format_estimate(7800) == "about 2 h 10 min"


def test_the_time_of_day_names_the_day_where_it_must():
    assert format_clock(NOW, 600) == "23:51 UTC"
    assert format_clock(NOW, 3600) == "00:41 UTC"
    assert format_clock(NOW, 86400) == "Sun 22 Nov 23:41 UTC"
    assert format_clock(NOW, 1e15) == "an unknown time"
