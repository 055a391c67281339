"""Data and code for script elements: safe JSON, reproducible object ids, the Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

_ID = re.compile(r"p\d+")
# Characters that could end a script element or a line of JavaScript, or begin an HTML comment.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def script_json(value: Any) -> Markup:
    """``value`` as JSON that is safe inside a script element, whatever its strings contain."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.encode("utf-8", "replace").decode().translate(_UNSAFE))


def script_code(text: str) -> Markup:
    """Code, unchanged. Raises ``ValueError`` if it would end its own element: a bug of this package or of Bokeh."""
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("this code cannot be put into a script element: it contains </script or <!--")
    return Markup(text)


def renumber_ids(value: Any) -> Any:
    """A figure's JSON with object ids that count from 1: Bokeh's own ids count through the whole process."""
    known: dict[str, str] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: _renumbered_id(node[key], known) if key == "id" else walk(node[key]) for key in node}
        return [walk(item) for item in node] if isinstance(node, list) else node

    return walk(value)


def _renumbered_id(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str) and _ID.fullmatch(value):
        return known.setdefault(value, f"p{len(known) + 1}")
    return value


def content_security_policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy: no network access, and only ``scripts``, by their hashes."""
    hashes = " ".join(f"'sha256-{_digest(code)}'" for code in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
