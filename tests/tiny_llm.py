"""A real OpenAI-compatible LLM server for tests, without any download: llama.cpp on a tiny Llama with random weights.

    why = tiny_llm.missing()                       "" where the server can be had
    tiny_llm.write_model(path, seed=1)             another seed is another model
    with tiny_llm.TinyServer(path, log) as server:
        ... server.base_url ... server.kill() ... server.restart() ... server.swap(other) ...

The server is llama-cpp-python's, an independent implementation. Its answers are noise that keeps to the grammar of
a requested JSON schema. This file is also the two programs that run in the server's own interpreter:

    python tiny_llm.py model PATH SEED NAME        write a model
    python tiny_llm.py serve PARENT_PID ...        become ``python -m llama_cpp.server ...``, which dies with its parent
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CONTEXT = 8192  # tokens the model says it was trained for
NEEDED = ("gguf", "llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")
SERVER_THREADS = 1  # more of them only get into each other's way with so small a model

BLOCKS, WIDTH, HEADS, HIDDEN = 2, 64, 4, 128
END = "<|end|>"
SPECIALS = ("<|start|>", END)
MERGES = ["e r", "i n", "o n", "a t", "t h", "th e", "o u", "r e", "e n", "in g", "l o", "lo s", "los s", "Ġ the"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# Added to the logits. llama.cpp's grammar lets raw control characters into a JSON string, which a trained model would
# not write there and JSON forbids; and random bytes from 128 up are no UTF-8.
NEVER, READILY = -40.0, 1.0

PR_SET_PDEATHSIG = 1


def missing(python: str = sys.executable) -> str:
    """Why ``python`` cannot run the server, in words; "" where it can."""
    script = f"import importlib.util as u; print(*[n for n in {NEEDED!r} if u.find_spec(n) is None], sep=', ')"
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    absent = done.stdout.strip()
    return f"not installed for {python}: {absent} (pip install gguf 'llama-cpp-python[server]')" if absent else ""


def write_model(path: Path, *, seed: int = 0, name: str = "tiny-llm", python: str = sys.executable) -> Path:
    """Write a GGUF file of under a megabyte; its weights depend on ``seed`` alone."""
    command = [python, __file__, "model", str(path), str(seed), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"no model was written:\n{done.stdout}")
    return path


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TinyServer:
    """One server on one port, which it keeps when it is restarted or given another model.

    The server is killed when the thread that started it ends, whatever ends it; so start it in a thread that stays.
    """

    def __init__(
        self,
        model: Path,
        log: Path,
        *,
        alias: str = "tiny-llm",
        n_ctx: int = CONTEXT,
        port: int | None = None,
        python: str = sys.executable,
    ) -> None:
        self.model, self.log, self.alias, self.n_ctx, self.python = model, log, alias, n_ctx, python
        self.port = free_port() if port is None else port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, within_s: float = 60) -> None:
        """Start the server and wait until it answers; where it does not, its log is in the error."""
        if self.process is not None:
            raise RuntimeError("started already")
        options = {
            "model": self.model,
            "model_alias": self.alias,  # or /v1/models would say the path
            "host": "127.0.0.1",
            "port": self.port,
            "n_ctx": self.n_ctx,
            "n_threads": SERVER_THREADS,
            "n_threads_batch": SERVER_THREADS,
            "verbose": "false",
        }
        command = [self.python, __file__, "serve", str(os.getpid())]
        command += [word for key, value in options.items() for word in (f"--{key}", str(value))]
        # Whatever the server's settings are called (PORT, HOST, API_KEY, SEED, ...) it also takes from the environment.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # a process group of its own, to be killed as one
            )
        try:
            self._wait_until_ready(time.monotonic() + within_s)
        except BaseException:
            self.kill()
            raise

    def stop(self, within_s: float = 10) -> None:
        """End it in its own way (a reply is finished first), or by SIGKILL where that takes more than ``within_s``."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(within_s)
            self.kill()

    def pause(self) -> None:
        """SIGSTOP: connections are taken and not answered. A reply is over in milliseconds, so a test holds it so."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after a pause, with what was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as a power cut or the kernel's memory killer would; nothing where it does not run."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """The same again, on the same port."""
        self.stop()
        self.start()

    def swap(self, model: Path, alias: str | None = None) -> None:
        """Another model on the same port, under the same name unless ``alias`` says another."""
        self.stop()
        self.model, self.alias = model, alias or self.alias
        self.start()

    def log_text(self) -> str:
        """What it wrote to standard output and standard error so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(within_s=2)

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:  # not reaped yet, so the number is still its own
            os.killpg(self.process.pid, number)

    def _wait_until_ready(self, deadline: float) -> None:
        assert self.process is not None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log_text()}")
            if self._answers():
                return
            time.sleep(0.05)
        raise TimeoutError(f"the server does not answer:\n{self.log_text()}")

    def _answers(self) -> bool:
        """Whether it lists our model: another process might have been quicker to take the port."""
        try:
            with urllib.request.urlopen(f"{self.base_url}/models", timeout=5) as reply:
                return [model["id"] for model in json.load(reply)["data"]] == [self.alias]
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False


def _serve(parent: int, arguments: list[str]) -> None:
    """Become the server. The signal outlasts the exec, and a launcher needs no code between fork and exec."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(sys.executable, [sys.executable, "-m", "llama_cpp.server", *arguments])


def _write(path: str, seed: int, name: str) -> None:
    """Write the model with the ``gguf`` package, which the caller's interpreter need not have."""
    import gguf
    import numpy as np

    letters = _byte_letters()
    tokens = [*SPECIALS, *letters, *("".join(merge.split()) for merge in MERGES)]
    bias = [
        NEVER,
        0.0,
        *(0.0 if 32 <= byte < 127 else NEVER for byte in range(256)),
        *(0.0 for _ in MERGES),
    ]
    bias[tokens.index('"')] = READILY  # so that a string without a longest length ends, too

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_description(f"random weights, seed {seed}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(tokens.index(END))
    writer.add_eos_token_id(tokens.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = np.random.default_rng(seed)

    def matrix(out: int, into: int) -> Any:
        return random.standard_normal((out, into), dtype=np.float32) / np.float32(into**0.5)

    def add(tensor: str, values: Any) -> None:
        writer.add_tensor(f"{tensor}.weight", np.ascontiguousarray(values, dtype=np.float32))

    # A Llama has no bias. Channel 0 makes one: every embedding has the same number in it, no block writes to it, and
    # the final norm leaves it positive. So the output's column 0 is added to the logits, scaled by about three.
    embedding = random.standard_normal((len(tokens), WIDTH), dtype=np.float32)
    embedding[:, 0] = 4
    output = 1.5 * matrix(len(tokens), WIDTH)
    output[:, 0] = np.asarray(bias, dtype=np.float32) / 3
    add("token_embd", embedding)
    add("output_norm", np.ones(WIDTH))
    add("output", output)
    for block in range(BLOCKS):
        out, down = matrix(WIDTH, WIDTH), matrix(WIDTH, HIDDEN)
        out[0] = down[0] = 0
        add(f"blk.{block}.attn_norm", np.ones(WIDTH))
        for projection in ("attn_q", "attn_k", "attn_v"):
            add(f"blk.{block}.{projection}", matrix(WIDTH, WIDTH))
        add(f"blk.{block}.attn_output", out)
        add(f"blk.{block}.ffn_norm", np.ones(WIDTH))
        add(f"blk.{block}.ffn_gate", matrix(HIDDEN, WIDTH))
        add(f"blk.{block}.ffn_up", matrix(HIDDEN, WIDTH))
        add(f"blk.{block}.ffn_down", down)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: the byte's own character where it is visible, else the next one from 256 up."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    beyond = iter(range(256, 512))
    return [chr(byte if byte in visible else next(beyond)) for byte in range(256)]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]), sys.argv[3:])
    else:
        _write(sys.argv[2], int(sys.argv[3]), sys.argv[4])
