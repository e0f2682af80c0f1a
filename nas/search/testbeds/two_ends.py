"""Two objectives with an exact front."""

from itertools import takewhile

from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Gene, Genome


class TwoEnds(ClosedForm):
    """Leading ones, trailing zeros (Laumanns, Thiele, Zitzler, Welzl and Deb 2002): `n` genes of two choices.

    The first objective counts what is missing to n ones from the front, the second what is missing to n zeros from the back.
    The front is (n - i, i) for i of 0 to n: i ones, then zeros.
    """

    name = "two ends"
    num_objectives = 2

    def __init__(self, n: int = 12) -> None:
        self.n = n

    def genes(self) -> tuple[Gene, ...]:
        """Ones and zeros."""
        return tuple(Gene(f"bit{place}", (0, 1)) for place in range(self.n))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """What is missing at the front and at the back."""
        ones = sum(1 for _ in takewhile(lambda one: one == 1, genome))
        zeros = sum(1 for _ in takewhile(lambda one: one == 0, reversed(genome)))
        return (float(self.n - ones), float(self.n - zeros))

    def front(self) -> tuple[Values, ...]:
        """All ways to divide the genome into ones and zeros."""
        return tuple((float(self.n - ones), float(ones)) for ones in range(self.n, -1, -1))

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """0 to n, both."""
        return ((0.0, float(self.n)),) * 2
