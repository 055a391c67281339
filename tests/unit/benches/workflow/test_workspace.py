"""The workspace and its tools: every way out of it is closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.workflow.file_tools import MAX_SHOWN_BYTES, file_tool_schemas, use_file_tool
from autoresearch.benches.workflow.workspace import (
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    Usage,
    Workspace,
    WorkspaceError,
    parts_of,
)

SECRET = b"secret\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_bytes(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.txt").write_bytes(SECRET)
    (tmp_path / "ws/sub").mkdir(parents=True)
    (tmp_path / "ws/a.txt").write_text("alpha\n")
    (tmp_path / "ws/sub/b.txt").write_text("beta\n")
    return tmp_path / "ws"


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace(root) as opened:
        yield opened


def use(workspace: Workspace, tool: str, **arguments: Any) -> dict[str, Any]:
    return use_file_tool(tool, arguments, workspace)


TRAPS = {
    "a link to a file": lambda root: (root / "trap").symlink_to("../outside.txt"),
    "an absolute link": lambda root: (root / "trap").symlink_to(root.parent / "outside.txt"),
    "a hard link": lambda root: os.link(root.parent / "outside.txt", root / "trap"),
    "a link to itself": lambda root: (root / "trap").symlink_to("trap"),
    "a link to nothing": lambda root: (root / "trap").symlink_to("../made.txt"),
    "a link to /proc": lambda root: (root / "trap").symlink_to("/proc/self/environ"),
    "a pipe": lambda root: os.mkfifo(root / "trap"),
    "a directory": lambda root: (root / "trap").mkdir(),
}


@pytest.mark.parametrize("trap", list(TRAPS))
def test_what_is_not_a_file_of_its_own_is_neither_read_nor_written(root: Path, workspace: Workspace, trap: str) -> None:
    TRAPS[trap](root)
    for tool, more in (
        ("read_file", {}),
        ("write_file", {"content": "x"}),
        ("replace_in_file", {"old": "secret", "new": "x"}),
    ):
        with pytest.raises(WorkspaceError, match="trap"):
            use(workspace, tool, path="trap", **more)
    assert (root.parent / "outside.txt").read_bytes() == SECRET
    assert not (root.parent / "made.txt").exists()
    assert workspace.kind("trap") in ("other", "directory", "file")


@pytest.mark.parametrize("path", ["trap/x.txt", "trap/new.txt", "trap/deep/new.txt"])
def test_a_link_to_a_directory_is_not_followed(root: Path, workspace: Workspace, path: str) -> None:
    (root / "trap").symlink_to("../outside")
    for tool, more in (("read_file", {}), ("write_file", {"content": "x"})):
        with pytest.raises(WorkspaceError):
            use(workspace, tool, path=path, **more)
    with pytest.raises(WorkspaceError):
        use(workspace, "list_files", path="trap")
    assert workspace.kind("trap/x.txt") is None
    assert os.listdir(root.parent / "outside") == ["x.txt"]


@pytest.mark.parametrize(
    "path",
    [
        *("../outside.txt", "sub/../../outside.txt", "./../outside.txt", "..", "sub/.."),
        *("/etc/passwd", "/proc/self/root/etc/passwd", "a\0b", "x" * 300, "a/" * 40 + "b", "\ud800"),
    ],
)
def test_a_path_that_leaves_the_workspace_is_refused(root: Path, workspace: Workspace, path: str) -> None:
    before = sorted(str(p) for p in root.parent.rglob("*"))
    for tool, more in (("read_file", {}), ("write_file", {"content": "x"}), ("list_files", {})):
        with pytest.raises(WorkspaceError):
            use(workspace, tool, path=path, **more)
    assert sorted(str(p) for p in root.parent.rglob("*")) == before


@given(st.text(alphabet="./ax\0\\~%", max_size=12))
def test_parts_never_lead_up(path: str) -> None:
    try:
        parts = parts_of(path)
    except WorkspaceError:
        return
    assert not path.startswith("/")
    assert all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in parts)


def test_a_directory_that_is_replaced_by_a_link_meanwhile_is_not_followed(root: Path, workspace: Workspace) -> None:
    (root / "sub/b.txt").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to("../outside")
    with pytest.raises(WorkspaceError):
        use(workspace, "read_file", path="sub/x.txt")


def test_the_handle_stays_with_the_directory(root: Path, workspace: Workspace) -> None:
    root.rename(root.with_name("moved"))
    root.symlink_to("outside")
    assert use(workspace, "read_file", path="a.txt") == {"content": "alpha\n"}


def test_files_are_listed_read_written_and_edited(root: Path, workspace: Workspace) -> None:
    assert use(workspace, "list_files") == {"entries": ["a.txt", "sub/", "sub/b.txt"]}
    assert use(workspace, "list_files", path="sub") == {"entries": ["sub/b.txt"]}
    assert use(workspace, "write_file", path="new/deep/c.txt", content="grün") == {"written_bytes": 5}
    assert use(workspace, "replace_in_file", path="./new//deep/c.txt", old="ü", new="ue") == {"replaced": 1}
    assert (root / "new/deep/c.txt").read_text() == "gruen"
    use(workspace, "write_file", path="a.txt", content="")
    assert (root / "a.txt").read_bytes() == b""


@pytest.mark.parametrize(
    ("tool", "arguments", "what"),
    [
        ("read_file", {"path": "missing"}, "no such file"),
        ("read_file", {}, "'path' is missing"),
        ("read_file", {"path": 7}, "'path' must be a string"),
        ("read_file", {"path": "a.txt", "offset": "0"}, "'offset' must be an integer"),
        ("read_file", {"path": "a.txt", "mode": "r"}, "unknown argument 'mode'"),
        ("read_file", {"path": "sub"}, "sub"),
        ("read_file", {"path": ""}, "the workspace itself"),
        ("read_file", {"path": "a.txt/b"}, "not a directory"),
        ("write_file", {"path": "x"}, "'content' is missing"),
        ("write_file", {"path": "a.txt/b", "content": ""}, "not a directory"),
        ("write_file", {"path": "x", "content": "\ud800"}, "not valid Unicode"),
        ("write_file", {"path": "x", "content": "x" * (MAX_FILE_BYTES + 1)}, "more than"),
        ("replace_in_file", {"path": "a.txt", "old": "", "new": "x"}, "'old' is empty"),
        ("replace_in_file", {"path": "a.txt", "old": "zeta", "new": "x"}, "occurs 0 times"),
        ("replace_in_file", {"path": "a.txt", "old": "a", "new": "x"}, "occurs 2 times"),
        ("list_files", {"path": "missing"}, "no such file"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(workspace: Workspace, tool: str, arguments: dict, what: str) -> None:
    with pytest.raises(WorkspaceError, match=what):
        use(workspace, tool, **arguments)


def test_a_long_file_is_read_in_parts_that_do_not_cut_characters(root: Path, workspace: Workspace) -> None:
    text = "ü" * (MAX_SHOWN_BYTES + 5)
    (root / "long.txt").write_text("x" + text)
    parts, offset = [], 0
    while True:
        result = use(workspace, "read_file", path="long.txt", offset=offset)
        parts.append(result["content"])
        if "truncated" not in result:
            break
        offset = int(result["truncated"].rpartition(" ")[2])
    assert "".join(parts) == "x" + text
    assert len(parts) == 3
    assert use(workspace, "read_file", path="long.txt", offset=10**9) == {"content": ""}


def test_a_binary_file_and_a_huge_one(root: Path, workspace: Workspace) -> None:
    (root / "binary").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(WorkspaceError, match="not a text file"):
        use(workspace, "read_file", path="binary")
    with (root / "huge").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert "truncated" in use(workspace, "read_file", path="huge")
    with pytest.raises(WorkspaceError, match="too large"):
        use(workspace, "replace_in_file", path="huge", old="x", new="y")
    with pytest.raises(WorkspaceError, match="full"):
        use(workspace, "write_file", path="more", content="x")


def test_the_number_of_files_is_bounded(root: Path, workspace: Workspace) -> None:
    for i in range(MAX_ENTRIES):
        (root / f"f{i}").touch()
    with pytest.raises(WorkspaceError, match="full"):
        use(workspace, "write_file", path="one-more", content="x")
    assert use(workspace, "list_files")["not_shown"] > 0


def test_usage_counts_what_lies_there(workspace: Workspace) -> None:
    assert workspace.usage() == Usage(entries=3, total_bytes=11)


def test_every_file_tool_has_a_schema_with_its_arguments() -> None:
    for name, schema in file_tool_schemas().items():
        assert schema["description"]
        assert set(schema["parameters"]["required"]) <= set(schema["parameters"]["properties"]), name
