"""The parameters of a request: from its path, its query string and its body, each of its declared type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from autoresearch.benches.workflow.database import all_parameters
from autoresearch.benches.workflow.task import Endpoint


class BadRequest(Exception):
    """The request cannot be carried out: status 400 with this message."""


def read_parameters(endpoint: Endpoint, path_values: Mapping[str, str], target: str, body: bytes) -> dict[str, Any]:
    """Every parameter of the request, converted to its declared type. Raises ``BadRequest``."""
    try:
        query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True, max_num_fields=100))
    except ValueError as e:
        raise BadRequest(f"the query string cannot be read: {e}") from e
    given = {**_json_object(body), **query, **path_values}
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError as e:
        raise BadRequest("a text holds half a surrogate pair") from e
    names = all_parameters(endpoint)
    if unknown := sorted(set(given) - set(names)):
        raise BadRequest(f"unknown parameter {unknown[0]!r}; known are: {', '.join(names) or 'none'}")
    missing = [name for name in names if name not in given and name not in endpoint.optional]
    if missing:
        raise BadRequest(f"missing parameter {missing[0]!r}")
    return {name: _converted(name, value, endpoint.types.get(name)) for name, value in given.items()}


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as e:
        raise BadRequest(f"the body is not JSON: {e}") from e
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON value")


_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


def _converted(name: str, value: Any, kind: str | None) -> Any:
    if value is not None and not isinstance(value, str | int | float | bool):
        raise BadRequest(f"parameter {name!r} must be a string, a number, a boolean or null")
    if isinstance(value, str) and "\0" in value:
        raise BadRequest(f"parameter {name!r} contains a NUL character")
    if value is None or kind is None:
        return value
    problem = BadRequest(f"parameter {name!r}: {value!r} is not {'an' if kind == 'integer' else 'a'} {kind}")
    match kind:
        case "string":
            return value if isinstance(value, str) else json.dumps(value)
        case "boolean":
            if value in (True, False, "true", "false"):
                return value in (True, "true")
            raise problem
        case "integer":
            if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
                return int(value)
            if isinstance(value, bool | str) or value != int(value):
                raise problem
            return int(value)
        case _:
            try:
                number = float(value)
            except (ValueError, OverflowError):
                raise problem from None
            if isinstance(value, bool) or number != number or number in (float("inf"), float("-inf")):
                raise problem
            return value if isinstance(value, int | float) else number
