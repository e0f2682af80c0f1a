"""Stages in a user's words: NAME or NAME:KEY=VALUE,KEY=VALUE, as on the command line and in experiment files."""

from collections.abc import Iterable
from dataclasses import MISSING, fields

from pydantic import TypeAdapter, ValidationError

from nas.configuration_errors import expected
from nas.errors import UserError
from search_spaces.stage import ALL_STAGES, Stage, Train

AFTER_TRAINING: tuple[type[Stage], ...] = tuple(one for one in ALL_STAGES if one is not Train)


def parse_stage(text: str) -> Stage:
    """The stage of such words.

    Raises:
        UserError: there is no such stage, or it has no such key or cannot have that value.
    """
    name, _, rest = text.partition(":")
    kind = next((one for one in AFTER_TRAINING if one.name == name.strip()), None)
    if kind is None:
        names = ", ".join(one.name for one in AFTER_TRAINING)
        raise UserError(f"stage {text!r}: expected one of {names}, got {name.strip()!r}; write for example drop:share=0.25")
    known = tuple(one.name for one in fields(kind))  # type: ignore[arg-type]
    given: dict[str, str] = {}
    for setting in filter(None, (one.strip() for one in rest.split(","))):
        key, equals, value = (one.strip() for one in setting.partition("="))
        if key not in known or not equals or key in given:
            told = f"expected KEY=VALUE, each of {', '.join(known)} once" if known else "expected no settings"
            raise UserError(f"stage {text!r}: {told}, got {setting!r}; mend it")
        given[key] = value
    missing = [one.name for one in fields(kind) if one.default is MISSING and one.name not in given]  # type: ignore[arg-type]
    if missing:
        raise UserError(f"stage {text!r}: expected {' and '.join(missing)}, got none; write {name}:{missing[0]}=...")
    try:
        stage: Stage = TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        told = f"{first['loc'][0]}: {expected(first)}, got {first['input']!r}" if first["loc"] else expected(first)
        raise UserError(f"stage {text!r}: {told}; mend it") from error
    return stage


def stage_words(stage: Stage) -> str:
    """The words from which `parse_stage` makes the stage; what is at its default is left out."""
    settings = [
        f"{one.name}={getattr(stage, one.name)}"
        for one in fields(stage)  # type: ignore[arg-type]
        if one.default is MISSING or getattr(stage, one.name) != one.default
    ]
    return stage.name + (":" + ",".join(settings) if settings else "")


def chain_words(stages: Iterable[Stage]) -> str:
    """Stages in order as one text, for names."""
    return "+".join(map(stage_words, stages))
