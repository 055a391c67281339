"""What preparation left out and found, in sentences for the terminal, ``doctor`` and the report. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.text import plural
from autoresearch.data.corpus import OverlapInfo, PreparationInfo
from autoresearch.data.document import describe_kinds

LARGE_OVERLAP = 0.1  # of validation; licences and other set phrases alone reach a few per cent
UNKNOWN_OVERLAP = "an earlier version prepared it, without a search for repeated documents and overlap"


def describe_preparation(found: PreparationInfo | None) -> Iterator[str]:
    """A sentence for each thing that was left out or found."""
    if found is None:
        yield UNKNOWN_OVERLAP
        return
    if found.duplicate_documents:
        repeated = plural(found.duplicate_documents, "repeated document")
        yield f"dropped: {repeated} ({found.duplicate_bytes:,} bytes), each equal to an earlier one"
    if found.blank_documents:
        yield f"left out: {plural(found.blank_documents, 'blank document')}"
    if found.bad_lines:
        yield f"left out: {plural(found.bad_lines, 'line')} without usable text"
    if found.other_files:
        yield f"left out: files of other kinds: {describe_kinds(found.other_files)}"
    if found.undecodable_files:
        names = ", ".join(found.undecodable)
        more = ", ..." if found.undecodable_files > len(found.undecodable) else ""
        yield f"left out: {plural(found.undecodable_files, 'file')} of undecodable bytes: {names}{more}"
    if found.replaced_characters:
        most = ", ".join(f"{name} {count}" for name, count in found.most_replaced.items())
        count = plural(found.replaced_characters, "replacement character")
        yield f"undecodable: {count} (U+FFFD) in place of what does not decode: {most}"
    yield f"overlap: {describe_overlap(found.overlap)}"


def describe_overlap(overlap: OverlapInfo) -> str:
    """How much of validation occurs in train."""
    if not overlap.windows:
        return f"not measured: no validation document has {overlap.window_bytes} bytes without white space"
    contained = f", {overlap.contained_documents:,} of them wholly" if overlap.contained_documents else ""
    return (
        f"{overlap.share:.1%} of validation occurs verbatim in train "
        f"({overlap.shared_windows:,} of {overlap.windows:,} windows of {overlap.window_bytes} bytes; "
        f"{overlap.shared_documents:,} of {overlap.documents:,} documents by half or more{contained})"
    )
