"""Speed of `prepare` against the `tokenizers` library's own `encode_batch`, and its memory against the source's size.

    python -m benchmarks.prepare [--mb 20] [--rounds 3]

Both get the same documents (Python sources of this installation), the same tokenizer and the same number of threads, in
turn. `prepare` is the whole of it: reading, hashing, splitting, comparing validation with train, encoding, writing.
The library only encodes lists of texts that are in memory; `encode_batch_fast` leaves out the offsets.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import Tokenizer, from_json, train_bpe
from autoresearch.data.training_sample import SAMPLE_BYTES
from benchmarks.machine import describe

VOCAB = 4096
BATCH_BYTES = 1 << 21  # a larger batch makes the library slower: it keeps offsets and more for each token
TARGET_RATIO = 0.9
SIDES = ("prepare", "encode_batch", "encode_batch_fast")
SIZES_MB = (10, 40, 120)


@dataclass(frozen=True)
class Ready:
    """A tokenizer that needs no training, in the place of a ``TokenizerSpec``."""

    tokenizer: Tokenizer
    kind: str = "bpe"
    vocab_size: int = VOCAB

    def fixed(self) -> Tokenizer:
        """The tokenizer."""
        return self.tokenizer


def real_documents(most_bytes: int) -> Iterator[str]:
    """Different Python sources: the standard library, then the installed packages."""
    seen: set[str] = set()
    size = 0
    for name in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*.py")):
            text = path.read_text(errors="replace").removeprefix("\ufeff")
            if text.strip() and text not in seen and (name == "purelib" or "site-packages" not in path.parts):
                seen.add(text)
                size += len(text.encode())
                yield text
                if size >= most_bytes:
                    return


def encode_with_library(method: str, source: Path, definition: Path) -> None:
    """Print the seconds and the tokens of the library's ``method``."""
    import tokenizers

    content = json.loads(definition.read_text())
    vocab = {token: i for i, token in enumerate(content["tokens"])}
    merges = [(left, right) for left, right in content["merges"]]
    encoder: Any = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=merges))
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    texts = [json.loads(line)["text"] for line in source.open()]
    started, used, tokens = time.monotonic(), time.process_time(), 0
    for batch in _batches(texts):
        tokens += sum(len(encoding) for encoding in getattr(encoder, method)(batch, add_special_tokens=False))
    print(json.dumps([time.monotonic() - started, time.process_time() - used, tokens]))


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if sum(map(len, batch)) >= BATCH_BYTES:
            yield batch
            batch = []
    yield batch


def prepare_all(source: Path, definition: Path) -> None:
    """Print the seconds and the tokens of a whole preparation."""
    spec: Any = Ready(from_json(definition.read_text()))
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        started, used = time.monotonic(), _cpu_s()
        manifest = prepare(Sources((source,)).documents(), Path(folder) / "c", names=["bench"], tokenizer=spec)
        seconds, cpu = time.monotonic() - started, _cpu_s() - used
    tokens = sum(split.tokens - split.documents for split in manifest.splits.values())
    print(json.dumps([seconds, cpu, tokens]))


def _cpu_s() -> float:
    """CPU seconds of this process and of the children that have ended."""
    return sum(os.times()[:4])


def measure(what: str, threads: int, source: Path, definition: Path) -> tuple[float, float, int]:
    """Seconds, CPU seconds and tokens of one side in a process of its own."""
    limits = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    command = [sys.executable, "-m", "benchmarks.prepare", "--child", what, str(source), str(definition)]
    done = subprocess.run(command, check=True, env=os.environ | limits, stdout=subprocess.PIPE, text=True)
    seconds, cpu, tokens = json.loads(done.stdout)
    return seconds, cpu, tokens


def peak_mib(megabytes: int, folder: Path) -> tuple[float, float]:
    """MiB of all processes together at the peak (shared pages once), and seconds, for one line of generated text."""
    source = folder / f"{megabytes}.txt"
    with source.open("w") as file:
        for i in range(megabytes):
            words = "".join(f"{i} and {j} are the numbers of these words " for j in range(30_000))
            file.write(words[:1_000_000])
    command = [sys.executable, "-m", "autoresearch", "prepare", str(source), "--out", str(folder / f"c{megabytes}")]
    started, peaks = time.monotonic(), [0]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watcher = threading.Thread(target=_watch, args=(process, peaks))
        watcher.start()
        watcher.join()
    source.unlink()
    if process.returncode:
        sys.exit(f"prepare ended with {process.returncode}")
    return max(peaks) / 2**20, time.monotonic() - started


def _watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            peaks.append(sum(p.memory_full_info().pss for p in (parent, *parent.children())))
        except psutil.Error:
            continue  # one has just ended
        time.sleep(0.1)


def report_speed(threads: int, rounds: list[dict[str, tuple[float, float, int]]], megabytes: float) -> None:
    """One line for each side, and the ratios round by round."""
    for what in SIDES:
        wall = sorted(megabytes / r[what][0] / threads for r in rounds)
        cpu = statistics.median(megabytes / r[what][1] for r in rounds)
        median = statistics.median(wall)
        print(f"| {threads} | `{what}` | {median:.2f} | {wall[0]:.2f} to {wall[-1]:.2f} | {cpu:.2f} | | |")
    for what in SIDES[1:]:
        ratios = sorted(r[what][0] / r["prepare"][0] for r in rounds)
        cpu_ratio = statistics.median(r[what][1] / r["prepare"][1] for r in rounds)
        print(
            f"| {threads} | `prepare` / `{what}` | | | {cpu_ratio:.2f} | {statistics.median(ratios):.2f} "
            f"| {ratios[0]:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, *paths = args.child[0], Path(args.child[1]), Path(args.child[2])
        prepare_all(*paths) if what == "prepare" else encode_with_library(what, *paths)
        return
    cores = len(os.sched_getaffinity(0))
    print(f"### prepare against the tokenizers library\n\n{describe()}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, definition = folder / "source.jsonl", folder / "tokenizer.json"
        texts = list(real_documents(args.mb * 1_000_000))
        size = sum(len(text.encode()) for text in texts)
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        definition.write_text(train_bpe(_until(texts, SAMPLE_BYTES), VOCAB).to_json())
        print(f"`python -m benchmarks.prepare --mb {args.mb} --rounds {args.rounds}`: {len(texts):,} documents,")
        print(f"{size / 1e6:.1f} MB, a bpe of {VOCAB:,} ids, in turn, the same number of threads and the same tokens\n")
        print("| threads | | MB/s per thread, median | all rounds | MB per CPU second | ratio, median | smallest |")
        print("|---|---|---|---|---|---|---|")
        for threads in sorted({1, cores}):
            rounds = []
            for _ in range(args.rounds):
                found = {what: measure(what, threads, source, definition) for what in SIDES}
                if len({tokens for _, _, tokens in found.values()}) > 1:
                    sys.exit(f"the tokens differ: {found}")
                rounds.append(found)
            report_speed(threads, rounds, size / 1e6)
        print(f"| | target | | | | at least {TARGET_RATIO} | |\n")
        print("| one line of MB, bpe trained on it | all processes together, MiB | s |\n|---|---|---|")
        for megabytes in SIZES_MB:
            peak, seconds = peak_mib(megabytes, folder)
            print(f"| {megabytes} | {peak:.0f} | {seconds:.1f} |")
        print("| target, for any size | at most 1,024 | |")


def _until(texts: list[str], most: int) -> Iterator[str]:
    """The first texts, about ``most`` characters."""
    for text in texts:
        yield text
        most -= len(text)
        if most <= 0:
            return


if __name__ == "__main__":
    main()
