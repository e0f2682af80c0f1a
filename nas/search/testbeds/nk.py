"""NK landscapes: ruggedness that grows with the number of genes that act together."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Gene, Genome


class NK(ClosedForm):
    """NK landscape (Kauffman and Weinberger 1989): `n` genes of two choices, each acting with the `k` that follow, in a ring.

    The loss is the mean of their contributions, drawn uniformly from `seed` for each of the 2^(k+1) cases. The best is found
    by trying all 2^n genomes.
    """

    name = "nk"

    def __init__(self, n: int = 16, k: int = 3, seed: int = 0) -> None:
        if not 0 <= k < n <= 20:
            raise ValueError(f"expected 0 <= k < n <= 20, of which all genomes can be tried, got n {n} and k {k}")
        self.n = n
        self.k = k
        self._table: npt.NDArray[np.float64] = np.random.default_rng(seed).random((n, 2 ** (k + 1)))

    def genes(self) -> tuple[Gene, ...]:
        """Ones and zeros."""
        return tuple(Gene(f"bit{place}", (0, 1)) for place in range(self.n))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """The mean contribution."""
        return (float(self._losses(np.array([genome], dtype=np.int64))[0]),)

    def front(self) -> tuple[Values, ...]:
        """The best value."""
        return ((self._best,),)

    @cached_property
    def _best(self) -> float:
        genomes = np.arange(2**self.n)[:, None] >> np.arange(self.n) & 1
        return float(self._losses(genomes).min())

    def _losses(self, genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Losses (B,) of genomes (B, n)."""
        weights = 2 ** np.arange(self.k + 1)
        total = np.zeros(len(genomes))
        for place in range(self.n):
            case = genomes[:, [(place + step) % self.n for step in range(self.k + 1)]] @ weights
            total += self._table[place, case]
        return total / self.n
