"""The frozen, strict value that every record of every journal is made of."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from autoresearch.errors import JournalDamaged

T = TypeVar("T")


class Plain(BaseModel):
    """A frozen value: unknown fields, wrong types, NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def decoded(kind: TypeAdapter[T], payload: bytes | str) -> T:
    """A record of this kind from its JSON. Raises ``JournalDamaged`` saying which field is wrong."""
    try:
        return kind.validate_json(payload)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise JournalDamaged(f"{where}: {first['msg']}") from e
