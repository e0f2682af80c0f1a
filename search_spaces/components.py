"""What part of a model its multiplications are in: counted from what the ops declare, nothing is built.

The parts add up to `counting.size`'s MACs exactly. Elementwise work is not counted, as everywhere here.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from search_spaces.architecture import Architecture
from search_spaces.counting import placed
from search_spaces.ends import Sizes
from search_spaces.linear import LinearKind
from search_spaces.op import Macs, Op, Site

Part = Literal["projections", "products", "feed_forward", "convolution", "inputs", "vocabulary", "ranking"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Of attention its linear layers and its products of tokens with tokens (or with slots); feed-forward layers, gated linear
layers too; convolutions with their linear layers; linear layers at the input; the vocabulary projection; ranking of tokens."""
LENGTHS = (16, 30, *(2**power for power in range(5, 17)))
"""Tokens a side: 30 is the counted pass of the literature that this project compares with."""


def macs_by_part(architecture: Architecture, sizes: Sizes, source_tokens: int, target_tokens: int) -> dict[Part, int]:
    """MACs of one teacher-forced pass of these lengths, batch 1, by part; every part is there.

    Raises:
        ValueError: an op does not fit its site, such as a length beyond what it was made for.
    """
    result: dict[Part, int] = dict.fromkeys(PARTS, 0)
    ends = architecture.ends.macs(architecture.widths, sizes, source_tokens, target_tokens)
    result["inputs"] += ends.total - ends.vocabulary
    result["vocabulary"] += ends.vocabulary
    for _, layer, site in placed(architecture, source_tokens, target_tokens):
        for op, own in own_macs(layer, site, architecture.linear):
            result["ranking"] += own.ranking
            if op.component == "attention":
                result["projections"] += own.linear + own.taps
                result["products"] += own.attention
            else:
                result[op.component] += own.linear + own.taps + own.attention
    return result


def own_macs(op: Op, site: Site, linear: LinearKind) -> Iterator[tuple[Op, Macs]]:
    """Every op inside an op, itself too, with what it multiplies beyond the ops of which it is made."""
    inside = Macs()
    for part, here in op.parts(site):
        inside += part.macs(here, linear)
        yield from own_macs(part, here, linear)
    whole, less = op.macs(site, linear).items(), inside.items()
    yield op, Macs(**{name: whole[name] - less[name] for name in whole})


def work_by_length(architecture: Architecture, sizes: Sizes, lengths: Sequence[int] = LENGTHS) -> dict[int, dict[Part, int]]:
    """MACs by part at each length, of as many source as target tokens; lengths that the architecture cannot take are left out."""
    result = {}
    for tokens in lengths:
        try:
            result[tokens] = macs_by_part(architecture, sizes, tokens, tokens)
        except ValueError:
            continue
    return result
