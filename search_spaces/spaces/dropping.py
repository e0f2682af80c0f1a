"""The space of what remains of one architecture when some of its sublayers are dropped: for models that are trained already.

Source: arXiv 2406.15786 (What matters in Transformers? Not all attention is needed), which drops attention or feed-forward
sublayers of a trained model by how little they change their input. Here any set of them may go, and a search decides.

What remains keeps its names and depth, so that every member uses the weights of the whole model as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from search_spaces.architecture import Architecture
from search_spaces.op import Op
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.space import Gene, Genome, OutsideSpace, Space
from search_spaces.sublayers import sublayers, with_op

KEEP, DROP = "keep", "drop"


@dataclass(frozen=True, kw_only=True)
class DroppingSpace(Space):
    """One gene a residual sublayer of `architecture`, be it a layer or in a chain: keep or drop.

    What stands inside other ops stays: what a graph is wired of, and what shortens the sequence.

    It is of one trained model, so no experiment can name it: `nas.search` is given a plan over it, whose jobs score members with
    that model's weights (`nas.worker.payload` with `inherit`).
    """

    architecture: Architecture
    name: str = "dropping"

    def __post_init__(self) -> None:
        if not self.genes():
            raise ValueError(f"dropping space: expected residual sublayers to drop, got none in {self.architecture}")

    def genes(self) -> tuple[Gene, ...]:
        """The sublayers in order, named by stack, layer and place in the layer."""
        return tuple(
            Gene("_".join((place.stack, *map(str, place.path))), (KEEP, DROP)) for place, _ in sublayers(self.architecture)
        )

    def decode(self, genome: Genome) -> Architecture:
        """See Space. Every genome is canonical."""
        self.check(genome)
        architecture = self.architecture
        for choice, (place, op) in zip(genome, sublayers(architecture), strict=True):
            if choice == DROP:
                architecture = with_op(architecture, place, op.dropped())
        return architecture

    def encode(self, architecture: Architecture) -> Genome:
        """See Space."""
        genome: list[str] = []
        theirs = dict(architecture.stacks)
        for name, stack in self.architecture.stacks:
            layers = theirs[name].layers if name in theirs else ()
            if len(layers) != len(stack.layers):
                raise OutsideSpace(f"space {self.name}: expected {len(stack.layers)} layers in the {name}, got {len(layers)}")
            for own, other in zip(stack.layers, layers, strict=True):
                genome += _choices(own, other)
        if self.decode(tuple(genome)) != architecture:
            raise OutsideSpace(f"space {self.name}: the nearest member differs in what cannot be dropped")
        return tuple(genome)

    def largest(self) -> tuple[Architecture, ...]:
        """The whole."""
        return (self.architecture,)

    def smallest(self) -> Architecture:
        """See Space: all is dropped."""
        return self.decode((DROP,) * len(self.genes()))


def _choices(own: Op, other: Op) -> Iterator[str]:
    """The genes of an op of which `other` may be what remained."""
    if isinstance(own, Residual):
        yield DROP if other == own.dropped() else KEEP
    if isinstance(own, Chain):
        theirs = other.ops if isinstance(other, Chain) and len(other.ops) == len(own.ops) else own.ops
        for one, another in zip(own.ops, theirs, strict=True):
            yield from _choices(one, another)
