"""The registry: every hand-made design at every size."""

from manual_designs import lite_transformer, transformer
from search_spaces.design import Design

ALL_DESIGNS: tuple[Design, ...] = (*transformer.DESIGNS, *lite_transformer.DESIGNS)


def find_design(name: str) -> Design:
    """The design of that name. Raises KeyError listing the known ones."""
    for design in ALL_DESIGNS:
        if design.name == name:
            return design
    raise KeyError(f"expected a design of {', '.join(one.name for one in ALL_DESIGNS)}; got {name!r}")
