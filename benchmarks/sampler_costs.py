"""What a proposal costs as the history grows: processor time of one ask and tell, 40 genes of four choices, in memory.

Optuna's TPE and NSGA-II beside the same with a bounded view (`history` for TPE; NSGA-II proposes the same either way). TPE is
given random trials told before it came; the others run through all trials themselves. It takes about six minutes of one core.

    python benchmarks/sampler_costs.py --output results/benchmarks/sampler_costs.json > results/benchmarks/sampler_costs.txt
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler

from nas.files import write_whole
from nas.machine import describe, versions
from nas.search.recorded import RecordedSampler
from nas.search.strategies import strategy
from nas.search.testbeds.closed_form import ClosedForm, Values
from search_spaces.space import Gene, Genome

HISTORIES, QUICK_HISTORIES = (100, 1_000, 3_000, 10_000), (12, 24)
TURNS, QUICK_TURNS = 21, 2


class Forty(ClosedForm):
    """Forty genes; one objective counts a letter, a second another."""

    name = "forty"

    def genes(self) -> tuple[Gene, ...]:
        """g00 to g39."""
        return tuple(Gene(f"g{place:02}", ("a", "b", "c", "d")) for place in range(40))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """Counts of a and b."""
        return (float(genome.count("a")), float(genome.count("b")))

    def front(self) -> tuple[Values, ...]:
        """None of either."""
        return ((0.0, 0.0),)


SPACE = Forty()
GENES = {gene.name: CategoricalDistribution(gene.choices) for gene in SPACE.genes()}


@dataclass(frozen=True)
class Case:
    """A sampler, the number of objectives, whether trials are told before it comes, and the longest history to try."""

    build: Callable[[], BaseSampler]
    objectives: int = 1
    prefilled: bool = False
    longest: int = HISTORIES[-1]


def ours(name: str, **options: int) -> Callable[[], BaseSampler]:
    """What builds a strategy of ours."""
    return lambda: strategy(name).build(SPACE, 0, {**strategy(name).options, **options})


CASES: dict[str, Case] = {
    "random": Case(ours("random")),
    "aging_evolution": Case(ours("aging_evolution")),
    "aging_evolution crossover=50": Case(ours("aging_evolution", crossover=50)),
    "mo_aging_evolution, 2 objectives": Case(ours("mo_aging_evolution"), objectives=2),
    "nsga2": Case(ours("nsga2")),
    "nsga2, 2 objectives": Case(ours("nsga2"), objectives=2),
    "Optuna's NSGAIISampler, 2 objectives": Case(lambda: NSGAIISampler(population_size=20, seed=0), objectives=2),
    "tpe (all trials)": Case(ours("tpe"), prefilled=True),
    "tpe history=500": Case(ours("tpe", history=500), prefilled=True),
    "tpe history=250": Case(ours("tpe", history=250), prefilled=True),
    "tpe (all trials), 2 objectives": Case(ours("tpe"), objectives=2, prefilled=True, longest=1_000),
    "tpe history=250, 2 objectives": Case(ours("tpe", history=250), objectives=2, prefilled=True),
}


def prefill(study: optuna.Study, trials: int) -> None:
    """Adds random trials."""
    rng = random.Random(0)
    for _ in range(trials):
        params = {name: rng.choice(one.choices) for name, one in GENES.items()}
        values = SPACE.objectives(tuple(params.values()))[: len(study.directions)]
        study.add_trial(optuna.create_trial(params=params, distributions=dict(GENES), values=list(values)))


def turn(study: optuna.Study) -> float:
    """Milliseconds of processor time of one ask and tell."""
    start = time.process_time()
    trial = study.ask(dict(GENES))
    study.tell(trial, SPACE.objectives(tuple(trial.params.values()))[: len(study.directions)])
    return 1_000 * (time.process_time() - start)


def measure(case: Case, histories: tuple[int, ...], turns: int) -> dict[int, float]:
    """Median milliseconds of some turns, by the length of the history."""
    study = optuna.create_study(directions=["minimize"] * case.objectives)
    if not case.prefilled:
        study.sampler = RecordedSampler(case.build(), GENES)
    found = {}
    for trials in (one for one in histories if one <= case.longest):
        missing = trials - len(study.get_trials(deepcopy=False))
        if case.prefilled:
            prefill(study, missing)
            study.sampler = RecordedSampler(case.build(), GENES)
            turn(study)  # reads the history
        else:
            for _ in range(missing):
                turn(study)
        found[trials] = statistics.median(turn(study) for _ in range(turns))
    return found


def report(measured: Mapping[str, Mapping[int, float]], histories: tuple[int, ...], turns: int) -> str:
    """The table."""
    width = max(map(len, measured))
    lines = [f"Milliseconds of one ask and tell (median of {turns}), by trials told before", " " * width]
    lines[1] += "".join(f"{trials:>10,}" for trials in histories)
    for name, row in measured.items():
        lines.append(f"{name:{width}}" + "".join(f"{row[one]:10.2f}" if one in row else f"{'-':>10}" for one in histories))
    return "\n".join(lines)


def main() -> None:
    """Measures, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short histories")
    parser.add_argument("--output", type=Path, help="JSON file for the medians and the facts of the machine")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    histories, turns = (QUICK_HISTORIES, QUICK_TURNS) if arguments.quick else (HISTORIES, TURNS)
    start = time.process_time()
    measured = {name: measure(case, histories, turns) for name, case in CASES.items()}
    print(report(measured, histories, turns))
    print(f"\n{time.process_time() - start:,.0f} s of processor time")
    if arguments.output:
        rows = {name: {str(key): round(one, 3) for key, one in row.items()} for name, row in measured.items()}
        facts = {"machine": describe(), "versions": versions(), "genes": len(GENES), "milliseconds": rows}
        write_whole(arguments.output, (json.dumps(facts, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
