"""A command's output: bounded, and searched by whole lines however it is cut."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config.command import CommandSettings
from autoresearch.trials.command.output import KEPT_HEAD_BYTES, KEPT_TAIL_BYTES, MAX_LINE_BYTES, Lines, Stream
from autoresearch.trials.command.returned import Reader, read_metric_file


@given(st.lists(st.sampled_from(["a", "bc", "METRIC loss=1.5", "", "é"])), st.data())
def test_lines_do_not_depend_on_how_the_bytes_are_cut(lines: list[str], data: st.DataObject) -> None:
    whole = "".join(line + data.draw(st.sampled_from(["\n", "\r", "\r\n"])) for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    found: list[str] = []
    reader = Lines(found.append)
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        reader.feed(whole[start:end])
    reader.close()
    assert found == [line for line in lines if line]


def test_a_long_line_is_searched_at_its_beginning_alone() -> None:
    found: list[str] = []
    reader = Lines(found.append)
    for _ in range(10):
        reader.feed(b"x" * (MAX_LINE_BYTES // 2))
    reader.feed(b"tail\nnext\n")
    assert found == ["x" * MAX_LINE_BYTES, "next"]


@given(st.lists(st.binary(max_size=90_000), max_size=6))
def test_a_stream_keeps_its_beginning_and_its_end(parts: list[bytes]) -> None:
    stream, whole = Stream(), b"".join(parts)
    for part in parts:
        stream.feed(part)
    assert stream.size == len(whole)
    if len(whole) <= KEPT_HEAD_BYTES + KEPT_TAIL_BYTES:
        assert stream.kept == whole
    else:
        assert stream.kept.startswith(whole[:KEPT_HEAD_BYTES])
        assert stream.kept.endswith(whole[-KEPT_TAIL_BYTES:])
        assert re.search(rb"\n\[\.\.\. \d+ bytes left out \.\.\.\]\n", stream.kept)


def test_progress_tokens_and_memory_are_read_in_their_units() -> None:
    seen: list[tuple[float, int]] = []
    settings = CommandSettings.model_validate(
        {
            "metric_pattern": r"^val_bpb:\s+(\S+)",
            "progress_pattern": r"step (\d+)/(\d+)",
            "peak_memory_pattern": r"^peak_vram_mb:\s+(\S+)",
            "tokens_pattern": r"^total_tokens_M:\s+(\S+)",
            "tokens_scale": 1e6,
        }
    )
    reader = Reader(settings, lambda fraction, step: seen.append((fraction, step)), 100)
    reader.feed(
        b"\rstep 1/4\rstep 9/4\rstep 1/0\nval_bpb:   0.99\nval_bpb: 0.98\npeak_vram_mb: 1,024.5\ntotal_tokens_M: 4.9"
    )
    returned = reader.result(None, None)
    assert seen == [(0.25, 1), (1.0, 9)]
    assert (returned.metric, returned.count, returned.step) == ("0.98", 2, 9)
    assert returned.peak_bytes == round(1024.5 * 2**20)
    assert returned.tokens == 4.9e6


def test_progress_in_steps_is_a_part_of_the_budget() -> None:
    """nanoGPT prints ``iter 5: loss ...`` and no total."""
    seen: list[tuple[float, int]] = []
    settings = CommandSettings.model_validate({"progress_pattern": r"^iter (?P<step>\d+):"})
    reader = Reader(settings, lambda fraction, step: seen.append((fraction, step)), 200)
    reader.feed(b"iter 0: loss 7\niter 50: loss 6\nstep 60: val\niter 201: loss 5\n")
    assert seen == [(0.0, 0), (0.25, 50), (1.0, 201)]
    assert reader.result(None, None).step == 201


def test_a_metric_of_a_file_by_its_name_or_a_path_of_names(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text('{"loss": 0.5, "eval": {"f1": 1e-3}, "list": [1], "yes": true}')
    assert read_metric_file(file, "loss", None) == ("0.5", "")
    assert read_metric_file(file, "eval.f1", None) == ("0.001", "")
    for name in ("nothing", "eval", "list", "yes", "loss.x"):
        assert read_metric_file(file, name, None)[1] == f"{file} has no number {name!r}"
    for text in ("{", "[" * 100_000, "\x00", '"x"'):
        file.write_text(text)
        assert read_metric_file(file, "loss", None)[0] is None
    os.mkfifo(tmp_path / "pipe")
    assert read_metric_file(tmp_path / "pipe", "loss", None) == (None, f"it wrote no {tmp_path / 'pipe'}")


def test_colours_are_not_a_part_of_the_metric_and_one_on_stderr_is_named() -> None:
    reader = Reader(CommandSettings.model_validate({"metric_pattern": r"^loss (\S+)"}), lambda *_: None, 1)
    reader.feed(b"\x1b]0;title\x07\x1b]8;;file:///x\x1b\\\x1b[1mloss \x1b[32m0.5\x1b(B\x1b[m\n")
    assert reader.result(None, None).metric == "0.5"
    reader = Reader(CommandSettings.model_validate({"metric_pattern": r"^loss (\S+)"}), lambda *_: None, 1)
    found = reader.result(None, None, "warning\nloss 0.5\n")
    assert found.metric is None
    assert "one of stderr does" in found.problem


def test_of_several_matches_the_last_counts_in_one_line_too() -> None:
    reader = Reader(CommandSettings.model_validate({"metric_pattern": r"loss (\S+)"}), lambda *_: None, 1)
    reader.feed(b"loss 0.5\nloss 0.4, later loss 0.3\n")
    found = reader.result(None, None)
    assert (found.metric, found.count) == ("0.3", 3)
