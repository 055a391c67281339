"""NVIDIA GPUs by ``nvidia-smi``, where nvidia-ml-py is missing: one process that writes a line a second for each GPU.

Its output is read without blocking at each poll. The lines' own timestamps give their distances, however late they are
read. The process writes to a pseudo-terminal, because to a pipe its C library would write in blocks; when this process
ends, the terminal closes and the program ends too.
"""

from __future__ import annotations

import os
import re
import subprocess
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample, combine_devices
from autoresearch.energy.sensors.nvml import slowdown_names
from autoresearch.energy.sensors.sensor import SensorBase

PROGRAM = "nvidia-smi"
FIELDS = ("timestamp", "uuid", "power.draw", "utilization.gpu", "memory.used", "temperature.gpu", "clocks.sm")
THROTTLE_FIELD = "clocks_throttle_reasons.active"
INTERVAL_MS = 1000
QUERY_TIMEOUT_S = 20.0  # the driver may have to load first
KILL_WAIT_S = 1.0  # for a process that was sent SIGKILL
MAX_SILENCE_S = 15.0  # seconds without output after which it counts as hung
RESTART_AFTER_S = 60.0  # from one start to the next
NUMBER = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
HEX_MASK = re.compile(r"0x[0-9a-fA-F]{1,16}")
MAX_LINE_BYTES = 1 << 12


class Killable(Protocol):
    """The part of ``subprocess.Popen`` that ending a process needs."""

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


@dataclass(frozen=True, slots=True)
class GpuLine:
    """One parsed line, of one GPU. ``at`` is in seconds of nvidia-smi's own clock."""

    at: float
    uuid: str
    sample: Sample


class NvidiaSmi(SensorBase):
    """The running process. It is restarted ``RESTART_AFTER_S`` after its last start if it ends or writes nothing."""

    method: Method = "nvidia_smi"
    scope: Scope | None = "gpu"
    is_polled = False

    def __init__(self, uuids: Sequence[str], fields: Sequence[str]) -> None:
        self._uuids = tuple(uuids)
        self._fields = tuple(fields)
        self._process: subprocess.Popen[bytes] | None = None
        self._fd = -1
        self._partial_line = b""
        self._interval_lines: dict[str, GpuLine] = {}
        self._start_tried_at: float | None = None
        self._last_data_at = 0.0
        self.about = f"{PROGRAM}, {len(self._uuids)} GPU{'s' * (len(self._uuids) != 1)} ({', '.join(self._uuids)})"

    def read(self, t: float) -> Sequence[Sample]:
        if self._process is None:
            if self._start_tried_at is None or t - self._start_tried_at >= RESTART_AFTER_S:
                self._start(t)
            return []
        data, ended = self._read_available()
        if data:
            self._last_data_at = t
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        self._partial_line = self._partial_line[-MAX_LINE_BYTES:]
        samples = self._samples(lines, t)
        if ended or t - self._last_data_at > MAX_SILENCE_S:
            self.close()
        return samples

    def fileno(self) -> int:
        """A file descriptor that is readable when there is new output; -1 while no process runs."""
        return self._fd

    def close(self) -> None:
        if self._process is not None:
            kill_and_wait(self._process)
            os.close(self._fd)
        self._process, self._fd, self._partial_line, self._interval_lines = None, -1, b"", {}

    def _start(self, t: float) -> None:
        self._start_tried_at = self._last_data_at = t
        with suppress(OSError, termios.error):  # no free pseudo-terminal, or no program: retried later
            self._fd, self._process = self._spawn_on_pty()

    def _spawn_on_pty(self) -> tuple[int, subprocess.Popen[bytes]]:
        """Our end of a new pseudo-terminal, and the running process that writes to the other end."""
        our_fd, child_fd = os.openpty()
        try:
            tty.setraw(child_fd)  # lines arrive as they are written
            os.set_blocking(our_fd, False)
            return our_fd, subprocess.Popen(
                [*query_command(self._fields), f"--id={','.join(self._uuids)}", f"--loop-ms={INTERVAL_MS}"],
                stdin=subprocess.DEVNULL,
                stdout=child_fd,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C at the user's terminal must not end it
            )
        except BaseException:
            os.close(our_fd)
            raise
        finally:
            os.close(child_fd)

    def _read_available(self) -> tuple[bytes, bool]:
        """All output that is available now, and whether the process has ended."""
        data = b""
        while True:
            try:
                chunk = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return data, False
            except OSError:  # EIO: no process holds the other end of the terminal
                return data, True
            if not chunk:
                return data, True
            data += chunk

    def _samples(self, raw_lines: Sequence[bytes], t: float) -> list[Sample]:
        """One sample for each interval in which every GPU has a line. The newest line is at ``t``, others before it."""
        texts = [raw.decode(errors="replace") for raw in raw_lines]
        lines = [line for text in texts if (line := parse_line(text, self._fields))]
        lines = [line for line in lines if line.uuid in self._uuids]
        newest = max((line.at for line in lines), default=0.0)
        samples: list[Sample] = []
        for line in lines:
            if line.uuid in self._interval_lines:
                self._interval_lines = {}  # a GPU has no line in that interval: it is dropped
            self._interval_lines[line.uuid] = line
            if len(self._interval_lines) == len(self._uuids):
                at = t - max(0.0, newest - line.at)
                samples.append(combine_devices([one.sample for one in self._interval_lines.values()], at))
                self._interval_lines = {}
        return samples


def open_nvidia_smi(uuids: Sequence[str] = (), timeout_s: float = QUERY_TIMEOUT_S) -> NvidiaSmi | str:
    """The sensor for the GPUs of these UUIDs, or for the only one of the machine; else the reason why not.

    One query beforehand finds out whether the program answers, which fields it supports and which GPUs there are.
    """
    for fields in ((*FIELDS, THROTTLE_FIELD), FIELDS):
        try:
            result = run_with_timeout(query_command(fields), timeout_s)
        except FileNotFoundError:
            return f"{PROGRAM} is not installed"
        except (OSError, subprocess.TimeoutExpired) as e:
            return f"{PROGRAM}: {e}"
        if result.returncode == 0:
            break
    else:
        why = (result.stdout + result.stderr).strip().partition("\n")[0]
        return f"{PROGRAM} ended with exit code {result.returncode}: {ascii(why)[1:-1][:200]}"
    gpus = [line for text in result.stdout.splitlines() if (line := parse_line(text, fields))]
    selected = list(uuids) or [line.uuid for line in gpus]
    if not uuids and len(gpus) != 1:
        return f"there are {len(gpus)} GPUs, and which of them trains is not known"
    powers = [line.sample.watts for line in gpus if line.uuid in selected]
    if len(powers) != len(selected):
        return f"{PROGRAM} does not list the GPU that trains"
    return "the GPU does not report its power" if None in powers else NvidiaSmi(selected, fields)


def run_with_timeout(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run to the end and return the output, or kill it after ``timeout_s``. Raises ``OSError`` and ``TimeoutExpired``.

    Not ``subprocess.run``, which waits without end for a process that hangs in the driver and cannot be killed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        out, err = process.communicate(timeout=timeout_s)
    except BaseException:
        kill_and_wait(process)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def kill_and_wait(process: Killable) -> None:
    """Kill the process and wait ``KILL_WAIT_S``. One that hangs in the driver ends when the driver releases it."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=KILL_WAIT_S)


def query_command(fields: Sequence[str]) -> list[str]:
    """The command that prints one line for each GPU."""
    return [PROGRAM, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def parse_line(text: str, fields: Sequence[str]) -> GpuLine | None:
    """One line of the CSV; ``None`` where it is not one."""
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != len(fields):
        return None
    values = dict(zip(fields, cells, strict=True))
    try:
        at = datetime.strptime(values["timestamp"], "%Y/%m/%d %H:%M:%S.%f").timestamp()
    except ValueError:
        return None
    mib = _number(values["memory.used"])
    mask = values.get(THROTTLE_FIELD, "")
    sample = Sample(
        at,
        power_w=_number(values["power.draw"]),
        util_pct=_number(values["utilization.gpu"]),
        mem_used_bytes=None if mib is None else int(mib * 2**20),
        temp_c=_number(values["temperature.gpu"]),
        clock_mhz=_number(values["clocks.sm"]),
        slowdowns=slowdown_names(int(mask, 16)) if HEX_MASK.fullmatch(mask) else None,
    )
    return GpuLine(at, values["uuid"], sample)


def _number(cell: str) -> float | None:
    return float(cell) if NUMBER.fullmatch(cell) else None
