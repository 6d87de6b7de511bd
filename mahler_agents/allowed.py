"""Below all stages: a field's annotation in, what it allows in words out: `a number above 0, at most 1`."""

import datetime as dt
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

_KINDS = {
    dt.time: "a time such as 09:45",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


def allowed(annotation: Any) -> str:
    """Return what an annotation allows, with its range or its choices; that None is allowed too is not said."""
    plain, constraints = _unwrapped(annotation)
    if (named := choices(plain)) is not None:
        return f"one of {', '.join(named)}"
    if get_origin(plain) is tuple:
        return f"a list, each {allowed(get_args(plain)[0])}"
    if isinstance(get_origin(plain), type) and issubclass(get_origin(plain), Mapping):
        return f"a table, each {allowed(get_args(plain)[1])}"
    return _KINDS.get(plain, "a text") + _range(constraints)


def what_to_use(error: ValidationError, annotation: Any) -> str:
    """Return what to write instead of a value that was refused: what its check says, or else what is allowed."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    return said if first["type"] == "value_error" else f"use {allowed(annotation)}"


def choices(annotation: Any) -> list[str] | None:
    """Return the closed set of texts that an annotation allows, None if it is not one."""
    plain, _ = _unwrapped(annotation)
    if get_origin(plain) is Literal:
        return [str(one) for one in get_args(plain)]
    if isinstance(plain, type) and issubclass(plain, Enum):
        return [str(one.value) for one in plain]
    return None


def is_secret(annotation: Any) -> bool:
    """Return whether a value of this annotation must not be shown."""
    plain, _ = _unwrapped(annotation)
    return plain is SecretStr or any(is_secret(one) for one in get_args(plain) if one is not Ellipsis)


def plain_of(annotation: Any) -> Any:
    """Return an annotation without its constraints and its `| None`."""
    return _unwrapped(annotation)[0]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in {Union, UnionType}:
        kept = [one for one in get_args(annotation) if one is not NoneType]
        if len(kept) == 1:
            return kept[0]
    return annotation


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """Return an annotation without None and `Annotated`, and the constraints that these carried."""
    constraints: list[Any] = []
    plain = _without_none(annotation)
    while get_origin(plain) is Annotated:
        plain, *more = get_args(plain)
        for one in more:
            constraints += one.metadata if isinstance(one, FieldInfo) else [one]
        plain = _without_none(plain)
    return plain, constraints


def _range(constraints: list[Any]) -> str:
    lowest = next((f"from {one.ge:g}" for one in constraints if isinstance(one, Ge)), None)
    above = next((f"above {one.gt:g}" for one in constraints if isinstance(one, Gt)), None)
    most = next((one.le for one in constraints if isinstance(one, Le)), None)
    below = next((f"below {one.lt:g}" for one in constraints if isinstance(one, Lt)), None)
    upper = below if most is None else f"to {most:,}" if lowest else f"at most {most:,}"
    low = lowest or above
    if low is None or upper is None:
        return f" {low or upper}" if low or upper else ""
    return f" {low} {upper}" if lowest else f" {low}, {upper}"
