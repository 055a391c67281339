"""What the trial server does before and after a fork."""

from __future__ import annotations

import errno
import json
import mmap
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoresearch.core.speeds import Timing
from autoresearch.data.span import Span
from autoresearch.training.server import data_limit_of, has_cuda_context, serve
from autoresearch.trials.requests import (
    CompileTimesRequest,
    MatmulPeakRequest,
    ProbeRequest,
    SpeedRequest,
    TrialRequest,
)
from autoresearch.trials.spec import Budget, TrialSpec


def test_an_open_device_of_cuda_is_no_context(tmp_path: Path) -> None:
    """NVML, which counts the GPUs, opens it too. Where no driver is loaded, none can be initialised."""
    (tmp_path / "nvidia-uvm").touch()
    with (tmp_path / "nvidia-uvm").open():
        assert not has_cuda_context()


@pytest.mark.parametrize(("answer", "initialised"), [(0, True), (3, False)], ids=["has-a-context", "not-initialised"])
def test_a_loaded_driver_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int, initialised: bool
) -> None:
    """3 is CUDA_ERROR_NOT_INITIALIZED. The kernel's map of this process shows the file as a loaded driver."""
    driver = SimpleNamespace(cuCtxGetCurrent=lambda _context: answer)
    monkeypatch.setattr("ctypes.CDLL", lambda name: driver if name == "libcuda.so.1" else None)
    (tmp_path / "libcuda.so.1").write_bytes(b"ELF")
    with (tmp_path / "libcuda.so.1").open() as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert has_cuda_context() is initialised


def test_the_data_of_a_measurement_is_limited_and_that_of_a_look_is_not() -> None:
    spec = TrialSpec(
        cfg={}, seed=0, corpus="", trainer="torch", device="cpu", threads=1, memory_limit_bytes=5,
        budget=Budget(kind="steps", size=1), span=Span(start=0, tokens=1, bytes=1),
    )  # fmt: skip
    assert data_limit_of(TrialRequest(spec=spec, data_limit_bytes=7)) == 7
    assert data_limit_of(SpeedRequest(spec=spec, timing=Timing(), data_limit_bytes=7)) == 7
    assert data_limit_of(MatmulPeakRequest(spec=spec, precision="fp32", data_limit_bytes=7)) == 7
    assert data_limit_of(MatmulPeakRequest(spec=spec, precision="fp32")) is None
    assert data_limit_of(ProbeRequest(device="cpu", trainer="torch")) is None
    assert data_limit_of(CompileTimesRequest(spec=spec)) is None


def test_a_fork_that_fails_is_reported_and_the_pipes_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("os.fork", refuse)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    with ours, theirs:
        serve(theirs, ProbeRequest(device="cpu", trainer="torch"), *fds)
        assert json.loads(ours.recv(1000)) == {"errno": errno.EAGAIN}
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
