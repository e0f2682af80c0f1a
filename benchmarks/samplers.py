"""What the strategies find on spaces with a known optimum, at equal numbers of evaluations.

Regret is how far the best value found is from the best there is; hypervolume is a share of that of the exact front, each
objective scaled to 0..1, reference 1.1. Every proposal counts as an evaluation, repeated ones too. Strategies are compared seed
by seed with a two-sided sign-flip test of the mean difference. TPE, which takes most of the time, has fewer seeds. It takes
about eight minutes of one core.

    python benchmarks/samplers.py --output results/benchmarks/samplers.json > results/benchmarks/samplers.txt
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from nas.files import write_whole
from nas.machine import describe, versions
from nas.search.strategies import distributions, resolve_options, strategy
from nas.search.testbeds.closed_form import ClosedForm
from nas.search.testbeds.curves import CrossingCurves
from nas.search.testbeds.depth import Depth
from nas.search.testbeds.nas_bench_201 import DATASETS, ERROR, SECONDS, NasBench201
from nas.search.testbeds.nk import NK
from nas.search.testbeds.traps import Traps
from nas.search.testbeds.two_ends import TwoEnds
from reports.paired import sign_flip_p

MARKS = (50, 100, 200, 300)
Curves = npt.NDArray[np.float64]  # (seeds, marks)


@dataclass(frozen=True)
class Contestant:
    """A strategy with options, and how many of the seeds it gets where there are 30 and where there are 10."""

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, int] = (30, 10)

    @property
    def label(self) -> str:
        """Its name in tables."""
        return " ".join((self.strategy, *(f"{key}={value}" for key, value in self.options.items())))


RANDOM, NSGA2, TPE = Contestant("random"), Contestant("nsga2"), Contestant("tpe", seeds=(8, 4))
WINDOW = Contestant("tpe", {"history": 100}, seeds=(8, 4))
EVOLUTION, MO_EVOLUTION = Contestant("aging_evolution"), Contestant("mo_aging_evolution")
ONE_OBJECTIVE = (
    RANDOM,
    EVOLUTION,
    Contestant("aging_evolution", {"population": 50, "sample": 10}),
    Contestant("aging_evolution", {"crossover": 50}),
    NSGA2,
    TPE,
    WINDOW,
)
TWO_OBJECTIVES = (RANDOM, MO_EVOLUTION, Contestant("mo_aging_evolution", {"crossover": 50}), NSGA2, TPE, WINDOW)
TABLES: tuple[ClosedForm, ...] = (*(NasBench201(name) for name in DATASETS), NasBench201("cifar100", (ERROR, SECONDS)))
CLOSED: tuple[ClosedForm, ...] = (Depth(), Traps(), NK(), CrossingCurves(), TwoEnds())


def run(space: ClosedForm, contestant: Contestant, seed: int, marks: Sequence[int] = MARKS) -> list[float]:
    """Regret or hypervolume of one search, asked and told one by one, at each of `marks`."""
    options = resolve_options(contestant.strategy, contestant.options)
    sampler = strategy(contestant.strategy).build(space, seed, options)
    study = optuna.create_study(sampler=sampler, directions=list(space.directions))
    genes = distributions(space)
    quality = space.regret if space.num_objectives == 1 else space.hypervolume_ratio
    found, curve = [], []
    for number in range(1, max(marks) + 1):
        trial = study.ask(dict(genes))
        params = trial.params
        values = space.objectives(tuple(params[name] for name in genes))
        study.tell(trial, values)
        found.append(values)
        if number in marks:
            curve.append(quality(found))
    return curve


def curves(space: ClosedForm, contestant: Contestant, seeds: int, marks: Sequence[int] = MARKS) -> Curves:
    """One row a seed, 0 to `seeds` - 1."""
    return np.array([run(space, contestant, seed, marks) for seed in range(seeds)])


def table(space: ClosedForm, measured: Mapping[str, Curves], marks: Sequence[int]) -> Iterator[str]:
    """Means and standard deviations by strategy, and each strategy beside random search and NSGA-II at the last mark."""
    what = "mean regret" if space.num_objectives == 1 else "mean share of the hypervolume"
    yield f"{space.name}, {space.num_objectives} objective(s): {what} (sd) after {', '.join(map(str, marks))} evaluations"
    width = max(map(len, measured))
    for name, rows in measured.items():
        spread = rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(len(marks))
        cells = "  ".join(f"{mean:8.4f} ({sd:.4f})" for mean, sd in zip(rows.mean(0), spread, strict=True))
        yield f"  {name:{width}}  {cells}  {len(rows)} seeds"
    others = [name for name in measured if name != RANDOM.label]
    pairs = [(name, RANDOM.label) for name in others] + [(name, NSGA2.label) for name in others if name != NSGA2.label]
    for name, rival in pairs:
        paired = min(len(measured[name]), len(measured[rival]))
        difference = measured[name][:paired, -1] - measured[rival][:paired, -1]
        mean, p_value = difference.mean(), sign_flip_p(list(difference))
        yield f"  {name} - {rival} at {marks[-1]}: {mean:+.4f}, p = {p_value:.5f}, {paired} pairs"


def main() -> None:
    """Runs, prints and records everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds, 30 evaluations, two spaces")
    parser.add_argument("--output", type=Path, help="JSON file for every curve and the facts of the machine")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    marks = (15, 30) if arguments.quick else MARKS
    spaces = (CLOSED[0], CLOSED[-1]) if arguments.quick else (*TABLES, *CLOSED)
    records, start = [], time.process_time()
    for space in spaces:
        measured: dict[str, Curves] = {}
        for contestant in ONE_OBJECTIVE if space.num_objectives == 1 else TWO_OBJECTIVES:
            seeds = 2 if arguments.quick else contestant.seeds[space not in TABLES]
            measured[contestant.label] = curves(space, contestant, seeds, marks)
        print("\n".join(table(space, measured, marks)), end="\n\n", flush=True)
        rows = {name: [[round(one, 6) for one in row] for row in found.tolist()] for name, found in measured.items()}
        records.append({"space": space.name, "objectives": space.num_objectives, "seeds_by_marks": rows})
    print(f"{time.process_time() - start:,.0f} s of processor time")
    if arguments.output:
        facts = {"machine": describe(), "versions": versions(), "marks": marks, "spaces": records}
        write_whole(arguments.output, (json.dumps(facts, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
