"""Encodes batches on all cores, in processes: the results come in the order of the batches, for any number of them."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from autoresearch.config.secrets import without_secrets
from autoresearch.core.text import plural
from autoresearch.data.encoder_process import EncoderSettings
from autoresearch.data.encoding import Encoded, Piece, PieceEncoder
from autoresearch.data.tokenizers_library import usable_threads
from autoresearch.errors import CorpusError
from autoresearch.machine import explain_start_failure

Batch = tuple[Sequence[Piece], bool]  # pieces, and whether they are compared with validation
Job = tuple[Batch, Future[Encoded]]

MOST_PROCESSES = 16  # of about 50 MiB each: together with the parent less than 1 GiB
MODULE = "autoresearch.data.encoder_process"
PACKAGES = Path(__file__).parents[2]  # the directory that this package is imported from
INSTALLED = PACKAGES.name in ("site-packages", "dist-packages")  # where every interpreter looks, after its own modules
ENDED_HINT = "it was killed, perhaps for want of memory: free some, or set RAYON_NUM_THREADS to use fewer processes"


def usable_processes() -> int:
    """One for each thread that the ``tokenizers`` library would start, up to a bound."""
    return min(usable_threads(), MOST_PROCESSES)


class EncoderPool:
    """Encodes in the processes at the other ends of connections. A thread for each only waits for its process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def count(self) -> int:
        """The number of processes."""
        return len(self._threads)

    def add(self, connection: Connection) -> None:
        """Use the process at the other end of ``connection`` too. Raises ``RuntimeError`` where no thread can start."""
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def encode(self, batches: Iterable[Batch]) -> Generator[Encoded, None, None]:
        """Yield each batch encoded, in order. Raises ``CorpusError`` if a process has ended."""
        waiting: deque[Future[Encoded]] = deque()
        try:
            for batch in batches:
                future: Future[Encoded] = Future()
                self._jobs.put((batch, future))
                waiting.append(future)
                if len(waiting) > 2 * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the threads, each after the batch that its process encodes."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: Connection) -> None:
        while job := self._jobs.get():
            batch, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                connection.send(batch)
                future.set_result(connection.recv())
            except (EOFError, OSError) as e:
                lost = CorpusError("a process that encodes text has ended", hint=ENDED_HINT)
                lost.__cause__ = e
                future.set_exception(lost)
            except BaseException as e:  # an error in this thread is raised where the result is read
                future.set_exception(e)


class LocalEncoder:
    """Encodes in this process."""

    def __init__(self, encoder: PieceEncoder) -> None:
        self._encoder = encoder

    def encode(self, batches: Iterable[Batch]) -> Generator[Encoded, None, None]:
        """Yield each batch encoded, in order."""
        return (self._encoder.encode(*batch) for batch in batches)


@contextmanager
def encoder_pool(
    local: PieceEncoder, settings: EncoderSettings, count: int, notify: Callable[[str], None] = lambda _: None
) -> Iterator[EncoderPool | LocalEncoder]:
    """Encode in ``count`` processes, or as many as the system allows; in this one if that is one. They are killed.

    Where it allows fewer, ``notify`` is passed why.
    """
    with ExitStack() as stack:
        pool = EncoderPool()
        try:
            while pool.count < count > 1:
                pool.add(_start(settings, stack))
        except (OSError, RuntimeError) as e:  # a limit on processes, threads, open files or memory
            what, hint = explain_start_failure(e)
            notify(f"text is encoded on {max(1, pool.count)} of {plural(count, 'core')}: {what} (try: {hint})")
        stack.callback(pool.close)  # before the processes are killed
        yield pool if pool.count else LocalEncoder(local)


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
