"""The whole examination: complete whatever is wrong, with the exit code of a run, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.config.settings import Settings
from autoresearch.daemon import service
from autoresearch.daemon.doctor.check import ok
from autoresearch.storage.exchange_log import ExchangeLog
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG, TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_exchange import fake_exchange
from tests.fake_llm import FakeLlm, Wire, says, sends, silence
from tests.unit.daemon.doctor.conftest import Examined, as_json, flags_of

ALWAYS = ["configuration", "run directory", "run", "disk", "clock", "corpus", "trainer"]
MEASURED = ["memory", "yardstick"]
LAST = ["energy", "proposer", "LLM server"]

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Everything below, with its content and when it was last changed."""
    return {
        str(p.relative_to(directory)): (p.read_bytes() if p.is_file() else b"", p.lstat().st_mtime_ns)
        for p in sorted(directory.rglob("*"))
    }


class TestComplete:
    def test_every_check_is_made_and_reported_in_order(self, examined: Examined, healthy) -> None:
        assert list(examined(healthy())) == [*ALWAYS, *MEASURED, *LAST]

    def test_without_a_prepared_corpus_there_is_no_yardstick_to_compare(self, examined: Examined, healthy) -> None:
        assert list(examined(healthy(corpus="stdlib"))) == [*ALWAYS, "memory", *LAST]

    def test_one_failure_hides_no_other(self, examined: Examined, make_settings, finished: Path, monkeypatch) -> None:
        """A night is to be mended in one go."""
        log = finished / TRAJECTORY
        log.write_bytes(log.read_bytes().replace(b'"seq":3,', b'"seq":9,'))
        settings = make_settings({"llm.rounds": 9, "limits.memory_gib": 0.01}, corpus="nowhere", proposer="nim")
        lock = DirectoryLock(finished / LOCK)
        lock.acquire({"pid": 4711})
        try:
            checks = examined(settings)
        finally:
            lock.release()
        failed = {name: check.exit_code for name, check in checks.items() if check.state == "fail"}
        assert failed == {"run directory": 75, "run": 65, "corpus": 66, "memory": 70, "LLM server": 78}

    def test_a_policy_that_does_not_fit_leaves_nothing_to_examine(self, examined: Examined, make_settings) -> None:
        (check,) = examined(make_settings({"baseline.lr": 7.0})).values()
        assert (check.name, check.state, check.exit_code) == ("configuration", "fail", 78)


# Each spoils something and answers the flags of both commands.


def nothing(run_dir: Path) -> list[str]:
    return []


def locked(run_dir: Path) -> list[str]:
    run_dir.mkdir(exist_ok=True)
    lock = DirectoryLock(run_dir / LOCK)
    lock.acquire({"pid": 4711})
    HELD.append(lock)
    return []


def a_file_in_its_place(run_dir: Path) -> list[str]:
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.write_text("mine")
    return []


def a_name_too_long(run_dir: Path) -> list[str]:
    return ["--dir", str(run_dir.parent / ("x" * 300))]


def damaged(run_dir: Path) -> list[str]:
    log = run_dir / TRAJECTORY
    log.write_bytes(log.read_bytes().replace(b'"seq":3,', b'"seq":9,'))
    return ["--iters", "9"]


def something_else(run_dir: Path) -> list[str]:
    (run_dir / TRAJECTORY).write_text('{"iter": 1}\n{"iter": 2}\n')
    return []


def a_directory(run_dir: Path) -> list[str]:
    (run_dir / TRAJECTORY).unlink()
    (run_dir / TRAJECTORY).mkdir()
    return []


def exchanges_cut(run_dir: Path) -> list[str]:
    log = ExchangeLog(run_dir)
    log.append(fake_exchange(1))
    log.append(fake_exchange(2))
    log.close()
    log.live.write_bytes(log.live.read_bytes().split(b"\n", 1)[1])
    return ["--proposer", "nim", "--base-url", "http://127.0.0.1:9/v1", "--iters", "9"]


HELD: list[DirectoryLock] = []


class TestExitCode:
    """What `autoresearch run` with the same flags would end with, seen beforehand."""

    @pytest.fixture(autouse=True)
    def let_go(self):
        yield
        while HELD:
            HELD.pop().release()

    @pytest.fixture
    def both(self, cli: Cli, no_torch: None, small_corpus: Path, run_dir: Path) -> Callable[..., tuple[int, int, str]]:
        """The codes of both commands, and what the doctor reported as wrong."""

        def call(*more: str) -> tuple[int, int, str]:
            flags = flags_of(run_dir, small_corpus, *more)
            code, out, err = cli("doctor", *flags)
            assert err == ""
            assert "Traceback" not in out
            return code, cli("run", *flags)[0], out

        return call

    @pytest.mark.parametrize(
        ("spoil", "code", "says"),
        [
            (locked, 75, "pid 4711"),
            (a_file_in_its_place, 74, "cannot write in"),
            (a_name_too_long, 74, "File name too long"),
            (damaged, 65, "line 4 "),
            (something_else, 65, "line 1 "),
            (a_directory, 74, "Is a directory"),
            (lambda _dir: ["--iters", "9", "--set", "baseline.lr=1e-3"], 76, "baseline_cfg.lr: 0.002 then"),
            (lambda _dir: ["--set", "baseline.lr=7"], 78, "baseline"),
            (lambda _dir: ["--iters", "9", "--corpus", "nowhere"], 66, "nowhere"),
            (lambda _dir: ["--dir", "new", "--proposer", "replay"], 78, "nothing to replay"),
            (lambda _dir: ["--dir", "new", "--replay-from", "nowhere"], 74, "nowhere"),
        ],
    )
    def test_of_what_ends_it_before_the_trainer_starts(self, both, finished: Path, spoil, code: int, says: str) -> None:
        doctors, runs, said = both(*spoil(finished))
        assert (doctors, runs) == (code, code)
        assert says in said
        assert "The run would fail: " in said

    @pytest.mark.parametrize(
        ("spoil", "code"),
        [
            (nothing, 0),
            (exchanges_cut, 65),
            (lambda _dir: ["--iters", "9", "--proposer", "auto", "--set", "llm.rounds=4"], 78),
            (lambda _dir: ["--iters", "9", "--proposer", "nim", "--set", "llm.rounds=4"], 78),
            (lambda _dir: ["--iters", "5", "--proposer", "nim", "--base-url", "http://127.0.0.1:9/v1"], 0),
        ],
    )
    def test_of_what_ends_it_after(self, both, finished: Path, monkeypatch, spoil, code: int) -> None:
        monkeypatch.setattr(service, "real_backend", fake_backend)
        monkeypatch.setattr(
            "autoresearch.daemon.doctor.training.yardstick", lambda *_: ok("yardstick", "the run's own")
        )
        assert both(*spoil(finished))[:2] == (code, code)

    @pytest.mark.parametrize("proposer", ["auto", "hybrid", "nim"])
    def test_of_an_unusable_key(self, both, monkeypatch, proposer: str) -> None:
        monkeypatch.setattr(service, "real_backend", fake_backend)
        monkeypatch.setenv("AUTORESEARCH_LLM_KEY", "geheim\nund mehr")
        doctors, runs, said = both("--proposer", proposer)
        assert (doctors, runs) == (78, 78)
        assert "geheim" not in said

    @pytest.mark.parametrize(("package", "proposer"), [("optuna", "tpe"), ("openai", "nim"), ("openai", "hybrid")])
    def test_of_a_missing_package(self, both, monkeypatch, package: str, proposer: str) -> None:
        monkeypatch.setattr(service, "real_backend", fake_backend)
        for name in [n for n in sys.modules if n.startswith(("autoresearch.llm.", "autoresearch.proposers.tpe"))]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
        doctors, runs, said = both("--proposer", proposer)
        assert (doctors, runs) == (69, 69)
        assert package in said

    def test_of_a_setting_that_is_none(self, cli: Cli) -> None:
        assert cli("doctor", "--iters", "0")[0] == cli("run", "--iters", "0")[0] == 78
        code, out, err = cli("doctor", "--json", "--base-url", "http://me:geheim@host/v1")
        assert (code, out) == (78, "")
        assert "geheim" not in err

    def test_of_a_baseline_that_does_not_fit(self, cli: Cli, no_torch: None, run_dir: Path, small_corpus: Path) -> None:
        code, out, _ = cli("doctor", *flags_of(run_dir, small_corpus, "--set", "limits.memory_gib=0.01"))
        assert code == 70
        assert "FAIL  memory" in out


class TestNothingIsLeftBehind:
    @pytest.fixture
    def leaves_all_as_it_was(self, examined: Examined, tmp_path: Path) -> Callable[[Settings], None]:
        def poll(settings: Settings) -> None:
            before, temporary = tree(tmp_path), set(os.listdir("/tmp"))
            examined(settings)
            assert tree(tmp_path) == before
            left = {n for n in set(os.listdir("/tmp")) - temporary if (Path("/tmp") / n / "trial-server.log").exists()}
            assert left == set()

        return poll

    def test_where_no_run_is(self, leaves_all_as_it_was, healthy) -> None:
        leaves_all_as_it_was(healthy())
        leaves_all_as_it_was(healthy(corpus="stdlib"))

    def test_on_a_finished_run_and_on_one_to_go_on_with(self, leaves_all_as_it_was, healthy, finished: Path) -> None:
        leaves_all_as_it_was(healthy(iters=3))
        leaves_all_as_it_was(healthy(iters=9))

    def test_while_a_run_is_going_on(self, leaves_all_as_it_was, healthy, finished: Path) -> None:
        """Its last line is half written, and its lock is its own."""
        with (finished / TRAJECTORY).open("ab") as file:
            file.write(b'{"seq":99,"sta')
        lock = DirectoryLock(finished / LOCK)
        lock.acquire({"pid": 4711})
        try:
            leaves_all_as_it_was(healthy(iters=9))
        finally:
            lock.release()

    def test_with_a_broken_trajectory_and_a_flag(self, leaves_all_as_it_was, healthy, finished: Path) -> None:
        damaged(finished)
        (finished / PAUSE_FLAG).touch()
        leaves_all_as_it_was(healthy(iters=9))

    def test_after_talking_to_an_llm(self, leaves_all_as_it_was, healthy, finished: Path) -> None:
        log = ExchangeLog(finished)
        log.append(fake_exchange(1))
        log.close()
        with FakeLlm(says("hm")) as server:
            leaves_all_as_it_was(healthy({"llm.base_url": server.base_url}, iters=9, proposer="nim"))
            assert len(server.chats) == 3

    def test_no_descriptor_either(self, examined: Examined, healthy) -> None:
        with FakeLlm(says("hm")) as server:
            settings = healthy({"llm.base_url": server.base_url}, proposer="nim")
            examined(settings)
            before = len(os.listdir("/proc/self/fd"))
            examined(settings)
            assert len(os.listdir("/proc/self/fd")) == before


class TestScreen:
    def test_one_line_for_each_check_and_a_verdict(self, cli: Cli, no_torch: None, run_dir, small_corpus) -> None:
        code, out, err = cli("doctor", *flags_of(run_dir, small_corpus))
        assert (code, err) == (0, "")
        lines = out.splitlines()
        shown = [line[6:].split("  ")[0].strip() for line in lines if line[:4] in ("ok  ", "WARN", "FAIL")]
        assert shown == [*ALWAYS, *MEASURED, *LAST]
        assert lines[-1].startswith("The run would work")
        assert "\x1b" not in out, "colours are for terminals"

    def test_what_to_try_stands_under_what_is_wrong(self, cli: Cli, no_torch: None, run_dir: Path) -> None:
        _, out, _ = cli("doctor", *flags_of(run_dir, "nowhere"))
        lines = out.splitlines()
        wrong = next(n for n, line in enumerate(lines) if line.startswith("FAIL  corpus"))
        assert lines[wrong + 1].startswith(" " * 20 + " try: make one with `autoresearch prepare ")
        assert lines[-1].startswith("The run would fail: 1 of ")

    def test_a_servers_words_cannot_write_on_the_terminal(self, cli: Cli, no_torch, run_dir, small_corpus) -> None:
        with FakeLlm(says("hm"), on_models=sends(b"evil \x1b[2J words", status=403)) as server:
            out = cli("doctor", *flags_of(run_dir, small_corpus, "--proposer", "nim", "--base-url", server.base_url))[1]
        assert "evil" in out
        assert "words" in out
        assert "\x1b" not in out


class TestJson:
    def test_it_is_the_same_in_json(self, cli: Cli, no_torch: None, run_dir: Path, small_corpus: Path) -> None:
        code, out, err = cli("doctor", "--json", *flags_of(run_dir, small_corpus))
        shown = as_json(out)
        assert (code, err) == (0, "")
        assert list(shown) == [*ALWAYS, *MEASURED, *LAST]
        assert shown["run"] == {
            "name": "run",
            "state": "ok",
            "found": "new, 3 iterations",
            "hint": "",
            "facts": {"next_iter": 1},
        }
        assert shown["trainer"]["state"] == "ok"

    def test_also_where_it_fails(self, cli: Cli, no_torch: None, finished: Path) -> None:
        damaged(finished)
        code, out, err = cli("doctor", "--json", *flags_of(finished, "nowhere"))
        shown = as_json(out)
        assert (code, err) == (65, "")
        assert [name for name, check in shown.items() if check["state"] == "fail"] == ["run", "corpus"]
        assert all(check["hint"] for check in shown.values() if check["state"] != "ok")


IMPATIENT = """if True:
    import sys
    from autoresearch.cli import main
    from autoresearch.daemon.doctor import training
    from autoresearch.daemon.doctor.check import ok
    from tests.unit.daemon.doctor.conftest import HERE

    training.device = lambda _settings: (ok("trainer", "a fake"), HERE)
    sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_while_the_llm_is_waited_for_ends_it_without_noise(run_dir: Path, small_corpus: Path) -> None:
    asked = threading.Event()

    def never(wire: Wire) -> None:
        asked.set()
        silence()(wire)

    with FakeLlm(never) as server:
        flags = flags_of(run_dir, small_corpus, "--proposer", "nim", "--base-url", server.base_url)
        command = [sys.executable, "-W", "error", "-X", "dev", "-c", IMPATIENT, "doctor", *flags]
        root = str(Path(__file__).parents[4])
        environment = {**os.environ, "PYTHONPATH": root}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as doctor:
            try:
                assert asked.wait(120)
                doctor.send_signal(signal.SIGINT)
                out, err = doctor.communicate(timeout=120)
            finally:
                doctor.kill()
    assert doctor.returncode == 130
    said = err.decode().splitlines()  # asyncio, in this mode, adds where a busy machine made it late
    assert [line for line in said if not line.startswith("Executing <")] == ["autoresearch: interrupted"]
    assert b"LLM server" not in out
    assert not run_dir.exists()
