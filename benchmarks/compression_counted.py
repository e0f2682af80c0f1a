"""Compression at the sizes of Lite Transformer's figure, counted: Transformer, Lite Transformer, 8 bits, pruned.

Wu et al. 2020 (arXiv 2004.11886) tell 176 MB, 69.2 MB, 17.3 MB and 9.7 MB on WMT'14 En-Fr, 18.2 times less in all, and
not how positions of pruned weights are written. Sizes are 4 bytes a parameter without embeddings. Here our two designs are
counted at 32 bits, then with codes of some bits, then pruned, by the formula that the tests hold against real model files:
k-means codes with a codebook a matrix, vectors in float32, positions in a bitmap, in gaps, at their entropy, or not
counted. Quality is not part of it. Seconds.

    python benchmarks/compression_counted.py
"""

from collections.abc import Sequence
from math import prod

from manual_designs.all_designs import find_design
from nas.stages.coded import Clustered
from nas.stages.counted import POSITION_CODES, Shape, counted_bytes, share_needed
from search_spaces.counting import parameters
from search_spaces.design import Design
from search_spaces.parameter import shape

BASE, LITE = "transformer-wmt-512", "lite_transformer-wmt-496"
PUBLISHED_MB = (176.0, 69.2, 17.3, 9.7)
WANTED = 18.2
BITS = (8, 6, 5, 4)


def shapes_of(design: Design, embeddings: bool = False) -> list[Shape]:
    """Shapes of all parameters, with or without embedding tables."""
    architecture, sizes = design.architecture, design.setting.sizes
    tables = {f"ends.{name}" for name in architecture.ends.tables(architecture.widths, sizes)}
    wanted = parameters(architecture, sizes).items()
    return [shape(axes) for name, axes in wanted if embeddings or not (name in tables or name.startswith("positions."))]


def float_bytes(shapes: list[Shape]) -> float:
    """Four bytes an entry."""
    return 4.0 * sum(map(prod, shapes))


def ladder(base_shapes: list[Shape], lite_shapes: list[Shape], positions: str = "bitmap") -> list[tuple[str, float]]:
    """Every step of the figure with its bytes; pruned as far as WANTED needs, if that can be had."""
    base = float_bytes(base_shapes)
    steps = [
        (f"{BASE}, 32 bits", base),
        (f"{LITE}, 32 bits", float_bytes(lite_shapes)),
        ("quantised to 8 bits, k-means", counted_bytes(lite_shapes, Clustered, 8, 0.0, positions)),
    ]
    share = share_needed(lite_shapes, Clustered, 8, positions, base / WANTED)
    if share is None:
        return steps
    pruned = counted_bytes(lite_shapes, Clustered, 8, share, positions)
    return [*steps, (f"{100 * share:.1f} % pruned, positions: {positions}", pruned)]


def lines(steps: list[tuple[str, float]], published: Sequence[float] = ()) -> list[str]:
    """A ladder as rows, with its ratio to the first step and the published sizes beside it."""
    beside = [f"{one:.1f} MB published" for one in published] + [""] * (len(steps) - len(published))
    return [
        f"{step:50}{size / 1e6:9.2f} MB{steps[0][1] / size:8.2f}x{text:>20}".rstrip()
        for (step, size), text in zip(steps, beside, strict=True)
    ]


def shares(base_shapes: list[Shape], lite_shapes: list[Shape]) -> list[str]:
    """Which share must be pruned for WANTED, by bits and by how positions are written."""
    target = float_bytes(base_shapes) / WANTED
    lines = ["bits" + "".join(name.rjust(14) for name in POSITION_CODES)]
    for bits in BITS:
        found = [share_needed(lite_shapes, Clustered, bits, name, target) for name in POSITION_CODES]
        lines.append(f"{bits:4}" + "".join(("none" if one is None else f"{100 * one:.1f} %").rjust(14) for one in found))
    return lines


def report() -> str:
    """All tables."""
    base, lite = find_design(BASE), find_design(LITE)
    counted = shapes_of(base), shapes_of(lite)
    whole = shapes_of(base, embeddings=True), shapes_of(lite, embeddings=True)
    parts = [
        ["without embeddings", *lines(ladder(*counted), PUBLISHED_MB)],
        [f"share of the matrices that must be pruned for {WANTED}x, without embeddings", *shares(*counted)],
        [f"with embeddings of {base.setting.target_vocabulary:,} entries, pruned and quantised too", *lines(ladder(*whole))],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


if __name__ == "__main__":
    print(report())
