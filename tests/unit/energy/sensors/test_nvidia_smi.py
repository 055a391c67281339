"""A fake ``nvidia-smi`` on the PATH prints what the test writes into a pipe. The sensor reads it without blocking."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoresearch.energy.integrate import integrate
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.nvidia_smi import (
    MAX_SILENCE_S,
    RESTART_AFTER_S,
    NvidiaSmi,
    kill_and_wait,
    open_nvidia_smi,
)

PROGRAM = """#!/bin/sh
cd "$FAKE_SMI" || exit 9
case "$*" in
*throttle*) if [ -e old ]; then echo 'Field "..." is not a valid field to query.'; exit 2; fi;;
esac
case "$*" in
*--loop-ms*) echo "$*" >> started; exec cat lines;;
*) cat once; exit "$(cat code)";;
esac
"""
TIMEOUT_S = 60.0


def line(second: float, watts: object = "60.00", gpu: int = 0, reasons: str = "0x0000000000000000") -> str:
    stamp = f"2026/11/21 22:{int(second) // 60:02d}:{int(second) % 60:02d}.{round(1000 * (second % 1)):03d}"
    return f"{stamp}, GPU-{gpu}, {watts}, 97, 24300, 61, 1980, {reasons}"


class Box:
    """A machine with the fake nvidia-smi."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "lines")
        (folder / "nvidia-smi").write_text(PROGRAM)
        (folder / "nvidia-smi").chmod(0o755)
        self.set_answer(line(0))
        self.pipe = os.open(folder / "lines", os.O_RDWR)

    def set_answer(self, *lines: str, code: int = 0) -> None:
        """Set what it prints for one query."""
        (self.folder / "once").write_text("".join(f"{text}\n" for text in lines))
        (self.folder / "code").write_text(str(code))

    def write(self, *lines: str) -> None:
        """Let the running process print these lines."""
        os.write(self.pipe, "".join(f"{text}\n" for text in lines).encode())

    def started(self) -> int:
        file = self.folder / "started"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_SMI", str(tmp_path))
    box = Box(tmp_path)
    yield box
    os.close(box.pipe)


@pytest.fixture
def running(box: Box) -> Iterator[NvidiaSmi]:
    sensor = open_nvidia_smi()
    assert isinstance(sensor, NvidiaSmi)
    assert sensor.read(0.0) == [], "it has only been started"
    yield sensor
    sensor.close()


def read_samples(sensor: NvidiaSmi, t: float, wanted: int, more: Callable[[], None] = lambda: None) -> list[Sample]:
    """The samples that it returns at ``t``, once there are ``wanted``."""
    more()
    samples: list[Sample] = []
    while len(samples) < wanted:
        assert select.select([sensor.fileno()], [], [], TIMEOUT_S)[0], "nothing came"
        samples += sensor.read(t)
    return samples


class TestReading:
    def test_a_line_is_a_sample_of_now(self, box: Box, running: NvidiaSmi) -> None:
        (sample,) = read_samples(running, 5.0, 1, lambda: box.write(line(1)))
        assert sample == Sample(
            5.0,
            power_w=60.0,
            util_pct=97.0,
            mem_used_bytes=24300 << 20,
            temp_c=61.0,
            clock_mhz=1980.0,
            slowdowns=(),
        )
        assert (running.method, running.scope, running.is_polled) == ("nvidia_smi", "gpu", False)

    def test_lines_that_are_read_late_keep_their_distances(self, box: Box, running: NvidiaSmi) -> None:
        samples = read_samples(running, 20.0, 3, lambda: box.write(line(1), line(2), line(3.5, 90)))
        assert [s.t for s in samples] == [17.5, 18.5, 20.0]
        assert integrate(samples).energy_j == pytest.approx(60 + 75 * 1.5)

    def test_without_new_lines_it_returns_at_once(self, running: NvidiaSmi) -> None:
        assert running.read(1.0) == []
        assert running.read(2.0) == []

    @pytest.mark.parametrize("cell", ["[N/A]", "[Not Supported]", "[Unknown Error]", "", "nan", "-1"])
    def test_a_cell_that_is_not_available_is_not_known(self, box: Box, running: NvidiaSmi, cell: str) -> None:
        (sample,) = read_samples(running, 5.0, 1, lambda: box.write(line(1, cell)))
        assert (sample.power_w, sample.temp_c) == (None, 61.0)

    def test_what_slows_it_down(self, box: Box, running: NvidiaSmi) -> None:
        samples = read_samples(
            running, 5.0, 2, lambda: box.write(line(1, reasons="0x0000000000000048"), line(2, reasons="[N/A]"))
        )
        assert [s.slowdowns for s in samples] == [("hw_slowdown", "hw_thermal"), None]

    def test_half_a_line_waits_for_its_other_half(self, box: Box, running: NvidiaSmi) -> None:
        whole = line(1)
        os.write(box.pipe, whole[:30].encode())
        assert select.select([running.fileno()], [], [], TIMEOUT_S)[0]
        assert running.read(1.0) == []
        (sample,) = read_samples(running, 2.0, 1, lambda: box.write(whole[30:]))
        assert sample.power_w == 60.0

    def test_lines_that_are_not_readings_are_skipped(self, box: Box, running: NvidiaSmi) -> None:
        box.write("\xff\x00 nonsense", "Unable to determine the device handle", "x" * 5000, ",,,,,,,")
        (sample,) = read_samples(running, 2.0, 1, lambda: box.write(line(1)))
        assert sample.power_w == 60.0

    def test_two_gpus_make_one_sample(self, box: Box) -> None:
        box.set_answer(line(0, gpu=0), line(0, gpu=1), line(0, gpu=2))
        sensor = open_nvidia_smi(["GPU-0", "GPU-2"])
        assert isinstance(sensor, NvidiaSmi)
        sensor.read(0.0)
        lines = [line(1, 100, 0), line(1.01, 5, 1), line(1.02, 30, 2), line(2, 100, 0), line(3, 110, 0), line(3, 40, 2)]
        samples = read_samples(sensor, 9.0, 2, lambda: box.write(*lines))
        sensor.close()
        assert [s.power_w for s in samples] == [130.0, 150.0], "the interval in which one has no line is left out"


class TestFaults:
    def test_one_that_ends_is_started_again_after_a_while(self, box: Box, running: NvidiaSmi) -> None:
        read_samples(running, 1.0, 1, lambda: box.write(line(1)))
        pid = running._process.pid  # type: ignore[union-attr]
        os.kill(pid, 9)
        assert select.select([running.fileno()], [], [], TIMEOUT_S)[0]
        assert running.read(2.0) == []
        assert running.fileno() == -1
        assert running.read(RESTART_AFTER_S - 1) == []
        assert box.started() == 1, "not at once"
        assert running.read(RESTART_AFTER_S) == []
        (sample,) = read_samples(running, RESTART_AFTER_S + 1, 1, lambda: box.write(line(2)))
        assert sample.t == RESTART_AFTER_S + 1
        assert box.started() == 2

    def test_a_process_that_writes_nothing_is_ended(self, box: Box, running: NvidiaSmi) -> None:
        read_samples(running, 1.0, 1, lambda: box.write(line(1)))
        assert running.read(1.0 + MAX_SILENCE_S) == []
        assert running.fileno() != -1
        assert running.read(1.5 + MAX_SILENCE_S) == []
        assert running.fileno() == -1

    def test_a_program_that_was_uninstalled_meanwhile_is_not_an_error(self, box: Box) -> None:
        sensor = open_nvidia_smi()
        assert isinstance(sensor, NvidiaSmi)
        (box.folder / "nvidia-smi").unlink()
        assert sensor.read(0.0) == sensor.read(1.0) == []
        sensor.close()

    @pytest.mark.parametrize("missing", ["openpty", "setraw"])
    def test_without_a_free_pseudo_terminal_it_tries_again_later(
        self, box: Box, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        def none_left(*_: object) -> None:
            raise OSError("out of pty devices") if missing == "openpty" else termios.error(5, "Input/output error")

        sensor = open_nvidia_smi()
        assert isinstance(sensor, NvidiaSmi)
        with monkeypatch.context() as without:
            without.setattr(os if missing == "openpty" else tty, missing, none_left)
            assert sensor.read(0.0) == sensor.read(1.0) == []
        assert (sensor.fileno(), box.started()) == (-1, 0)
        sensor.read(RESTART_AFTER_S)
        read_samples(sensor, RESTART_AFTER_S + 1, 1, lambda: box.write(line(1)))
        sensor.close()

    def test_a_process_that_cannot_be_killed_is_left_behind(self) -> None:
        class InTheDriver:
            def kill(self) -> None:
                pass

            def wait(self, timeout: float | None = None) -> int:
                assert timeout is not None, "it waits without a limit"
                raise subprocess.TimeoutExpired("nvidia-smi", timeout)

        kill_and_wait(InTheDriver())


class TestOpening:
    def test_one_that_does_not_answer(self, box: Box) -> None:
        (box.folder / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
        refused = open_nvidia_smi(timeout_s=0.2)
        assert isinstance(refused, str)
        assert "timed out after 0.2 seconds" in refused

    def test_an_older_driver_without_throttle_reasons(self, box: Box) -> None:
        (box.folder / "old").touch()
        box.set_answer(line(0).rpartition(",")[0])
        sensor = open_nvidia_smi()
        assert isinstance(sensor, NvidiaSmi)
        sensor.read(0.0)
        (sample,) = read_samples(sensor, 1.0, 1, lambda: box.write(line(1).rpartition(",")[0]))
        sensor.close()
        assert (sample.power_w, sample.slowdowns) == (60.0, None)

    @pytest.mark.parametrize(
        ("answer", "code", "words"),
        [
            (
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
                9,
                "couldn't communicate",
            ),
            (line(0, "[N/A]"), 0, "does not report its power"),
            ("No devices were found", 0, "0 GPUs"),
            (f"{line(0)}\n{line(0, gpu=1)}", 0, "which of them trains"),
        ],
    )
    def test_the_reason_is_returned(self, box: Box, answer: str, code: int, words: str) -> None:
        box.set_answer(answer, code=code)
        refused = open_nvidia_smi()
        assert isinstance(refused, str)
        assert words in refused

    def test_a_gpu_that_it_does_not_list(self, box: Box) -> None:
        assert open_nvidia_smi(["GPU-5"]) == "nvidia-smi does not list the GPU that trains"

    def test_where_it_is_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert open_nvidia_smi() == "nvidia-smi is not installed"
