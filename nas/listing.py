"""What `carbon-nas designs` lists."""

from typing import Any

from manual_designs.all_designs import ALL_DESIGNS
from manual_designs.published import PUBLISHED_MACS, PUBLISHED_PARAMS


def list_designs() -> list[dict[str, Any]]:
    """One row a design, in registry order, counted in the setting that its published counts belong to."""
    rows = []
    for design in ALL_DESIGNS:
        counted, setting = design.size(), design.setting
        rows.append(
            {
                "design": design.name,
                "family": design.family,
                "shape": design.architecture.shape,
                "paper": design.paper,
                "params_paper": counted.params_paper,
                "macs_paper": counted.macs.paper,
                "params": counted.params,
                "macs": counted.macs.total,
                "macs_items": counted.macs.items(),
                "published_params": PUBLISHED_PARAMS.get(design.name),
                "published_macs": PUBLISHED_MACS.get(design.name),
                "vocabulary": setting.target_vocabulary,
                "source_tokens": setting.source_tokens if design.architecture.encoder else None,
                "target_tokens": setting.target_tokens if design.architecture.decoder else None,
            }
        )
    return rows
