"""Questions about grids of digits: their texts and their answers."""

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

import numpy as np

PLURALS = ("zeros", "ones", "twos", "threes", "fours", "fives", "sixes", "sevens", "eights", "nines")
ROWS = {2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
COLUMNS = {2: ("left", "right"), 3: ("left", "centre", "right")}
BLANK = -1
NOTHING = "nothing"


class Turn(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Grid:
    """Digits in rows, BLANK where there is none; two of them at least."""

    digits: tuple[int, ...]

    @property
    def side(self) -> int:
        """Rows, and columns."""
        return isqrt(len(self.digits))

    def place(self, cell: int) -> str:
        """What a cell is called."""
        return f"{ROWS[self.side][cell // self.side]} {COLUMNS[self.side][cell % self.side]}"

    def row(self, at: int) -> tuple[int, ...]:
        """The digits of a row, without blanks."""
        return tuple(digit for digit in self.digits[at * self.side : (at + 1) * self.side] if digit != BLANK)


def _what(grid: Grid, rng: np.random.Generator) -> Turn:
    cell = int(rng.integers(len(grid.digits)))
    digit = grid.digits[cell]
    return Turn(f"what is {grid.place(cell)}", NOTHING if digit == BLANK else str(digit))


def _how_many(grid: Grid, rng: np.random.Generator) -> Turn:
    # Half of the questions are about a digit that is there, or most answers would be 0.
    there = [digit for digit in grid.digits if digit != BLANK]
    digit = int(rng.choice(there)) if rng.random() < 0.5 else int(rng.integers(10))
    return Turn(f"how many {PLURALS[digit]}", str(grid.digits.count(digit)))


def _total(grid: Grid, rng: np.random.Generator) -> Turn:
    return Turn("how many digits", str(sum(digit != BLANK for digit in grid.digits)))


def _sum(grid: Grid, rng: np.random.Generator) -> Turn:
    at = int(rng.integers(grid.side))
    return Turn(f"sum of the {ROWS[grid.side][at]} row", str(sum(grid.row(at))))


def _larger(grid: Grid, rng: np.random.Generator) -> Turn:
    there = [cell for cell, digit in enumerate(grid.digits) if digit != BLANK]
    first, second = rng.choice(there, 2, replace=False).tolist()
    difference = grid.digits[first] - grid.digits[second]
    answer = "first" if difference > 0 else "second" if difference < 0 else "same"
    return Turn(f"which is larger {grid.place(first)} or {grid.place(second)}", answer)


ALL_QUESTIONS = (_what, _how_many, _total, _sum, _larger)
SHARES = (0.5, 0.125, 0.125, 0.125, 0.125)  # all others build on telling a digit


def ask(grid: Grid, turns: int, rng: np.random.Generator) -> tuple[Turn, ...]:
    """So many questions of kinds drawn at random."""
    return tuple(ALL_QUESTIONS[kind](grid, rng) for kind in rng.choice(len(ALL_QUESTIONS), size=turns, p=SHARES).tolist())
