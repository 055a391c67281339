"""What a person sees of a running loop: a line per iteration everywhere, a bar on a terminal, and nothing that acts."""

from __future__ import annotations

import io
import json

import pytest

from autoresearch.core.llm_calls import LLM_SOURCE, Classification, LlmCall
from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.ports import Progress
from autoresearch.core.records import (
    Evaluated,
    Event,
    LoopComplete,
    Paused,
    ProposalRecord,
    Proposed,
    Resumed,
    Started,
    Stopped,
    TrialEnded,
    TrialSuspended,
)
from autoresearch.daemon.observers.terminal import Terminal, iteration_line
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer

TS = "2026-11-20T22:00:00Z"
HOSTILE = "\x1b[2J\x1b[1;1H\rAll is well\n\x9b2J\u202e\x07\x00"


class Screen(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests decides what is a terminal."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def proposal(knob: str, value: object, reason: str = "a hunch") -> str:
    return json.dumps({"knob": knob, "new_value": value, "reason": reason})


@pytest.fixture
def night(make_settings):
    """Runs a loop with one closer of each kind, watched by a terminal on ``stream``."""

    def run(stream: io.StringIO) -> list[str]:
        settings = make_settings({"baseline.lr": 3e-4, "limits.max_attempts": 2}, iters=5)
        script = [
            proposal("lr", 3e-3),
            proposal("beta1", 0.95),
            proposal("n_layer", 6),
            proposal("heads", 3),
            proposal("lr", 99),
            ConnectionError("no answer"),
        ]
        fail = {"n_layer": 6}.items()
        trial = FakeTrial(
            fail=lambda cfg: Failure(cause=Cause.OUT_OF_MEMORY, detail="too deep") if fail <= cfg.items() else None
        )
        loop = fake_loop(settings, ScriptedProposer(script), trial)
        loop.observer = Terminal(settings.iters, stream)
        assert loop.run() == "complete"
        return stream.getvalue().splitlines()

    return run


def line(event: Event, iters: int = 9) -> str:
    """What a reader of a file sees of one event."""
    stream = io.StringIO()
    Terminal(iters, stream).recorded(event)
    return stream.getvalue()


def test_there_is_a_line_per_iteration_for_each_way_to_close_one(night):
    baseline, kept, reverted, failed, blocked, silent, end = night(io.StringIO())
    assert baseline.split()[0] == "baseline"
    assert kept.split()[:4] == ["1/5", "lr", "=", "0.003"]
    assert kept.split()[-3] == "keep"
    assert reverted.split()[:4] == ["2/5", "beta1", "=", "0.95"]
    assert reverted.split()[-3] == "revert"
    assert failed.split()[:4] == ["3/5", "n_layer", "=", "6"]
    assert failed.endswith("failed: out_of_memory (too deep)")
    assert blocked.strip().startswith("4/5")
    assert "blocked after 2 attempts by R3_range: lr = 99 is outside" in blocked
    assert silent.strip().startswith("5/5")
    assert silent.endswith("the proposer failed: ConnectionError: no answer")
    assert end == "complete"


def test_a_line_tells_the_measurement_and_the_gain(night):
    kept = night(io.StringIO())[1]
    bpb, sign = kept.split()[4:6]
    assert float(bpb) == pytest.approx(2.0, abs=0.01)
    assert float(sign) == pytest.approx(2.4, abs=0.3)


def test_without_a_terminal_nothing_but_plain_lines_is_written(night):
    stream = io.StringIO()
    night(stream)
    assert all(char.isprintable() or char == "\n" for char in stream.getvalue())


def test_without_a_terminal_there_is_no_bar():
    stream = io.StringIO()
    terminal = Terminal(9, stream)
    terminal.preparing("tokenizing", 0.5)
    terminal.progressed(Progress(iter=1, phase="train", fraction=0.5, step=10, tokens_per_s=1e4))
    assert stream.getvalue() == ""


@pytest.mark.parametrize("void", [True, False])
def test_a_trial_that_is_repeated_for_its_marks_is_reported(void):
    stream = io.StringIO()
    outcome = Failure(cause=Cause.CRASHED, detail="")
    marks = ("contended", "slow")
    Terminal(9, stream).recorded(TrialEnded(ts=TS, trial=4, iter=2, seed=1, outcome=outcome, marks=marks, void=void))
    told = "trial 4 ran contended and slow: it is repeated\n"
    assert stream.getvalue() == (told if void else "")


def test_on_a_terminal_a_bar_shows_what_is_tried_and_goes_when_the_line_comes():
    screen = Screen()
    terminal = Terminal(9, screen)
    terminal.recorded(proposed("lr", 3e-3))
    terminal.progressed(Progress(iter=3, phase="train", fraction=0.42, step=10, tokens_per_s=12345.6))
    drawn = screen.getvalue()
    assert "3/9" in drawn
    assert "lr = 0.003" in drawn
    assert "train" in drawn
    assert "42%" in drawn
    assert "12,346 tokens/s" in drawn
    terminal.notify("that was it")
    rest = screen.getvalue()[len(drawn) :]
    assert "\x1b[2K" in rest  # the bar's line is wiped
    assert rest.endswith("that was it\n")


def test_the_baselines_bar_names_no_change():
    screen = Screen()
    terminal = Terminal(9, screen)
    terminal.progressed(Progress(iter=0, phase="train", fraction=0.0, step=0, tokens_per_s=None))
    assert "baseline" in screen.getvalue()
    assert "=" not in screen.getvalue()


def test_other_events_are_reported_on_one_line():
    started = {"ts": TS, "pid": 1, "host": "desk", "boot_id": "b", "autoresearch_version": "1", "iters_requested": 9}
    assert line(Started(proposer="tpe", **started)) == "proposer tpe, 9 iterations\n"
    repaired = line(Started(proposer="tpe", torn_bytes=17, **started))
    assert "17 torn bytes at the end of the trajectory were cut off and saved beside it" in repaired
    where = {"completed_iters": 1, "requested_iters": 9}
    assert line(Paused(ts=TS, reason="pause.flag is there", **where)).startswith("paused: pause.flag is there; ")
    aside = {"step": 40, "train_wall_s": 1.0, "val_wall_s": 0.0}
    for suspended, said in (
        (Suspended(resumes_at=40, **aside), "the running trial is suspended after step 40\n"),
        (
            Suspended(resumes_at=None, problem="no space left", **aside),
            "the running trial is ended in step 40 and later starts over: no space left\n",
        ),
        (
            Suspended(resumes_at=20, problem="no space left", **aside),
            "the running trial is ended in step 40 and later continues from step 20: no space left\n",
        ),
    ):
        assert line(TrialSuspended(ts=TS, trial=1, iter=1, seed=0, suspended=suspended)) == said
    assert line(Resumed(ts=TS, paused_s=61.4)) == "resumed after 61 s\n"
    assert line(Stopped(ts=TS, reason="SIGTERM", **where)) == "stopped: SIGTERM\n"
    counts = dict.fromkeys(("accept_count", "revert_count", "blocked_count", "failed_count"), 0)
    done = LoopComplete(ts=TS, iters_requested=9, **counts, baseline_val_bpb=2.0, best_val_bpb=None, best_iter=None)
    assert line(done) == "complete\n"


def proposed(knob: str, value: object) -> Proposed:
    return Proposed(
        ts=TS,
        iter=3,
        source="tpe",
        proposal=ProposalRecord(knob=knob, new_value=value, reason=HOSTILE),
        diff="",
        candidate_cfg={},
        estimate=None,
        attempts=(),
        propose_wall_s=0.0,
    )


def test_nothing_that_a_model_wrote_reaches_a_terminal_as_it_was_written(make_settings):
    """Hostile knobs, values, reasons and child processes; on a terminal, where the codes would act."""
    script = [
        proposal("lr", 3e-3, HOSTILE),
        proposal(HOSTILE, 1),
        proposal("precision", HOSTILE),
        HOSTILE,
        RuntimeError(HOSTILE),
        proposal("beta1", 0.95),
    ]
    settings = make_settings({"limits.max_attempts": 1}, iters=6)
    fails = FakeTrial(fail=lambda cfg: Failure(cause=Cause.ERROR, detail=HOSTILE) if cfg["beta1"] == 0.95 else None)
    loop = fake_loop(settings, ScriptedProposer(script), fails)
    screen = Screen()
    loop.observer = Terminal(settings.iters, screen)
    loop.run()
    lines = screen.getvalue().split("\n")
    assert len(lines) == 1 + 6 + 1 + 1  # baseline, iterations, "complete", and what follows the last new line
    assert all(text.isprintable() for text in lines)
    assert r"failed: error (\x1b[2J\x1b[1;1H\rAll is well\n\x9b2J\u202e\x07\x00)" in lines[6]


def test_even_a_record_that_no_rail_has_seen_cannot_act_on_a_terminal(night, make_settings):
    settings = make_settings(iters=1)
    loop = fake_loop(settings, ScriptedProposer([proposal("lr", 3e-3)]))
    loop.run()
    record = next(e for e in loop.observer.events if isinstance(e, Evaluated))
    hostile = ProposalRecord(knob=f"lr{HOSTILE}", new_value=HOSTILE, reason=HOSTILE)
    screen = Screen()
    terminal = Terminal(9, screen)
    terminal.recorded(record.model_copy(update={"proposal": hostile}))
    terminal.notify(HOSTILE)
    assert all(char.isprintable() or char == "\n" for char in screen.getvalue())
    assert screen.getvalue().count("\n") == 2

    screen = Screen()
    terminal = Terminal(9, screen)
    terminal.recorded(proposed("lr", HOSTILE))
    terminal.progressed(Progress(iter=3, phase="train", fraction=0.5, step=1, tokens_per_s=None))
    for act in ("\x1b[2J", "\x1b[1;1H", "\x9b", "\u202e", "\x07", "\x00"):
        assert act not in screen.getvalue()


def test_a_keep_that_computed_more_than_the_baseline_says_so(make_settings):
    loop = fake_loop(make_settings({"baseline.lr": 3e-4}, iters=1), ScriptedProposer([proposal("lr", 3e-3)]))
    loop.run()
    record = next(e for e in loop.observer.events if isinstance(e, Evaluated))
    for flops, decision, suffix in (
        (2.0, "keep", "  trained on 2.00 x the baseline's FLOPs\n"),
        (2.0, "revert", " s\n"),
        (1.0, "keep", " s\n"),
    ):
        metrics = record.eval_metrics
        metrics = metrics.model_copy(update={"train_flops": int(flops * metrics.train_flops)})
        screen = Screen()
        terminal = Terminal(9, screen)
        terminal.opened(loop.trajectory)
        terminal.recorded(record.model_copy(update={"eval_metrics": metrics, "decision": decision}))
        assert screen.getvalue().endswith(suffix)


def test_markup_is_text():
    stream = io.StringIO()
    Terminal(9, stream).notify("[bold red]no[/] :warning: [link=http://x]y[/link]")
    assert stream.getvalue() == "[bold red]no[/] :warning: [link=http://x]y[/link]\n"


def test_a_long_line_stays_one_line():
    stream = io.StringIO()
    Terminal(9, stream).notify("word " * 100)
    assert stream.getvalue().count("\n") == 1


class Gone(io.StringIO):
    """A terminal that was closed, or a pipe without a reader."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), ValueError("closed file")], ids=repr
)
def test_a_run_continues_without_a_reader(error, make_settings):
    settings = make_settings(iters=3)
    script = ScriptedProposer([proposal("lr", 3e-3), proposal("beta1", 0.95), proposal("beta2", 0.99)])
    loop = fake_loop(settings, script, FakeTrial(takes_s=0.002))
    loop.observer = Terminal(settings.iters, Gone(error))
    assert loop.run() == "complete"
    assert len(loop.trajectory.iterations) == 3


def test_a_letter_that_the_stream_cannot_hold_stops_nothing():
    raw = io.BytesIO()
    terminal = Terminal(9, io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    terminal.notify("caf\u00e9")
    terminal.notify("tea")
    assert raw.getvalue().endswith(b"tea\n")


def test_where_an_llm_was_called_the_line_names_the_source(make_settings):
    call = LlmCall(
        exchange=1,
        round=1,
        classification=Classification.TIMEOUT,
        model=None,
        prompt_tokens=None,
        completion_tokens=None,
        latency_s=60.0,
    )
    loop = fake_loop(make_settings(iters=1), ScriptedProposer([proposal("lr", 0.003)], name="tpe"))
    loop.run()
    record = loop.trajectory.iterations[0]
    fell_back = record.model_copy(update={"llm_calls": (call,)})
    assert iteration_line(fell_back, "1/1").endswith(" s  tpe (LLM: timeout)")
    assert iteration_line(fell_back.model_copy(update={"source": LLM_SOURCE}), "1/1").endswith(" s  nim")
    assert iteration_line(record, "1/1").endswith(" s")


def test_a_stop_is_reported_once_when_it_is_requested():
    stream = io.StringIO()
    terminal = Terminal(9, stream)
    for stopping in ("", "SIGTERM", "SIGTERM"):
        terminal.heartbeat(stopping)
    assert stream.getvalue() == "SIGTERM: stopping; a running trial is finished first\n"


def test_a_stop_with_drain_max_s_says_that_the_trial_is_suspended():
    for reason, said in (("SIGTERM", "is suspended if it has not ended in 60 s"), ("it is 07:00", "is finished first")):
        stream = io.StringIO()
        Terminal(9, stream, drain_max_s=60.0).heartbeat(reason)
        assert said in stream.getvalue()


def test_after_a_restart_a_line_says_what_continues(make_settings):
    settings = make_settings(iters=2)
    script = [proposal("lr", 3e-3), proposal("beta1", 0.95)]
    loop = fake_loop(settings, ScriptedProposer(script), FakeTrial())
    loop.run()
    stream = io.StringIO()
    terminal = Terminal(9, stream)
    started = {"ts": TS, "pid": 1, "host": "desk", "boot_id": "b", "autoresearch_version": "1", "iters_requested": 9}
    again = Started(proposer="tpe", **started)
    terminal.opened(loop.trajectory)
    loop.trajectory.starts = 1
    loop.trajectory.add(again)
    terminal.recorded(again)
    assert stream.getvalue().endswith("continues: 2 of 9 iterations closed; iteration 3 is next\n")
    loop.trajectory.add(proposed("lr", 4e-3))
    terminal.recorded(again)
    last = stream.getvalue().splitlines()[-1]
    assert last.endswith("iteration 3, lr = 0.004, is open: its trial starts over")


def test_a_wait_for_disk_space_is_one_line_however_long_it_takes():
    stream = io.StringIO()
    terminal = Terminal(9, stream)
    waits = Paused(ts=TS, reason="waits for disk space", waits_for="disk_space", completed_iters=0, requested_iters=9)
    terminal.recorded(waits)
    for free in (3, 2, 1):
        terminal.waiting(f"waits for disk space: {free} MiB free on /x, needs 64 MiB")
    terminal.waiting("")
    terminal.recorded(Resumed(ts=TS, paused_s=61.4))
    first, second = stream.getvalue().splitlines()
    assert first == "waits for disk space: 3 MiB free on /x, needs 64 MiB; it continues by itself"
    assert second == "resumed after 61 s"


def test_a_trial_that_met_a_full_disk_is_said_to_be_repeated():
    full = Failure(cause=Cause.DISK_FULL, detail="OSError: No space left on device")
    assert line(TrialEnded(ts=TS, trial=4, iter=1, seed=0, outcome=full, void=True)) == (
        "trial 4 is void: OSError: No space left on device; it is repeated once\n"
    )
