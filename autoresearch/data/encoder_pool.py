"""Encodes batches on all cores, in processes: the results come in the order of the batches, for any number of them."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from autoresearch.config.secrets import without_secrets
from autoresearch.data.encoder_process import EncoderSettings
from autoresearch.data.encoding import Encoded, Piece, PieceEncoder
from autoresearch.errors import CorpusError
from autoresearch.machine import usable_cpus

Batch = tuple[Sequence[Piece], bool]  # pieces, and whether they are compared with validation

MOST_PROCESSES = 16  # of about 50 MiB each: together with the parent less than 1 GiB
MODULE = "autoresearch.data.encoder_process"
PACKAGES = Path(__file__).parents[2]  # the directory that this package is imported from
INSTALLED = PACKAGES.name in ("site-packages", "dist-packages")  # where every interpreter looks, after its own modules
ENDED_HINT = "it was killed, perhaps for want of memory: free some, or set RAYON_NUM_THREADS to use fewer processes"


def usable_processes() -> int:
    """The number of cores, or fewer by the environment variables that limit the ``tokenizers`` library's threads."""
    if os.environ.get("TOKENIZERS_PARALLELISM", "").lower() in ("off", "false", "f", "no", "n", "0"):
        return 1
    chosen = os.environ.get("RAYON_NUM_THREADS", "")
    most = int(chosen) if chosen.isdigit() and int(chosen) else usable_cpus()
    return min(most, MOST_PROCESSES)


class EncoderPool:
    """Encodes in the processes at the other ends of ``connections``."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for connection in connections:
            self._idle.put(connection)
        self._count = len(connections)

    def encode(self, batches: Iterable[Batch]) -> Generator[Encoded, None, None]:
        """Yield each batch encoded, in order. Raises ``CorpusError`` if a process has ended."""
        threads = ThreadPoolExecutor(self._count)  # they only wait, each for one process
        try:
            waiting: deque[Future[Encoded]] = deque()
            for batch in batches:
                waiting.append(threads.submit(self._encode, batch))
                if len(waiting) > 2 * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)

    def _encode(self, batch: Batch) -> Encoded:
        connection = self._idle.get()
        try:
            connection.send(batch)
            encoded: Encoded = connection.recv()
        except (EOFError, OSError) as e:
            raise CorpusError("a process that encodes text has ended", hint=ENDED_HINT) from e
        finally:
            self._idle.put(connection)
        return encoded


class LocalEncoder:
    """Encodes in this process."""

    def __init__(self, encoder: PieceEncoder) -> None:
        self._encoder = encoder

    def encode(self, batches: Iterable[Batch]) -> Generator[Encoded, None, None]:
        """Yield each batch encoded, in order."""
        return (self._encoder.encode(*batch) for batch in batches)


@contextmanager
def encoder_pool(local: PieceEncoder, settings: EncoderSettings, count: int) -> Iterator[EncoderPool | LocalEncoder]:
    """Encode in ``count`` processes, or as many as the system allows; in this one if that is one. They are killed."""
    with ExitStack() as stack:
        connections: list[Connection] = []
        with contextlib.suppress(OSError):  # a limit on processes, open files or memory
            while len(connections) < count > 1:
                connections.append(_start(settings, stack))
        yield EncoderPool(connections) if connections else LocalEncoder(local)


def _start(settings: EncoderSettings, stack: ExitStack) -> Connection:
    ours, theirs = Pipe()
    fds = [fd for fd in (theirs.fileno(), settings.windows) if fd is not None]
    path = [] if INSTALLED else [str(PACKAGES)]
    path += filter(None, [os.environ.get("PYTHONPATH")])
    stack.callback(ours.close)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), str(os.getpid())],
            env=without_secrets(os.environ) | {"PYTHONPATH": os.pathsep.join(path), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            process_group=0,  # Ctrl-C at the terminal reaches the parent only
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    with contextlib.suppress(ConnectionError):  # one that has ended already is found when it is given work
        ours.send(settings)
    return ours
