"""Deceptive blocks: in each, all but one genome point away from the best."""

from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Gene, Genome


class Traps(ClosedForm):
    """Concatenated traps (Ackley 1987; Goldberg, Deb and Horn 1992) of `size` genes of two choices each.

    A block with u ones loses 0 if they are all ones and 1 + u otherwise: changing one gene at a time leads to all zeros. The
    best is 0, all ones.
    """

    name = "traps"

    def __init__(self, num_blocks: int = 5, size: int = 4) -> None:
        self.num_blocks = num_blocks
        self.size = size

    def genes(self) -> tuple[Gene, ...]:
        """Ones and zeros, block after block."""
        return tuple(Gene(f"bit{place}", (0, 1)) for place in range(self.num_blocks * self.size))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """The blocks' losses, added up."""
        ones = [sum(map(int, genome[start : start + self.size])) for start in range(0, len(genome), self.size)]
        return (float(sum(0 if one == self.size else 1 + one for one in ones)),)

    def front(self) -> tuple[Values, ...]:
        """Nothing lost."""
        return ((0.0,),)
