"""The key of the LLM server: from the environment or from systemd, and nowhere else, so that no file or log has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from autoresearch.config.secrets import KEY_VARIABLE
from autoresearch.errors import ConfigError

VARIABLE = KEY_VARIABLE  # not OPENAI_API_KEY: that one is for somebody else's server
CREDENTIAL = "llm-key"  # systemd: LoadCredential=llm-key:/etc/autoresearch/llm-key
MAX_KEY_BYTES = 4096
SECRET_FROM = 8  # characters; a shorter one ("x", "EMPTY") is no secret, and other words hold its letters


def llm_key(environ: Mapping[str, str]) -> str | None:
    """The key, or ``None`` where the server needs none. Raises ``ConfigError`` for one that no header can carry."""
    key, origin = environ.get(VARIABLE, "").strip(), f"environment {VARIABLE}"
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not key and directory:
        origin = f"credential {CREDENTIAL}"
        try:
            key = (Path(directory) / CREDENTIAL).read_bytes()[: MAX_KEY_BYTES + 1].decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as e:
            raise ConfigError(f"cannot read the {origin}: {e.strerror}", hint="see LoadCredential= of the unit") from e
    if not (key.isascii() and (key.isprintable() or not key)) or len(key) > MAX_KEY_BYTES:
        raise ConfigError(f"{origin}: it holds what no HTTP header can carry", hint="one line of printable ASCII")
    return key or None


def without_key(key: str | None) -> Callable[[str], str]:
    """What takes the key out of a server's words, also where JSON spells it with escapes."""
    if not key or len(key) < SECRET_FROM:
        return lambda words: words
    spelled = "".join(rf"(?:\\u00(?i:{ord(c):02x})|\\?{re.escape(c)})" for c in key)
    pattern = re.compile(spelled)
    return lambda words: pattern.sub("[key]", words)
