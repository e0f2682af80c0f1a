"""Designs: a name, an Architecture and the Stages that make a model of it. A searched candidate is a Design too."""

from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import ALL_KINDS, Architecture
from search_spaces.counting import COUNTED_TOKENS, Size, size
from search_spaces.ends import Sizes
from search_spaces.plain import from_plain, to_plain
from search_spaces.stage import ALL_STAGES, Stage, Train


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Vocabularies and lengths that a design's published counts belong to; by default Lite Transformer's for WMT."""

    source_vocabulary: int = 32768
    target_vocabulary: int = 32768
    source_tokens: int = COUNTED_TOKENS
    target_tokens: int = COUNTED_TOKENS

    @property
    def sizes(self) -> Sizes:
        """The vocabularies as Sizes."""
        return Sizes(source_vocabulary=self.source_vocabulary, target_vocabulary=self.target_vocabulary)


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is compared: `family` groups the sizes of one design, `paper` says where it comes from.

    `setting` is that of its published counts and changes nothing about the model.
    """

    name: str
    family: str
    architecture: Architecture
    stages: tuple[Stage, ...] = (Train(),)
    paper: str = ""
    setting: Setting = Setting()

    def size(self) -> Size:
        """Parameters and MACs in its setting."""
        here = self.setting
        return size(self.architecture, here.sizes, here.source_tokens, here.target_tokens)

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_plain(cls, data: Any) -> "Design":
        """The design of plain data. Raises ValueError when it is not one."""
        design = from_plain(data, (Design, Setting, *ALL_KINDS, *ALL_STAGES))
        if not isinstance(design, cls):
            raise ValueError(f"expected a Design, got {type(design).__name__}")
        return design
