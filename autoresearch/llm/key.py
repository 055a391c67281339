"""The key of the LLM server: read from the environment or a systemd credential only, so that no file or log has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from autoresearch.config.secrets import KEY_VARIABLE
from autoresearch.errors import ConfigError

VARIABLE = KEY_VARIABLE  # not OPENAI_API_KEY, which is meant for another server
CREDENTIAL = "llm-key"  # systemd: LoadCredential=llm-key:/etc/autoresearch/llm-key
MAX_KEY_BYTES = 4096
MIN_SECRET_CHARS = 8  # a shorter key ("x", "EMPTY") is not a secret, and its letters occur in ordinary text


def llm_key(environ: Mapping[str, str]) -> str | None:
    """The key, or ``None`` if none is set. Raises ``ConfigError`` for one that an HTTP header cannot carry."""
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
        raise ConfigError(
            f"{origin}: an HTTP header cannot carry this key", hint="it must be one line of printable ASCII"
        )
    return key or None


def key_redactor(key: str | None) -> Callable[[str], str]:
    """A function that replaces the key in a text by ``[key]``, also where JSON spells it with escapes."""
    if not key or len(key) < MIN_SECRET_CHARS:
        return lambda text: text
    spelled = "".join(rf"(?:\\u00(?i:{ord(c):02x})|\\?{re.escape(c)})" for c in key)
    pattern = re.compile(spelled)
    return lambda text: pattern.sub("[key]", text)
