"""The state of a fold as a pydantic model, for a cache: every field of its dataclass, with that field's own type."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

T = TypeVar("T")

STRICT = ConfigDict(strict=True, extra="forbid", ser_json_inf_nan="constants")


def model_of(kind: type[Any], without: Collection[str] = (), **more: Any) -> type[BaseModel]:
    """A model of the dataclass ``kind``; ``more`` are the types of fields that it has beside or in place of its own."""
    hints = get_type_hints(kind, include_extras=True)
    names = [f.name for f in fields(kind) if f.name not in without and f.name not in more]
    types: Any = {name: (hints[name], ...) for name in names} | {name: (of, ...) for name, of in more.items()}
    return create_model(f"{kind.__name__}State", __config__=STRICT, **types)


def capture(model: type[BaseModel], fold: Any, **more: Any) -> BaseModel:
    """The state of ``fold``, which is not copied: encode it before the fold changes."""
    own = {name: getattr(fold, name) for name in model.model_fields if name not in more}
    return model.model_construct(**own, **more)


def restore(fold: T, state: BaseModel, without: Collection[str] = ()) -> T:
    """Set the fields of ``fold`` to those of ``state``."""
    for name in type(state).model_fields:
        if name not in without:
            setattr(fold, name, getattr(state, name))
    return fold
