"""What `carbon-nas designs` lists."""

from typing import Any

from manual_designs.all_designs import ALL_DESIGNS
from manual_designs.published import PUBLISHED_MACS
from search_spaces.counting import size
from search_spaces.ends import Sizes, TokenEnds

# The vocabularies of the published models: 32,768 joint entries for WMT, 8,848 German and 6,632 English for IWSLT.
JOINT = Sizes(source_vocabulary=32768, target_vocabulary=32768)
APART = Sizes(source_vocabulary=8848, target_vocabulary=6632)


def list_designs() -> list[dict[str, Any]]:
    """One row a design, in registry order."""
    rows = []
    for design in ALL_DESIGNS:
        sizes = APART if design.architecture.ends == TokenEnds(tying="none") else JOINT
        counted = size(design.architecture, sizes)
        rows.append(
            {
                "design": design.name,
                "family": design.family,
                "paper": design.paper,
                "params_paper": counted.params_paper,
                "macs_paper": counted.macs.paper,
                "params": counted.params,
                "macs": counted.macs.total,
                "macs_items": counted.macs.items(),
                "published_macs": PUBLISHED_MACS.get(design.name),
                "vocabulary": sizes.target_vocabulary,
            }
        )
    return rows
