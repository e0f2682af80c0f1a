"""Variable depth: genes of layers beyond the depth are inactive."""

import random
from functools import cached_property

from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Choice, Gene, Genome

PRICE = 0.15


class Depth(ClosedForm):
    """A stack of `depth` layers of `num_layers`, each with one of four operators.

    The lowest layer costs PRICE, the next twice that, and so on, so that the best is not the deepest. Each gains up to 1, by its
    operator together with that of the layer below; gains are drawn from `seed`. The best is found exactly by dynamic
    programming over the layers.
    """

    name = "depth"
    OPS = ("attention", "convolution", "linear", "skip")

    def __init__(self, num_layers: int = 8, seed: int = 0) -> None:
        self.num_layers = num_layers
        rng = random.Random(seed)
        ops, below = self.OPS, (None, *self.OPS)
        self._gain: list[dict[tuple[Choice | None, Choice], float]] = [
            {(under, op): rng.random() for under in below for op in ops} for _ in range(num_layers)
        ]

    def genes(self) -> tuple[Gene, ...]:
        """The depth and the operator of each layer."""
        depth = Gene("depth", tuple(range(1, self.num_layers + 1)))
        return (depth, *(Gene(f"op{layer}", self.OPS) for layer in range(self.num_layers)))

    def canonical(self, genome: Genome) -> Genome:
        """Layers beyond the depth have the first operator."""
        active = 1 + int(genome[0])
        return (*genome[:active], *(self.OPS[0] for _ in genome[active:]))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """Price of the layers less what they gain."""
        active = genome[1 : 1 + int(genome[0])]
        pairs = zip((None, *active[:-1]), active, strict=True)
        return (sum(PRICE * (layer + 1) - self._gain[layer][pair] for layer, pair in enumerate(pairs)),)

    def front(self) -> tuple[Values, ...]:
        """The best value."""
        return ((self._best,),)

    @cached_property
    def _best(self) -> float:
        losses: dict[Choice | None, float] = {None: 0.0}
        best = float("inf")
        for layer, gain in enumerate(self._gain):
            price = PRICE * (layer + 1)
            losses = {op: min(loss + price - gain[under, op] for under, loss in losses.items()) for op in self.OPS}
            best = min(best, *losses.values())
        return best
