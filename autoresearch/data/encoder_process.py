"""A process that encodes: ``python -m autoresearch.data.encoder_process FD PARENT``.

It reads its settings and then batches from a socket and ends with its parent. Imports stay few: every core runs one.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from autoresearch.data.encoding import PieceEncoder
from autoresearch.data.tokenizer import from_json
from autoresearch.data.window_finder import WindowFinder
from autoresearch.machine import die_with_parent


class EncoderSettings(NamedTuple):
    """What a ``PieceEncoder`` is built from. ``windows`` is an inherited file descriptor for ``WindowFinder.open``."""

    tokenizer: str
    dtype: str
    windows: int | None


def main() -> None:
    """Encode until the parent closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    die_with_parent(int(sys.argv[2]))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    gc.disable()  # nothing here is cyclic, and a table of words is slow to walk
    with Connection(int(sys.argv[1])) as parent:
        settings: EncoderSettings | None = receive(parent)
        if settings is None:
            return
        finder = None if settings.windows is None else WindowFinder.open(settings.windows)
        encoder = PieceEncoder(from_json(settings.tokenizer), settings.dtype, finder)
        while (pieces := receive(parent)) is not None:
            try:
                parent.send(encoder.encode(*pieces))
            except ConnectionError:
                return


def receive(parent: Connection) -> Any:
    """The next message, or ``None`` once the parent is gone: EOFError between two messages, OSError within one."""
    try:
        return parent.recv()
    except (EOFError, OSError):
        return None


if __name__ == "__main__":
    main()
