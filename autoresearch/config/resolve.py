"""Resolve settings: profile TOML < the user's TOML < environment < flags; frozen, checked, each with its origin.

A setting is named by its dotted path (``budget.size``). In the environment it is ``AUTORESEARCH_BUDGET__SIZE``.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoresearch.config.secrets import KEY_VARIABLE, SECRETS
from autoresearch.config.settings import DEFAULT_PROFILE, Section, Settings
from autoresearch.errors import ConfigError

ENV_PREFIX = "AUTORESEARCH_"
UNCHECKED = ("baseline.", "menu.", "climb.first_baseline.")  # tables whose names are those of knobs
COMMAND = "command"  # the trainer whose menu and baseline are the user's, and the profile without either


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and the origin of each dotted name that a layer gave."""

    settings: Settings
    origins: Mapping[str, str]


def profile_names() -> list[str]:
    """The names of the profiles in the package."""
    files = (resources.files("autoresearch.config") / "profiles").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def resolve(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: Path | None = None,
    default_profile: str = DEFAULT_PROFILE,
    baseline: tuple[str, Mapping[str, Any]] | None = None,
    run: tuple[str, Mapping[str, Any]] | None = None,
) -> Resolved:
    """Merge the four layers. Raises ``ConfigError`` naming field, value and origin, and the nearest valid name.

    ``baseline``: the origin and the settings of ``--baseline``, above the environment and below the flags. ``run``:
    those of a run that is continued or repeated, directly above the profile.
    """
    upper: list[tuple[str, Mapping[str, Any]]] = [run] if run else []
    upper += [(f"file {file}", read_toml(file))] if file else []
    upper += [(f"environment {name}", layer) for name, layer in _from_environment(environ)]
    upper += [baseline] if baseline else []
    upper += [("flag", _nest(flags))]
    if next((layer["trainer"] for _, layer in reversed(upper) if "trainer" in layer), None) == COMMAND:
        default_profile = COMMAND
    profile = next((layer["profile"] for _, layer in reversed(upper) if "profile" in layer), default_profile)
    defaults = {"profile": profile, **profile_values(str(profile))}
    if any("menu_file" in layer for _, layer in upper):
        defaults.pop("menu", None)  # the profile's changes are to the package's menu
    layers = [(f"profile {profile}", defaults), *upper]
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        _check_names(layer, origin)
        _merge(merged, layer)
        origins |= dict.fromkeys(_dotted(layer), origin)
    try:
        return Resolved(Settings.model_validate(merged), origins)
    except ValidationError as e:
        raise _first_error(e, origins) from e


def setting_names() -> list[str]:
    """Return every dotted name, for help and for the nearest match."""
    names: list[str] = []
    for name, field in Settings.model_fields.items():
        section = field.annotation
        is_section = isinstance(section, type) and issubclass(section, Section)
        names += [f"{name}.{inner}" for inner in section.model_fields] if is_section else [name]  # type: ignore[union-attr]
    return names


def flat_settings(resolved: Resolved) -> list[tuple[str, Any, str, str]]:
    """Return every setting as (dotted name, value, origin, description)."""
    rows: list[tuple[str, Any, str, str]] = []
    for name, value in _leaves(resolved.settings.model_dump(mode="json")):
        rows.append((name, value, resolved.origins.get(name, "default"), _description(name)))
    return rows


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _description(name: str) -> str:
    section, _, inner = name.partition(".")
    field = Settings.model_fields[section]
    if inner and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        field = field.annotation.model_fields[inner]
    return field.description or ""


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parse ``NAME=VALUE`` of ``--set``: the value is TOML where it parses as TOML, else a plain string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: no '='", hint="write --set budget.size=300")
    return name.strip(), _parse_value(value.strip())


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text


def profile_values(name: str) -> dict[str, Any]:
    """The settings of a profile's file, nested. Raises ``ConfigError`` for a name that is not a profile's."""
    if name not in profile_names():
        raise ConfigError(
            f"profile = {name!r} is not one of {', '.join(profile_names())}", hint=_nearest(name, profile_names())
        )
    return tomllib.loads((resources.files("autoresearch.config") / "profiles" / f"{name}.toml").read_text())


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_decode(path.read_bytes()))
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror}") from e
    except (ValueError, RecursionError) as e:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise ConfigError(f"{path} is not TOML: {e}") from e


def _decode(content: bytes) -> str:
    """Text of a file: UTF-8, with or without the byte order mark that editors write, or UTF-16 with one."""
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return content.decode(encoding).replace("\r\n", "\n")


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in SECRETS:
            dotted = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            yield name, _nest({dotted: _parse_value(environ[name])})


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``{"budget.size": 3}`` into ``{"budget": {"size": 3}}``."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        table = nested
        for key in path:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(
                    f"{name} is below a setting that has a value of its own",
                    hint="`autoresearch config` lists every setting",
                )
        table[last] = value
    return nested


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        replaces = isinstance(value, Mapping) and "type" in value  # a knob of another type has other fields
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and not replaces:
            _merge(into[key], value)
        else:
            into[key] = json.loads(json.dumps(value, default=str)) if isinstance(value, Mapping) else value


def _dotted(layer: Mapping[str, Any]) -> list[str]:
    return [name for name, _ in _leaves(layer)]


def _check_names(layer: Mapping[str, Any], origin: str) -> None:
    known = setting_names()
    sections = {name.partition(".")[0] for name in known}
    for name, value in _leaves(layer):
        unchecked = name.startswith(UNCHECKED) or (value == {} and name in sections)
        if not unchecked and name not in known:
            hint = (
                f"the key is not a setting: give it as {KEY_VARIABLE}" if name == "llm.key" else _nearest(name, known)
            )
            raise ConfigError(f"unknown setting {name} ({origin})", hint=hint)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "`autoresearch config` lists every setting"


def _first_error(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    parts = [str(p) for p in first["loc"]]
    name = next(
        (".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in origins), ".".join(parts)
    )
    problem = first["msg"].removeprefix("Value error, ")
    shown = _without_password(repr(first["input"])) if name == "llm.base_url" else repr(first["input"])
    origin = origins.get(name, "default")
    return ConfigError(f"{name} = {shown} ({origin}): {problem}", hint=_where_to_change(name, origin))


def _where_to_change(name: str, origin: str) -> str:
    """Which setting to change, in the layer that gave its value."""
    kind, _, place = origin.partition(" ")
    if kind == "file":
        return f"change {name} in {place}"
    return f"change the variable {place}" if kind == "environment" else f"--set {name}=VALUE with another value"


def _without_password(shown: str) -> str:
    """Remove user, password, query and fragment from a quoted URL: the message that refuses a secret is logged too."""
    before_at = re.sub(r"""(['"](?:\w+://)?).*@""", r"\1...@", shown)
    return re.sub(r"[?#].*(?=['\"])", "?...", before_at)
