"""Which import of a trainer starts a thread, which makes a trial server unfit to be forked: ``python -m
benchmarks.import_threads [megatron]``. Only a machine with a GPU shows what its driver starts."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from autoresearch.training.server import has_cuda_context, thread_names
from autoresearch.trials.server import SERVER_ENV
from autoresearch.trials.trainers import TRAINERS


def main() -> None:
    if any(os.environ.get(name) != value for name, value in SERVER_ENV.items()):
        os.execve(sys.executable, [*sys.orig_argv[:1], "-m", __spec__.name, *sys.argv[1:]], os.environ | SERVER_ENV)
    watch_imports()
    for module in ("autoresearch.training.worker", *TRAINERS[sys.argv[1] if sys.argv[1:] else "megatron"].preload):
        importlib.import_module(module)
    print(f"at the end: CUDA context {has_cuda_context()}, threads {', '.join(thread_names())}")


def watch_imports() -> None:
    """After each import print the threads that it added, and the stack down to the ``import`` statement."""
    original = builtins.__import__
    known = len(thread_names())

    def watched(name: str, *rest: Any, **named: Any) -> ModuleType:
        nonlocal known
        module = original(name, *rest, **named)
        if len(threads := thread_names()) > known:
            known = len(threads)
            print(f"{known} threads after the import of {name}: {', '.join(threads)}")
            traceback.print_stack(limit=20, file=sys.stdout)
        return module

    builtins.__import__ = watched


if __name__ == "__main__":
    main()
