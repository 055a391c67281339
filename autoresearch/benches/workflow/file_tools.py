"""The file tools of an agent: list, read, write, replace; each confined to the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autoresearch.benches.workflow.workspace import Workspace, WorkspaceError

MAX_SHOWN_BYTES = 16 << 10  # of a file, in one answer
MAX_LISTED = 500

Schema = dict[str, Any]


def file_tool_schemas() -> dict[str, Schema]:
    """Description and parameters of each file tool, by its name."""
    return {
        "list_files": _schema("List files and directories below a directory of the workspace.", path=_PATH_OPTIONAL),
        "read_file": _schema(
            f"Read a text file of the workspace, {MAX_SHOWN_BYTES:,} bytes at a time.", path=_PATH, offset=_OFFSET
        ),
        "write_file": _schema("Create a text file, or replace its whole content.", path=_PATH, content=_TEXT),
        "replace_in_file": _schema(
            "Replace a text that occurs exactly once in a file by another.", path=_PATH, old=_TEXT, new=_TEXT
        ),
    }


_PATH = {"type": "string", "description": "relative to the workspace, for example reports/march.md"}
_PATH_OPTIONAL = {**_PATH, "default": ""}
_TEXT = {"type": "string"}
_OFFSET = {"type": "integer", "description": "the byte to begin at", "default": 0}


def _schema(description: str, **properties: dict[str, Any]) -> Schema:
    required = [name for name, kind in properties.items() if "default" not in kind]
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"description": description, "parameters": parameters}


def use_file_tool(name: str, arguments: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    """The result of a file tool. Raises ``WorkspaceError`` for arguments or files that it cannot use."""
    properties = file_tool_schemas()[name]["parameters"]["properties"]
    if unknown := sorted(set(arguments) - set(properties)):
        raise WorkspaceError(f"unknown argument {unknown[0]!r}; {name} takes {', '.join(properties)}")
    values = {key: arguments.get(key, kind.get("default")) for key, kind in properties.items()}
    for key, value in values.items():
        kind = properties[key]["type"]
        if type(value) is not (str if kind == "string" else int):
            what = f"must be {'a string' if kind == 'string' else 'an integer'}" if key in arguments else "is missing"
            raise WorkspaceError(f"argument {key!r} {what}")
    return _TOOLS[name](workspace, **values)


def _list(workspace: Workspace, path: str) -> dict[str, Any]:
    entries = [
        f"{name}/" if kind == "directory" else name if kind == "file" else f"{name} (not a regular file)"
        for name, kind, _ in workspace.entries(path)
    ]
    more = len(entries) - MAX_LISTED
    return {"entries": entries[:MAX_LISTED], **({"not_shown": more} if more > 0 else {})}


def _read(workspace: Workspace, path: str, offset: int) -> dict[str, Any]:
    data, size = workspace.read(path, MAX_SHOWN_BYTES, max(0, offset))
    end = max(0, offset) + len(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        if not (end < size and e.start >= max(1, len(data) - 3)):  # a character of which the end left a part
            raise WorkspaceError(f"{path}: it is not a text file (not UTF-8 at byte {offset + e.start})") from e
        end -= len(data) - e.start
        text = data[: e.start].decode()
    more = {"truncated": f"{size - end:,} more bytes: read on with offset {end}"} if end < size else {}
    return {"content": text, **more}


def _write(workspace: Workspace, path: str, content: str) -> dict[str, Any]:
    data = _encoded(content)
    workspace.write(path, data)
    return {"written_bytes": len(data)}


def _replace(workspace: Workspace, path: str, old: str, new: str) -> dict[str, Any]:
    if not old:
        raise WorkspaceError("argument 'old' is empty")
    data, size = workspace.read(path)
    if size > len(data):
        raise WorkspaceError(f"{path}: {size:,} bytes are too large to edit")
    before, after = _encoded(old), _encoded(new)
    times = data.count(before)
    if times != 1:
        raise WorkspaceError(f"{path}: the text to replace occurs {times} times, not once")
    workspace.write(path, data.replace(before, after))
    return {"replaced": 1}


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as e:
        raise WorkspaceError(f"the text has a character that is not valid Unicode at {e.start}") from e


_TOOLS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "list_files": _list,
    "read_file": _read,
    "write_file": _write,
    "replace_in_file": _replace,
}
