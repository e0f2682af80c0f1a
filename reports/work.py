"""Where the multiplications of a design are by length, and from which length on attention's products are the most."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isclose

from manual_designs.published_macs import WorkByLength, published_work
from nas.probe_lines import PARTS
from reports.load import Run
from reports.probes import lines_of

PUBLISHED_BASE = "transformer-wmt-512"
READ_AT = 30


@dataclass(frozen=True)
class Crossing:
    """From which length on products need more than another part; `exact` where they grow with the square, else a range."""

    low: float
    high: float

    @property
    def exact(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high


def run_work(runs: Iterable[Run]) -> tuple[WorkByLength, ...]:
    """The designs of runs whose work was counted, each once, named as in the rest of a report."""
    found: dict[str, WorkByLength] = {}
    for line in lines_of(runs, "macs", "none"):
        if line.design not in found:
            macs = {row["source_tokens"]: {part: row[part] for part in PARTS} for row in line.rows}
            found[line.design] = WorkByLength(line.design, "", macs)
    return tuple(one for one in found.values() if one.macs)


def all_work(runs: Iterable[Run]) -> tuple[WorkByLength, ...]:
    """Those of the runs, then the published base sizes."""
    return (*run_work(runs), *published_work())


def shares(one: WorkByLength, tokens: int) -> Mapping[str, float]:
    """Each part's share of the MACs of a pass without the vocabulary, which is that of the task and not of the layers."""
    parts = {part: macs for part, macs in one.macs[tokens].items() if part != "vocabulary"}
    total = sum(parts.values())
    return {part: macs / total for part, macs in parts.items()} if total else {}


def overtakes(one: WorkByLength, others: tuple[str, ...]) -> Crossing | None:
    """From where on products need at least as much as the other parts together; None where they never do in what was counted."""
    lengths = sorted(one.macs)
    ratios = {tokens: _ratio(one.macs[tokens], others) for tokens in lengths}
    first, last = lengths[0], lengths[-1]
    if ratios[first] and isclose(ratios[last] / ratios[first], last / first, rel_tol=1e-9):
        crossing = first / ratios[first]
        return Crossing(crossing, crossing)
    above = [tokens for tokens in lengths if ratios[tokens] >= 1]
    if not above or above[0] == first:
        return None
    return Crossing(lengths[lengths.index(above[0]) - 1], above[0])


def _ratio(macs: Mapping[str, int], others: tuple[str, ...]) -> float:
    rest = sum(macs[part] for part in others)
    return macs["products"] / rest if rest else 0.0
