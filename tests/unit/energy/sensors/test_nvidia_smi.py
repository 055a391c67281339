"""A fake ``nvidia-smi`` on the PATH that says what the test writes into a pipe: read as it comes, never waited for."""

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
from autoresearch.energy.sensors import nvidia_smi
from autoresearch.energy.sensors.nvidia_smi import AGAIN_S, SILENT_S, NvidiaSmi, end, open_nvidia_smi

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
PATIENCE_S = 60.0


def line(second: float, watts: object = "60.00", gpu: int = 0, reasons: str = "0x0000000000000000") -> str:
    stamp = f"2026/11/21 22:{int(second) // 60:02d}:{int(second) % 60:02d}.{round(1000 * (second % 1)):03d}"
    return f"{stamp}, GPU-{gpu}, {watts}, 97, 24300, 61, 1980, {reasons}"


class Box:
    """A machine whose nvidia-smi is this."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "lines")
        (folder / "nvidia-smi").write_text(PROGRAM)
        (folder / "nvidia-smi").chmod(0o755)
        self.answers(line(0))
        self.pipe = os.open(folder / "lines", os.O_RDWR)

    def answers(self, *lines: str, code: int = 0) -> None:
        """What it prints when it is asked once."""
        (self.folder / "once").write_text("".join(f"{text}\n" for text in lines))
        (self.folder / "code").write_text(str(code))

    def says(self, *lines: str) -> None:
        """What it prints while it runs."""
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
    source = open_nvidia_smi()
    assert isinstance(source, NvidiaSmi)
    assert source.read(0.0) == [], "it has only been started"
    yield source
    source.close()


def heard(source: NvidiaSmi, t: float, wanted: int, more: Callable[[], None] = lambda: None) -> list[Sample]:
    """What it says at ``t``, once it has said that much."""
    more()
    samples: list[Sample] = []
    while len(samples) < wanted:
        assert select.select([source.fileno()], [], [], PATIENCE_S)[0], "nothing came"
        samples += source.read(t)
    return samples


class TestReading:
    def test_a_line_is_a_sample_of_now(self, box: Box, running: NvidiaSmi) -> None:
        (sample,) = heard(running, 5.0, 1, lambda: box.says(line(1)))
        assert sample == Sample(
            5.0,
            power_w=60.0,
            util_pct=97.0,
            mem_used_bytes=24300 << 20,
            temp_c=61.0,
            clock_mhz=1980.0,
            slowdowns=(),
        )
        assert (running.method, running.scope, running.is_prompt) == ("nvidia_smi", "gpu", False)

    def test_lines_that_were_left_lying_keep_their_distances(self, box: Box, running: NvidiaSmi) -> None:
        samples = heard(running, 20.0, 3, lambda: box.says(line(1), line(2), line(3.5, 90)))
        assert [s.t for s in samples] == [17.5, 18.5, 20.0]
        assert integrate(samples).energy_j == pytest.approx(60 + 75 * 1.5)

    def test_nothing_new_is_nothing_and_no_time_is_lost_waiting(self, running: NvidiaSmi) -> None:
        assert running.read(1.0) == []
        assert running.read(2.0) == []

    @pytest.mark.parametrize("cell", ["[N/A]", "[Not Supported]", "[Unknown Error]", "", "nan", "-1"])
    def test_a_cell_that_is_not_available_is_not_known(self, box: Box, running: NvidiaSmi, cell: str) -> None:
        (sample,) = heard(running, 5.0, 1, lambda: box.says(line(1, cell)))
        assert (sample.power_w, sample.temp_c) == (None, 61.0)

    def test_what_slows_it_down(self, box: Box, running: NvidiaSmi) -> None:
        samples = heard(
            running, 5.0, 2, lambda: box.says(line(1, reasons="0x0000000000000048"), line(2, reasons="[N/A]"))
        )
        assert [s.slowdowns for s in samples] == [("hw_slowdown", "hw_thermal"), None]

    def test_half_a_line_waits_for_its_other_half(self, box: Box, running: NvidiaSmi) -> None:
        whole = line(1)
        os.write(box.pipe, whole[:30].encode())
        assert select.select([running.fileno()], [], [], PATIENCE_S)[0]
        assert running.read(1.0) == []
        (sample,) = heard(running, 2.0, 1, lambda: box.says(whole[30:]))
        assert sample.power_w == 60.0

    def test_noise_is_passed_over(self, box: Box, running: NvidiaSmi) -> None:
        box.says("\xff\x00 nonsense", "Unable to determine the device handle", "x" * 5000, ",,,,,,,")
        (sample,) = heard(running, 2.0, 1, lambda: box.says(line(1)))
        assert sample.power_w == 60.0

    def test_two_gpus_speak_for_one_tick(self, box: Box) -> None:
        box.answers(line(0, gpu=0), line(0, gpu=1), line(0, gpu=2))
        source = open_nvidia_smi(["GPU-0", "GPU-2"])
        assert isinstance(source, NvidiaSmi)
        source.read(0.0)
        said = [line(1, 100, 0), line(1.01, 5, 1), line(1.02, 30, 2), line(2, 100, 0), line(3, 110, 0), line(3, 40, 2)]
        samples = heard(source, 9.0, 2, lambda: box.says(*said))
        source.close()
        assert [s.power_w for s in samples] == [130.0, 150.0], "the tick in which one was silent is left out"


class TestFaults:
    def test_one_that_ends_is_started_again_after_a_while(self, box: Box, running: NvidiaSmi) -> None:
        heard(running, 1.0, 1, lambda: box.says(line(1)))
        pid = running._process.pid  # type: ignore[union-attr]
        os.kill(pid, 9)
        assert select.select([running.fileno()], [], [], PATIENCE_S)[0]
        assert running.read(2.0) == []
        assert running.fileno() == -1
        assert running.read(AGAIN_S - 1) == []
        assert box.started() == 1, "not at once"
        assert running.read(AGAIN_S) == []
        (sample,) = heard(running, AGAIN_S + 1, 1, lambda: box.says(line(2)))
        assert sample.t == AGAIN_S + 1
        assert box.started() == 2

    def test_one_that_falls_silent_is_ended(self, box: Box, running: NvidiaSmi) -> None:
        heard(running, 1.0, 1, lambda: box.says(line(1)))
        assert running.read(1.0 + SILENT_S) == []
        assert running.fileno() != -1
        assert running.read(1.5 + SILENT_S) == []
        assert running.fileno() == -1

    def test_one_that_has_been_uninstalled_meanwhile_is_no_error(self, box: Box) -> None:
        source = open_nvidia_smi()
        assert isinstance(source, NvidiaSmi)
        (box.folder / "nvidia-smi").unlink()
        assert source.read(0.0) == source.read(1.0) == []
        source.close()

    @pytest.mark.parametrize("missing", ["openpty", "setraw"])
    def test_without_a_terminal_to_spare_it_says_nothing_and_tries_again(
        self, box: Box, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        def none_left(*_: object) -> None:
            raise OSError("out of pty devices") if missing == "openpty" else termios.error(5, "Input/output error")

        source = open_nvidia_smi()
        assert isinstance(source, NvidiaSmi)
        with monkeypatch.context() as without:
            without.setattr(os if missing == "openpty" else tty, missing, none_left)
            assert source.read(0.0) == source.read(1.0) == []
        assert (source.fileno(), box.started()) == (-1, 0)
        source.read(AGAIN_S)
        heard(source, AGAIN_S + 1, 1, lambda: box.says(line(1)))
        source.close()

    def test_one_that_cannot_be_killed_is_left_behind(self) -> None:
        class InTheDriver:
            def kill(self) -> None:
                pass

            def wait(self, timeout: float | None = None) -> int:
                assert timeout is not None, "it waits for ever"
                raise subprocess.TimeoutExpired("nvidia-smi", timeout)

        end(InTheDriver())


class TestOpening:
    def test_one_that_does_not_answer(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvidia_smi, "ASK_DEADLINE_S", 0.2)
        (box.folder / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
        said = open_nvidia_smi()
        assert isinstance(said, str)
        assert "timed out after 0.2 seconds" in said

    def test_an_older_one_that_does_not_know_why_it_is_slow(self, box: Box) -> None:
        (box.folder / "old").touch()
        box.answers(line(0).rpartition(",")[0])
        source = open_nvidia_smi()
        assert isinstance(source, NvidiaSmi)
        source.read(0.0)
        (sample,) = heard(source, 1.0, 1, lambda: box.says(line(1).rpartition(",")[0]))
        source.close()
        assert (sample.power_w, sample.slowdowns) == (60.0, None)

    @pytest.mark.parametrize(
        ("answer", "code", "words"),
        [
            (
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
                9,
                "couldn't communicate",
            ),
            (line(0, "[N/A]"), 0, "does not say its power"),
            ("No devices were found", 0, "0 GPUs"),
            (f"{line(0)}\n{line(0, gpu=1)}", 0, "which of them trains"),
        ],
    )
    def test_it_says_why_not(self, box: Box, answer: str, code: int, words: str) -> None:
        box.answers(answer, code=code)
        said = open_nvidia_smi()
        assert isinstance(said, str)
        assert words in said

    def test_another_gpu_than_it_knows(self, box: Box) -> None:
        assert open_nvidia_smi(["GPU-5"]) == "nvidia-smi does not know the GPU that trains"

    def test_where_there_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert open_nvidia_smi() == "nvidia-smi is not installed"
