"""The `co2_eq_emissions` block of a Hugging Face model card, one file a design: grams of CO2e of training that model once.

The block's fields are those of huggingface.co/docs/hub/model-cards-co2: emissions (grams), source, training_type,
geographical_location, hardware_used. Strings are written as JSON, which is YAML.
"""

import json
import re
from collections.abc import Sequence

from nas.records import Record
from reports.basis import Basis
from reports.design_costs import DesignCost
from reports.scenarios import Range
from reports.words import how_known, significant

FIRST_WORDS = "# Emissions of training"
"""How every card begins, by which a later report knows its own."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def model_cards(basis: Basis, designs: Sequence[str]) -> dict[str, str]:
    """File name and text of a card for each of these designs whose training energy is known."""
    found: dict[str, str] = {}
    for cost in basis.design_costs:
        if cost.model.design in designs and cost.training_loaded_uj is not None:
            found[_file_name(cost.model.design, found)] = _card(basis, cost, cost.training_loaded_uj)
    return found


def _file_name(design: str, taken: dict[str, str]) -> str:
    """A name that every file system takes, not yet taken by another design."""
    stem = _UNSAFE.sub("_", design).strip(".") or "design"
    names = (f"{stem}{f'-{number}' if number > 1 else ''}.yaml" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _card(basis: Basis, cost: DesignCost, training_uj: Range) -> str:
    grams = basis.settings.searched_range_g(training_uj)
    seeds, record = len(cost.model.counted), cost.model.counted[0][0]
    counted = "one training" if seeds == 1 else f"one training (mean of {seeds})"
    source = (
        f"carbon-nas, {how_known(basis.source)}; fully loaded energy of {counted} times the grid's average intensity, PUE "
        f"{basis.settings.pue.central:g}; range {significant(grams.low)} to {significant(grams.high)} g"
    )
    block = (
        ("emissions", json.dumps(round(grams.central, 6))),
        ("source", _text(source)),
        ("training_type", _text("pre-training")),
        ("geographical_location", _text(basis.settings.searched_in.name)),
        ("hardware_used", _text(hardware_words(record))),
    )
    lines = [f"{FIRST_WORDS} {_text(cost.model.design)} once, in grams of CO2e."]
    if cost.model.searched:
        lines.append("# What the search for it cost is not in them: see energy.json.")
    return "\n".join([*lines, "co2_eq_emissions:", *(f"  {name}: {value}" for name, value in block), ""])


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=True)


def hardware_words(record: Record) -> str:
    """The machine that a record was made on."""
    cores, cpu = record.machine.get("cores"), record.machine.get("cpu") or "a processor that is not known"
    gpus = record.machine.get("gpus")
    named = ", ".join(str(one.get("name", one) if isinstance(one, dict) else one) for one in gpus) if gpus else ""
    return (f"{cores} cores of {cpu}" if cores else str(cpu)) + (f"; {named}" if named else "")
