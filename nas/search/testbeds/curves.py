"""Learning curves that cross: some genomes learn late and end better."""

import itertools
import random
from functools import cached_property

from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Gene, Genome

EARLY, LATE, GAIN = 0.05, 0.6, 0.25


class CrossingCurves(ClosedForm):
    """Losses that fall with the square root of the tokens: loss(t) = final + lag (sqrt(T / t) - 1), T the full training.

    `final` is one table a gene and one a pair of neighbours, drawn from `seed`. A genome whose first gene is 3 is a late
    bloomer, a quarter of all: its lag is LATE instead of EARLY, and its final loss lower by GAIN than the tables say. So the
    ranking at full training is that of `final`, and far below it late bloomers look worse than they are. The best, a late
    bloomer with seed 0, is found by trying all genomes.
    """

    name = "crossing curves"
    NUM_GENES, NUM_CHOICES = 6, 4

    def __init__(self, seed: int = 0) -> None:
        rng = random.Random(seed)
        span = range(self.NUM_CHOICES)
        self._single = [[rng.random() / 2 for _ in span] for _ in range(self.NUM_GENES)]
        self._pairs = [[[rng.random() / 2 for _ in span] for _ in span] for _ in range(self.NUM_GENES - 1)]

    def genes(self) -> tuple[Gene, ...]:
        """Six genes of four choices."""
        return tuple(Gene(f"g{place}", tuple(range(self.NUM_CHOICES))) for place in range(self.NUM_GENES))

    def late(self, genome: Genome) -> bool:
        """Whether it is a late bloomer."""
        return genome[0] == self.NUM_CHOICES - 1

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """The loss after `tokens` of training."""
        places = [int(choice) for choice in genome]
        final = sum(table[choice] for table, choice in zip(self._single, places, strict=True))
        final += sum(table[one][other] for table, one, other in zip(self._pairs, places, places[1:], strict=False))
        lag = (self.tokens / (tokens or self.tokens)) ** 0.5 - 1
        return (final - GAIN + LATE * lag if self.late(genome) else final + EARLY * lag,)

    def front(self) -> tuple[Values, ...]:
        """The best value at full training."""
        return ((self._best,),)

    @cached_property
    def _best(self) -> float:
        genomes = itertools.product(range(self.NUM_CHOICES), repeat=self.NUM_GENES)
        return min(self.objectives(genome)[0] for genome in genomes)
