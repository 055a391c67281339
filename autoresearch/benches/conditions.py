"""Under which conditions a bench run was made, and what differs between two of them."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from autoresearch import __version__
from autoresearch.benches.records import BenchMeta

FIXED = ("suite", "cases_sha256", "model", "sampling", "prompt_sha256", "limits", "options", "imported")
PACKAGES = ("openai", "math-verify", "bm25s", "PyYAML")  # whose version may change a result
SHOWN_CHARS = 60


def differences(old: BenchMeta, new: BenchMeta) -> list[str]:
    """What keeps a run with ``old`` from being continued with ``new``, one text for each; empty where nothing does."""
    found: list[str] = []
    for name in FIXED:
        a, b = getattr(old, name), getattr(new, name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += [_difference(f"{name}.{key}", a.get(key), b.get(key)) for key in _differing(a, b)]
        elif name == "cases_sha256" and a != b:
            found.append(f"the cases: {old.cases} with sha256 {a[:12]}, now {new.cases} with {b[:12]}")
        elif name == "prompt_sha256" and a != b:
            found.append(f"the prompt: sha256 {a[:12]}, now {b[:12]}")
        elif a != b:
            found.append(_difference(name, a, b))
    if new.samples < old.samples:
        found.append(f"samples: {old.samples}, now {new.samples} (they may grow, not shrink)")
    return found


def sampling_record(asked: Mapping[str, Any], refused: Sequence[str]) -> dict[str, Any]:
    """The sampling as sent: ``None`` where a parameter has no value or is refused; the refused ones stand apart."""
    lost = {name: asked[name] for name in sorted(refused) if asked.get(name) is not None}
    return {**{name: None if name in lost else value for name, value in asked.items()}, "refused": lost}


def sha256_of_text(text: str) -> str:
    """The hash of the prompt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def current_versions() -> dict[str, str]:
    """Versions of what a result may depend on, as installed here."""
    found = {"autoresearch": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*a, *b}) if a.get(key) != b.get(key) or (key in a) != (key in b)]


def _difference(name: str, a: Any, b: Any) -> str:
    return f"{name}: {_shown(a)}, now {_shown(b)}"


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
