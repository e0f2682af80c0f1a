"""Writes `macs_by_length.csv`: python -m manual_designs.make_macs_table. A test holds that the file is what this writes."""

import csv
from io import StringIO

from manual_designs.all_designs import find_design
from manual_designs.published_macs import TABLE
from search_spaces.components import LENGTHS, PARTS, work_by_length

BASES = (
    "transformer-wmt-512",
    "lite_transformer-wmt-496",
    "evolved_transformer-512",
    "roberta-base",
    "linformer-512-k128",
    "gpt2-small",
    "llama-7b",
)
"""The base sizes of papers that say where the work of a model is, or what to save it on."""


def table() -> str:
    """The file's text."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("design", "paper", "tokens", *PARTS))
    for name in BASES:
        design = find_design(name)
        for tokens, macs in work_by_length(design.architecture, design.setting.sizes, LENGTHS).items():
            writer.writerow((name, design.paper, tokens, *macs.values()))
    return out.getvalue()


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
