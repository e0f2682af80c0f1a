"""pydantic's errors in the words of this project: the key, what was expected and what came."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def first_error(error: ValidationError, root: type[BaseModel], origin: str) -> str:
    """The first error in words, and how many more there are."""
    one = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in one["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    kind = one["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{origin}: unknown key {key!r}{_near(root, key)}{more}"
    if kind == "missing":
        return f"{origin}: expected the key {key!r}, got none; add it{more}"
    if kind == "value_error":
        return f"{origin}: {expected(one)}{more}"
    return f"{origin}: {key}: {expected(one)}, got {one['input']!r}{more}"


def expected(error: Any) -> str:
    """What one of pydantic's errors expected, in our words; of a value that we refused ourselves, what we said."""
    kind = error["type"]
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind in ("model_type", "dataclass_type", "dict_type"):
        return "expected a table"
    if kind == "too_short":
        return f"expected {error['ctx']['min_length']} or more values"
    message = str(error["msg"])
    for beginning in ("Input should be ", "String should "):
        if message.startswith(beginning):
            return f"expected {message.removeprefix(beginning)}"
    return message[:1].lower() + message[1:]


def _near(root: type[BaseModel], key: str) -> str:
    part: Any = root
    for parent in key.split(".")[:-1]:
        field = part.model_fields.get(parent) if hasattr(part, "model_fields") else None
        part = field.annotation if field else None
        part = next(iter(get_args(part)), part)  # the table of one that may be left out
    names = list(getattr(part, "model_fields", ())) or ([one.name for one in fields(part)] if is_dataclass(part) else [])
    return f"; expected one of {', '.join(names)}" if names else "; remove it"
