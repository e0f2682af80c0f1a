"""The registry: every hand-made design at every size."""

from manual_designs import (
    bitnet,
    deit,
    differential_transformer,
    evolved_transformer,
    gpt2,
    hat,
    lightweight_convolution,
    linformer,
    lite_transformer,
    llama,
    llava,
    roberta,
    transformer,
)
from search_spaces.design import Design

ALL_DESIGNS: tuple[Design, ...] = (
    *transformer.DESIGNS,
    *lite_transformer.DESIGNS,
    *lightweight_convolution.DESIGNS,
    *evolved_transformer.DESIGNS,
    *hat.DESIGNS,
    *differential_transformer.DESIGNS,
    *linformer.DESIGNS,
    *roberta.DESIGNS,
    *gpt2.DESIGNS,
    *llama.DESIGNS,
    *bitnet.DESIGNS,
    *deit.DESIGNS,
    *llava.DESIGNS,
)


def find_design(name: str) -> Design:
    """The design of that name. Raises KeyError listing the known ones."""
    for design in ALL_DESIGNS:
        if design.name == name:
            return design
    raise KeyError(f"expected a design of {', '.join(one.name for one in ALL_DESIGNS)}; got {name!r}")
