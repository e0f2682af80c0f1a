"""How many training tokens hurdles save: until the quality is found that plain evolution has at its end.

On the testbed of crossing learning curves, where a quarter of the genomes learn late and end best. Plain aging evolution
trains every trial to the end; with hurdles the same evolution, or random draws, train most of them for less. Four simulated
workers; a search that does not come to the quality within the tokens that plain evolution took counts as not reached.

    python benchmarks/hurdles.py --seeds 20 --output results/benchmarks/hurdles.json
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nas.execution.executor import Job
from nas.execution.simulated import SimulatedExecutor
from nas.ledger import Ledger
from nas.rung_store import RungStore
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.halving import AsynchronousHalving, SuccessiveHalving
from nas.search.hurdles import Hurdles, NoHurdles, ProgressiveDynamicHurdles
from nas.search.plan import SearchOutcome, SearchPlan, Start, Trial
from nas.search.testbeds.all_testbeds import plan_for
from nas.search.testbeds.curves import CrossingCurves
from search_spaces.space import Genome

TOKENS, TRIALS, WORKERS = CrossingCurves.tokens, 150, 4
EVEN = tuple(TOKENS * part // 4 for part in (1, 2, 3, 4))
HALVED = (TOKENS // 4, TOKENS // 2, TOKENS)
CONTESTANTS: dict[str, tuple[str, Callable[[], Hurdles]]] = {
    "aging evolution": ("aging_evolution", lambda: NoHurdles(TOKENS)),
    "random": ("random", lambda: NoHurdles(TOKENS)),
    "aging evolution, PDH": ("aging_evolution", lambda: ProgressiveDynamicHurdles(EVEN, every=10, population=20)),
    "aging evolution, ASHA": ("aging_evolution", lambda: AsynchronousHalving(HALVED, eta=2)),
    "aging evolution, halving": ("aging_evolution", lambda: SuccessiveHalving(HALVED, cohort=8, eta=2)),
    "random, ASHA": ("random", lambda: AsynchronousHalving(HALVED, eta=2)),
}


def curve_factory(context: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A worker that trains to `until` tokens, from the tokens in its state."""
    space = CrossingCurves(context["space_seed"])

    def run(payload: dict[str, Any]) -> dict[str, Any]:
        begun = int(payload["arrays"]["tokens"][0]) if "arrays" in payload else 0
        genome: Genome = tuple(payload["genome"])
        values = space.objectives(genome, payload["until"])
        arrays = {"tokens": np.array([payload["until"]])}
        return {"values": list(values), "tokens": payload["until"] - begun, "arrays": arrays, "state": {}}

    return run


def plan_of(strategy: str, hurdles: Callable[[], Hurdles], seed: int, space: CrossingCurves) -> SearchPlan:
    """A search for as many tokens as TRIALS whole trainings take."""
    rungs = hurdles().rungs

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        payload = {"genome": list(trial.candidate), "until": rungs[rung]}
        return Job(trial.job_id, 1, payload, {} if start is None else start.arrays)

    return plan_for(
        space,
        strategy,
        TRIALS,
        seed=seed,
        budget=Budget(tokens=TRIALS * TOKENS),
        hurdles=hurdles,
        planned=lambda rung, inherits: Cost(tokens=rungs[rung] - (rungs[rung - 1] if rung else 0)),
        make_job=make_job,
        max_proposals=20_000,
    )


def searched(name: str, seed: int) -> tuple[SearchOutcome, list[tuple[int, float]]]:
    """The outcome, and after every whole training the tokens spent so far and its loss."""
    strategy, hurdles = CONTESTANTS[name]
    space, spent = CrossingCurves(seed), 0
    whole: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        executor = SimulatedExecutor(
            "hurdles:curve_factory", {"space_seed": seed}, WORKERS, lambda payload, result: float(result["tokens"])
        )
        with Ledger.open(Path(folder) / "ledger.jsonl") as ledger, executor:

            def note(progress: Any) -> None:
                nonlocal spent
                for event in progress.events:
                    spent += event["result"]["tokens"] if "result" in event else 0
                    if event["kind"] == "finished":
                        whole.append((spent, event["result"]["values"][0]))

            outcome = search(
                plan_of(strategy, hurdles, seed, space), executor, ledger, note, store=RungStore(Path(folder) / "rungs", 10**9)
            )
    return outcome, whole


def main() -> None:
    """Prints the table and keeps the figures of every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rows: dict[str, list[dict[str, float | None]]] = {name: [] for name in CONTESTANTS}
    for seed in range(given.seeds):
        goal = None
        for name in CONTESTANTS:
            _, whole = searched(name, seed)
            best = min(loss for _, loss in whole)
            goal = best if goal is None else goal
            reached = next((spent for spent, loss in whole if loss <= goal), None)
            share = None if reached is None else reached / (TRIALS * TOKENS)
            regret = best - CrossingCurves(seed).front()[0][0]
            rows[name].append({"seed": seed, "regret": regret, "share_of_tokens": share})
    print(f"{'search':<28}{'mean regret':>12}{'reached':>9}{'median share of tokens':>24}")
    for name, found in rows.items():
        shares = [one["share_of_tokens"] for one in found if one["share_of_tokens"] is not None]
        middle = median([1e9 if one["share_of_tokens"] is None else one["share_of_tokens"] for one in found])
        regret = float(np.mean([one["regret"] for one in found]))
        told = "not reached" if middle > 1 else f"{middle:.2f}"
        print(f"{name:<28}{regret:>12.4f}{len(shares):>5}/{len(found)}{told:>24}")
    if given.output:
        about = {"testbed": "crossing curves", "trials": TRIALS, "tokens": TOKENS, "workers": WORKERS, "searches": rows}
        given.output.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
