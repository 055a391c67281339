"""NVIDIA GPUs by ``nvidia-smi``, where nvidia-ml-py is missing: one process that writes a line a second for each GPU.

It is read without waiting, whenever somebody looks. Its own timestamps say how far apart the lines are, however late
they are read. It writes to a pseudo-terminal, so that each line leaves it at once, whatever its library would do with a
pipe; it dies with us, because nobody reads there any more.
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
from autoresearch.energy.sample import Sample, together
from autoresearch.energy.sensors.nvml import slowdowns_of
from autoresearch.energy.sensors.sensor import Base

PROGRAM = "nvidia-smi"
FIELDS = ("timestamp", "uuid", "power.draw", "utilization.gpu", "memory.used", "temperature.gpu", "clocks.sm")
REASONS = "clocks_throttle_reasons.active"
EVERY_MS = 1000
ASK_DEADLINE_S = 20.0  # the driver may have to be woken first
END_S = 1.0  # for a process that was killed
SILENT_S = 15.0  # after which it hangs
AGAIN_S = 60.0  # before it is started once more
NUMBER = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
BITS = re.compile(r"0x[0-9a-fA-F]{1,16}")
MAX_LINE_BYTES = 1 << 12


class Endable(Protocol):
    """What of a process is needed to end it."""

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


@dataclass(frozen=True, slots=True)
class Line:
    """What one line says of one GPU. ``at`` is in seconds of nvidia-smi's own clock."""

    at: float
    uuid: str
    sample: Sample


class NvidiaSmi(Base):
    """The running process. Started again, after a while, where it has ended or fallen silent."""

    method: Method = "nvidia_smi"
    scope: Scope | None = "gpu"
    is_prompt = False

    def __init__(self, uuids: Sequence[str], fields: Sequence[str]) -> None:
        self._uuids = tuple(uuids)
        self._fields = tuple(fields)
        self._process: subprocess.Popen[bytes] | None = None
        self._fd = -1
        self._rest = b""
        self._tick: dict[str, Line] = {}
        self._started_at: float | None = None
        self._heard_at = 0.0
        self.about = f"{PROGRAM}, {len(self._uuids)} GPU{'s' * (len(self._uuids) != 1)} ({', '.join(self._uuids)})"

    def read(self, t: float) -> Sequence[Sample]:
        if self._process is None:
            if self._started_at is None or t - self._started_at >= AGAIN_S:
                self._start(t)
            return []
        data, ended = self._take()
        if data:
            self._heard_at = t
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MAX_LINE_BYTES:]
        samples = self._samples(lines, t)
        if ended or t - self._heard_at > SILENT_S:
            self.close()
        return samples

    def fileno(self) -> int:
        """Readable when there is something new."""
        return self._fd

    def close(self) -> None:
        if self._process is not None:
            end(self._process)
            os.close(self._fd)
        self._process, self._fd, self._rest, self._tick = None, -1, b"", {}

    def _start(self, t: float) -> None:
        self._started_at = self._heard_at = t
        with suppress(OSError, termios.error):  # no terminal left, no program: tried again later
            self._fd, self._process = self._at_a_terminal()

    def _at_a_terminal(self) -> tuple[int, subprocess.Popen[bytes]]:
        """The running process, and our end of the terminal that it writes to."""
        ours, theirs = os.openpty()
        try:
            tty.setraw(theirs)  # what is written arrives as it is, and in one piece
            os.set_blocking(ours, False)
            return ours, subprocess.Popen(
                [*query(self._fields), f"--id={','.join(self._uuids)}", f"--loop-ms={EVERY_MS}"],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C at the terminal is not for it
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def _take(self) -> tuple[bytes, bool]:
        """All that is there now, and whether the process has ended."""
        data = b""
        while True:
            try:
                more = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return data, False
            except OSError:  # EIO: nobody holds the other end of the terminal any more
                return data, True
            if not more:
                return data, True
            data += more

    def _samples(self, raw: Sequence[bytes], t: float) -> list[Sample]:
        """One for each tick in which every GPU has spoken. The newest line is of now, the others came before it."""
        lines = [line for text in raw if (line := parse_line(text.decode(errors="replace"), self._fields))]
        lines = [line for line in lines if line.uuid in self._uuids]
        newest = max((line.at for line in lines), default=0.0)
        samples: list[Sample] = []
        for line in lines:
            if line.uuid in self._tick:
                self._tick = {}  # a GPU has been left out: that tick is not whole
            self._tick[line.uuid] = line
            if len(self._tick) == len(self._uuids):
                samples.append(together([one.sample for one in self._tick.values()], t - max(0.0, newest - line.at)))
                self._tick = {}
        return samples


def open_nvidia_smi(uuids: Sequence[str] = ()) -> NvidiaSmi | str:
    """Asked once beforehand: whether it answers, which fields it knows, which GPUs there are. Else why not."""
    for fields in ((*FIELDS, REASONS), FIELDS):
        try:
            done = asked(query(fields))
        except FileNotFoundError:
            return f"{PROGRAM} is not installed"
        except (OSError, subprocess.TimeoutExpired) as e:
            return f"{PROGRAM}: {e}"
        if done.returncode == 0:
            break
    else:
        why = (done.stdout + done.stderr).strip().partition("\n")[0]
        return f"{PROGRAM} ended with exit code {done.returncode}: {ascii(why)[1:-1][:200]}"
    there = [line for raw in done.stdout.splitlines() if (line := parse_line(raw, fields))]
    chosen = list(uuids) or [line.uuid for line in there]
    if not uuids and len(there) != 1:
        return f"there are {len(there)} GPUs, and which of them trains is not known"
    powers = [line.sample.watts for line in there if line.uuid in chosen]
    if len(powers) != len(chosen):
        return f"{PROGRAM} does not know the GPU that trains"
    return "the GPU does not say its power" if None in powers else NvidiaSmi(chosen, fields)


def asked(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run``, which waits for ever for a process that hangs in the driver and cannot be killed.

    Raises ``OSError`` and ``TimeoutExpired``.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        out, err = process.communicate(timeout=ASK_DEADLINE_S)
    except BaseException:
        end(process)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def end(process: Endable) -> None:
    """Kill it, and wait a moment. One that hangs in the driver dies when the driver lets it; nobody waits for that."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=END_S)


def query(fields: Sequence[str]) -> list[str]:
    """The command that prints one line for each GPU."""
    return [PROGRAM, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def parse_line(text: str, fields: Sequence[str]) -> Line | None:
    """One line of the CSV; ``None`` for what is none."""
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != len(fields):
        return None
    said = dict(zip(fields, cells, strict=True))
    try:
        at = datetime.strptime(said["timestamp"], "%Y/%m/%d %H:%M:%S.%f").timestamp()
    except ValueError:
        return None
    mib = _number(said["memory.used"])
    bits = said.get(REASONS, "")
    sample = Sample(
        at,
        power_w=_number(said["power.draw"]),
        util_pct=_number(said["utilization.gpu"]),
        mem_used_bytes=None if mib is None else int(mib * 2**20),
        temp_c=_number(said["temperature.gpu"]),
        clock_mhz=_number(said["clocks.sm"]),
        slowdowns=slowdowns_of(int(bits, 16)) if BITS.fullmatch(bits) else None,
    )
    return Line(at, said["uuid"], sample)


def _number(cell: str) -> float | None:
    return float(cell) if NUMBER.fullmatch(cell) else None
