"""Frozen values to plain JSON data and back.

Each dataclass becomes an object with its class name under "kind"; fields at their default are left out, so that a field
added later changes neither old files nor hashes.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any


def to_plain(value: Any) -> Any:
    """Plain JSON data of a frozen dataclass, a tuple of them, or a scalar."""
    if is_dataclass(value) and not isinstance(value, type):
        data = {"kind": type(value).__name__}
        for one in fields(value):
            content = getattr(value, one.name)
            if one.default is MISSING or content != one.default:
                data[one.name] = to_plain(content)
        return data
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(data: Any, kinds: tuple[type, ...]) -> Any:
    """The value of plain data, made of the classes in `kinds`.

    Raises:
        ValueError: an unknown kind, or fields that the kind does not have; the message lists the known ones.
    """
    if isinstance(data, Mapping):
        known = {kind.__name__: kind for kind in kinds}
        kind = known.get(data.get("kind", ""))
        if kind is None:
            raise ValueError(f"expected a kind of {', '.join(sorted(known))}, got {data.get('kind')!r}")
        content = {name: from_plain(item, kinds) for name, item in data.items() if name != "kind"}
        try:
            return kind(**content)
        except TypeError as error:
            raise ValueError(f"{kind.__name__}: {error}") from error
    if isinstance(data, list | tuple):
        return tuple(from_plain(item, kinds) for item in data)
    return data
