"""Processes encode as one process does, in order; they end with their parent, and a lost one is reported."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psutil
import pytest

from autoresearch.data import encoder_pool as module
from autoresearch.data import tokenizers_library
from autoresearch.data.encoder_pool import Batch, EncoderPool, LocalEncoder, encoder_pool, usable_processes
from autoresearch.data.encoder_process import EncoderSettings
from autoresearch.data.encoding import PieceEncoder
from autoresearch.data.overlap import Comparison
from autoresearch.data.tokenizer import ByteTokenizer, Tokenizer, train_bpe
from autoresearch.errors import CorpusError

TEXT = 2 * b"one of the words, another word and the number of this one: "
BATCHES: list[Batch] = [([(i % 3 == 0, TEXT + str(i).encode()), (True, b"x" * i)], i % 2 == 0) for i in range(40)]


@contextmanager
def pool(
    tokenizer: Tokenizer, count: int, notify: Callable[[str], None] = lambda _: None
) -> Iterator[EncoderPool | LocalEncoder]:
    comparison = Comparison([(True, TEXT + b"7")], len(TEXT))
    with tempfile.TemporaryFile() as windows:
        comparison.share_finder(windows)
        settings = EncoderSettings(tokenizer.to_json(), "uint16", windows.fileno())
        with encoder_pool(PieceEncoder(tokenizer, "uint16", comparison.finder), settings, count, notify) as encoder:
            yield encoder


def children() -> list[psutil.Process]:
    alive = (p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE)
    return [p for p in alive if "encoder_process" in " ".join(p.cmdline())]


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_any_number_of_processes_gives_the_same_in_the_same_order(kind: str) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")
    tokenizer: Tokenizer = train_bpe([TEXT.decode()] * 9, 280) if kind == "bpe" else ByteTokenizer()
    results = []
    for count in (1, 3):
        with pool(tokenizer, count) as encoder:
            assert isinstance(encoder, LocalEncoder if count == 1 else EncoderPool)
            results.append([(ids, c and (c.found.tolist(), c.first, c.last)) for ids, c in encoder.encode(BATCHES)])
            assert len(children()) == (3 if count == 3 else 0)
    assert results[0] == results[1]
    assert any(compared and compared[0] for _, compared in results[0])
    assert children() == []


def test_a_process_that_is_killed_is_reported_and_the_others_end() -> None:
    with pool(ByteTokenizer(), 2) as encoder, closing(encoder.encode(BATCHES * 100)) as results:
        next(results)
        for process in children():
            process.kill()
        with pytest.raises(CorpusError, match=r"a process that encodes text has ended\n.*RAYON_NUM_THREADS"):
            list(results)
    assert children() == []


def test_leaving_early_ends_the_processes() -> None:
    with pool(ByteTokenizer(), 2) as encoder, closing(encoder.encode(BATCHES * 100)) as results:
        next(results)
    assert children() == []


def test_what_cannot_be_started_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/does/not/exist")
    with pool(ByteTokenizer(), 2) as encoder:
        assert isinstance(encoder, LocalEncoder)
        assert len(list(encoder.encode(BATCHES))) == len(BATCHES)


@pytest.mark.parametrize("started", [0, 1])
@pytest.mark.parametrize("what", ["process", "thread"])
def test_a_limit_on_processes_or_threads_leaves_fewer_and_is_reported(
    monkeypatch: pytest.MonkeyPatch, what: str, started: int
) -> None:
    error = RuntimeError("can't start new thread") if what == "thread" else BlockingIOError(errno.EAGAIN, "no")
    place, name = (module.subprocess, "Popen") if what == "process" else (module.threading.Thread, "start")
    real, calls = getattr(place, name), []

    def limited(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) > started:
            raise error
        return real(*args, **kwargs)

    said: list[str] = []
    monkeypatch.setattr(place, name, limited)
    with pool(ByteTokenizer(), 3, said.append) as encoder:
        assert isinstance(encoder, EncoderPool if started else LocalEncoder)
        assert len(list(encoder.encode(BATCHES))) == len(BATCHES)
    assert children() == []
    assert len(said) == 1
    assert said[0].startswith("text is encoded on 1 of 3 cores: no further process or thread can be started: ")
    assert "(RLIMIT_NPROC)" in said[0]


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({"RAYON_NUM_THREADS": "3"}, 3),
        ({"RAYON_NUM_THREADS": "500"}, module.MOST_PROCESSES),
        ({"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "3"}, 1),
        ({"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "2"}, 2),
        ({"RAYON_NUM_THREADS": "0"}, 5),
        ({"RAYON_NUM_THREADS": "many"}, 5),
        ({}, 5),
    ],
)
def test_the_variables_of_the_library_limit_the_processes(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], count: int
) -> None:
    monkeypatch.setattr(tokenizers_library, "usable_cpus", lambda: 5)
    for name in ("TOKENIZERS_PARALLELISM", "RAYON_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert usable_processes() == count


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(signum: int) -> None:
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(
        command, env=os.environ | path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert parent.stdout.readline() == b"encoding\n"
        encoders = psutil.Process(parent.pid).children()
        assert len(encoders) == 2
        os.killpg(parent.pid, signum)
        parent.wait(20)
        errors = parent.stderr.read().decode()
    deadline = time.monotonic() + 20
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in encoders):
        assert time.monotonic() < deadline, "an encoder outlived its parent"
        time.sleep(0.02)
    assert "encoder_process" not in errors


PARENT = """
import itertools
from contextlib import closing
from autoresearch.data.encoder_pool import encoder_pool
from autoresearch.data.encoder_process import EncoderSettings
from autoresearch.data.encoding import PieceEncoder
from autoresearch.data.tokenizer import ByteTokenizer
tokenizer = ByteTokenizer()
settings = EncoderSettings(tokenizer.to_json(), "uint16", None)
with encoder_pool(PieceEncoder(tokenizer, "uint16", None), settings, 2) as encoder:
    batches = itertools.repeat(([(True, b"x" * 100_000)], False))
    with closing(encoder.encode(batches)) as results:
        for i, _ in enumerate(results):
            if i == 10:
                print("encoding", flush=True)
"""
