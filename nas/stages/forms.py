"""Forms: how a model is run. Every form takes an ordinary model and gives one with the same methods."""

from collections.abc import Callable, Mapping

from nas.stages.int8_linear import in_int8
from nas.stages.storage import Stored
from nas.stages.ternary_kernels import in_whole_numbers
from nas.stages.ternary_library import in_two_bits
from search_spaces.model import Model

Form = Callable[[Model, Mapping[str, Stored]], Model]


def _as_it_is(model: Model, stored: Mapping[str, Stored]) -> Model:
    return model


ALL_FORMS: dict[str, Form] = {
    "float": _as_it_is,
    "int8": in_int8,
    "ternary": in_whole_numbers,
    "ternary_2_bits": in_two_bits,
}


def formed(form: str, model: Model, stored: Mapping[str, Stored]) -> Model:
    """The model in that form, in evaluation mode. The model itself may be changed.

    Raises:
        ValueError: there is no such form, or a library that it needs is not installed.
    """
    if form not in ALL_FORMS:
        raise ValueError(f"expected a form of {', '.join(ALL_FORMS)}, got {form!r}")
    return ALL_FORMS[form](model, stored)
