"""The text of a Python script in its file: read and written in the encoding that the script itself declares."""

from __future__ import annotations

import io
import os
import tokenize
from pathlib import Path

from autoresearch.trials.command.constants import ScriptError

MAX_SCRIPT_BYTES = 4 << 20


def read_script(path: Path) -> str:
    """The text of a script, line ends untouched. Raises ``ScriptError`` for one that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
    except OSError as e:
        raise ScriptError(f"it cannot be read: {e.strerror}") from e
    if len(data) > MAX_SCRIPT_BYTES:
        raise ScriptError(f"it has more than {MAX_SCRIPT_BYTES >> 20} MiB")
    try:
        return data.decode(_encoding(data))
    except (SyntaxError, UnicodeError, LookupError) as e:  # LookupError: an encoding that is not one of text, as rot13
        raise ScriptError(f"it is not a text file in the encoding that it declares (UTF-8 if none): {e}") from e


def write_copy(text: str, source: str, script: Path, copy: Path) -> None:
    """Write ``text``, made of ``script``'s ``source``, in its encoding, executable if it is. Raises ``ScriptError``."""
    try:
        copy.write_bytes(text.encode(_encoding(source.encode()), "backslashreplace"))  # only new values are escaped
        copy.chmod(0o700 if os.access(script, os.X_OK) else 0o600)
    except OSError as e:
        raise ScriptError(f"cannot write the copy {copy}: {e.strerror}") from e


def _encoding(data: bytes) -> str:
    return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
