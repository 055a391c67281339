"""Plain values that every record is made of: the frozen model, number types, a configuration and its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from autoresearch.errors import JournalDamaged

T = TypeVar("T")


class FrozenModel(BaseModel):
    """A frozen value: unknown fields, wrong types, NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def decode_record(kind: TypeAdapter[T], payload: bytes | str) -> T:
    """Decode a record of this kind. Raises ``JournalDamaged`` with the field that is wrong."""
    try:
        return kind.validate_json(payload)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the record"
        raise JournalDamaged(f"{where}: {first['msg']}") from e


KnobValue = int | float | str
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
Cfg = dict[str, KnobValue]


def sha256_of(value: FrozenModel | Mapping[str, Any]) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal."""
    plain = value.model_dump(mode="json") if isinstance(value, FrozenModel) else dict(value)
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
