"""Compression at the sizes of Lite Transformer's figure, counted: Transformer, Lite Transformer, 8 bits, pruned.

Wu et al. 2020 (arXiv 2004.11886) tell 176 MB, 69.2 MB, 17.3 MB and 9.7 MB on WMT'14 En-Fr, 18.2 times less in all, and
not how positions of pruned weights are written. Sizes are 4 bytes a parameter without embeddings. Here our two designs are
counted at 32 bits, then with codes of some bits, then pruned, by the formula that the tests hold against real model files:
k-means codes with a codebook a matrix, vectors in float32, positions in a bitmap, in gaps, at their entropy, or not
counted. Quality is not part of it. Seconds.

    python benchmarks/compression_counted.py
"""

from math import prod

from manual_designs.all_designs import find_design
from nas.stages.coded import Clustered
from nas.stages.counted import POSITION_CODES, Shape, counted_bytes, share_needed
from search_spaces.counting import parameters
from search_spaces.design import Design
from search_spaces.parameter import shape

BASE, LITE = "transformer-wmt-512", "lite_transformer-wmt-496"
PUBLISHED_MB = {"base": 176.0, "lite": 69.2, "8 bits": 17.3, "8 bits and pruned": 9.7}
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


def line(step: str, size: float, base: float, published: str = "-") -> str:
    """One row of the table of steps."""
    published_mb = f"{PUBLISHED_MB[published]:.1f}" if published in PUBLISHED_MB else "-"
    return f"{step:58}{size / 1e6:9.2f} MB{base / size:8.2f}x{published_mb:>12}"


def ladder(base_shapes: list[Shape], lite_shapes: list[Shape], positions: str = "bitmap") -> list[str]:
    """Every step of the figure with its size and its ratio; pruned as far as WANTED needs."""
    base, lite = float_bytes(base_shapes), float_bytes(lite_shapes)
    coded = counted_bytes(lite_shapes, Clustered, 8, 0.0, positions)
    lines = [
        line(f"{BASE}, 32 bits", base, base, "base"),
        line(f"{LITE}, 32 bits", lite, base, "lite"),
        line("quantised to 8 bits, k-means", coded, base, "8 bits"),
    ]
    share = share_needed(lite_shapes, Clustered, 8, positions, base / WANTED)
    if share is None:
        return [*lines, f"no share of pruned weights gives {WANTED}x"]
    pruned = counted_bytes(lite_shapes, Clustered, 8, share, positions)
    return [*lines, line(f"{100 * share:.1f} % pruned, positions: {positions}", pruned, base, "8 bits and pruned")]


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
        [f"{'without embeddings':58}{'size':>12}{'ratio':>9}{'published MB':>12}", *ladder(*counted)],
        [f"share of the matrices that must be pruned for {WANTED}x, without embeddings", *shares(*counted)],
        [f"the same with embeddings of {base.setting.target_vocabulary:,} entries, pruned and quantised too", *ladder(*whole)],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


if __name__ == "__main__":
    print(report())
