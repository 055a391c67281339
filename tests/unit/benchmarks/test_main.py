"""What `make bench` does to RESULTS.md."""

from __future__ import annotations

from benchmarks.__main__ import INTRODUCTION, RESULTS, merge, sections_by_heading

MEASURED = "### Overhead\n\nnew\n\n### Both trainers, profile tiny\n\n| a |\n"


def test_measured_sections_are_replaced_and_those_written_by_hand_stay() -> None:
    old = "# Results\n\nold words\n\n### Overhead\n\nold\n\n### On an H100\n\n#### Kernels\n\nby hand\n"
    merged = merge(old, MEASURED)
    assert merged.startswith(INTRODUCTION)
    assert "old" not in merged
    assert list(sections_by_heading(merged)) == ["### Overhead", "### Both trainers, profile tiny", "### On an H100"]
    assert merged.endswith("\n### On an H100\n\n#### Kernels\n\nby hand\n")


def test_a_second_time_changes_nothing() -> None:
    once = merge(RESULTS.read_text(), MEASURED)
    assert merge(once, MEASURED) == once


def test_the_file_keeps_every_section_where_nothing_was_measured() -> None:
    assert merge(RESULTS.read_text(), "") == RESULTS.read_text()
