"""Designs: a name, an Architecture and the Stages that make a model of it. A searched candidate is a Design too."""

from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import ALL_KINDS, Architecture
from search_spaces.plain import from_plain, to_plain
from search_spaces.stage import ALL_STAGES, Stage, Train


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is compared: `family` groups the sizes of one design, `paper` says where it comes from."""

    name: str
    family: str
    architecture: Architecture
    stages: tuple[Stage, ...] = (Train(),)
    paper: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON data."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_plain(cls, data: Any) -> "Design":
        """The design of plain data. Raises ValueError when it is not one."""
        design = from_plain(data, (Design, *ALL_KINDS, *ALL_STAGES))
        if not isinstance(design, cls):
            raise ValueError(f"expected a Design, got {type(design).__name__}")
        return design
