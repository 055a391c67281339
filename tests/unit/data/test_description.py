"""Everything that was left out or found is reported with its number."""

from __future__ import annotations

from autoresearch.data.corpus import OverlapInfo, PreparationInfo
from autoresearch.data.description import describe_overlap, describe_preparation

OVERLAP = OverlapInfo(window_bytes=64, windows=2000, shared_windows=50, documents=40, shared_documents=2)
NOTHING = PreparationInfo(
    duplicate_documents=0,
    duplicate_bytes=0,
    blank_documents=0,
    bad_lines=0,
    other_files={},
    undecodable_files=0,
    undecodable=(),
    replaced_characters=0,
    most_replaced={},
    overlap=OVERLAP,
)


def test_only_what_there_is_is_reported() -> None:
    assert list(describe_preparation(NOTHING)) == [f"overlap: {describe_overlap(OVERLAP)}"]
    assert describe_overlap(OVERLAP) == (
        "2.5% of validation occurs verbatim in train "
        "(50 of 2,000 windows of 64 bytes; 2 of 40 documents by half or more)"
    )


def test_documents_of_validation_that_are_wholly_in_train_are_reported() -> None:
    contained = OVERLAP.model_copy(update={"contained_documents": 1})
    assert describe_overlap(contained).endswith("2 of 40 documents by half or more, 1 of them wholly)")


def test_each_number_is_reported() -> None:
    found = NOTHING.model_copy(
        update={
            "duplicate_documents": 3,
            "duplicate_bytes": 4567,
            "blank_documents": 1,
            "bad_lines": 2,
            "other_files": {".csv": 1, ".gz": 3, ".json": 1},
            "undecodable_files": 12,
            "undecodable": ("docs/a.txt",),
            "replaced_characters": 41,
            "most_replaced": {"b.txt": 40, "c.txt": 1},
        }
    )
    assert list(describe_preparation(found))[:-1] == [
        "dropped: 3 repeated documents (4,567 bytes), each equal to an earlier one",
        "left out: 1 blank document",
        "left out: 2 lines without usable text",
        "left out: files of other kinds: .gz 3, .csv 1, .json 1",
        "left out: 12 files of undecodable bytes: docs/a.txt, ...",
        "undecodable: 41 replacement characters (U+FFFD) in place of what does not decode: b.txt 40, c.txt 1",
    ]


def test_what_was_not_measured_is_not_zero() -> None:
    assert "not measured" in describe_overlap(OVERLAP.model_copy(update={"windows": 0, "shared_windows": 0}))
    assert "earlier version" in " ".join(describe_preparation(None))
