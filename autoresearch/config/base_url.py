"""Check the address of an LLM server before a run: a mistake in it must not look like a server that is down."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from autoresearch.config.secrets import KEY_VARIABLE

EXAMPLE = "http://localhost:8000/v1"
_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"  # letters of any script, digits, - and _ (container names have it)
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/{0,3}(?!\d)(?P<rest>.*)")
_MISTYPED = re.compile(r"(?P<scheme>https?)/{1,3}(?P<rest>.*)", re.IGNORECASE)  # without its colon
_ENDPOINT = re.compile(r"(/(chat/completions|completions|models|embeddings))+/?$")


def check_base_url(url: str) -> str:
    """``url`` without a slash at its end. Raises ``ValueError`` that says what is wrong and what to type."""
    if any(mark in url for mark in "@?#"):  # urlsplit would miss a password that contains a slash
        raise ValueError(f"a name, a password or a query in it would be logged; give a key as {KEY_VARIABLE}")
    if not url.isprintable() or any(c.isspace() or c in '\\<>"{}|^`' for c in url):
        raise ValueError(f"it contains a character that an address cannot have; type for example {EXAMPLE}")
    _check_scheme(url)
    parts = urlsplit(url)  # refuses brackets that do not match
    if not parts.hostname:
        raise ValueError(f"it has no host; type for example {EXAMPLE}")
    if not _is_host(parts.hostname):
        raise ValueError(f"{parts.hostname!r} is not the name or the address of a host; type for example {EXAMPLE}")
    _check_port(parts)
    if endpoint := _ENDPOINT.search(parts.path):
        raise ValueError(f"{endpoint[0]} is added by the program; type {url[: -len(endpoint[0])]}")
    return url.rstrip("/")


def _check_scheme(url: str) -> None:
    """Refuse every beginning but ``http://`` and ``https://``, written once."""
    lower = url.lower()
    if lower.startswith(("http://", "https://")):
        if re.match(r"https?:/*https?:?/", lower):
            raise ValueError(f"http:// is written twice; type {url.partition('://')[2]}")
        return
    if match := _MISTYPED.fullmatch(url) or _SCHEME.fullmatch(url):
        rest = match["rest"].lstrip("/")
        if match["scheme"].lower() in ("http", "https"):
            raise ValueError(
                f"two slashes follow http: in an address; type {match['scheme'].lower()}://{rest or '...'}"
            )
        if "//" in url:  # not "my-host:/v1", where the port is missing
            where = "HOST:PORT/v1" if match["scheme"].lower() in ("unix", "file") else rest or "HOST:PORT/v1"
            raise ValueError(f"{match['scheme']} is not http or https; type http://{where}")
    is_path = url.startswith(("/", ".")) and not url.startswith("//")
    raise ValueError(f"http:// is missing; type http://{'HOST:PORT/v1' if is_path else url.lstrip('/')}")


def _check_port(parts: SplitResult) -> None:
    try:
        port = parts.port
    except ValueError:  # not a number, or too large
        port = 0
    if port == 0:
        given = parts.netloc.rpartition(":")[2]
        raise ValueError(f"{given!r} is not a port (1 to 65535); type for example {EXAMPLE}")


def _is_host(name: str) -> bool:
    if re.fullmatch(r"[\d.]+", name):
        return _is_ip(name, version=4)
    if ":" not in name:
        return len(name) <= 253 and _HOST_NAME.fullmatch(name) is not None
    return _is_ip(name, version=6)


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
