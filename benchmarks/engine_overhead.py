"""What the engine costs a trial: asking, dispatching, writing every event to the disk and telling, with no training at all.

A space of 40 genes and a loss in closed form, one simulated worker. The time of a trial is from one proposal to the next.
With --tune the same goes through Ray Tune with OptunaSearch and reused actors, which needs the extra `tune`; with
--simulate, searches of 100,000 trials on 1,000 simulated workers.

    python benchmarks/engine_overhead.py --trials 1000 10000 --tune --output results/benchmarks/engine_overhead.json
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import optuna

from nas.execution.executor import Context, Job, Payload, Result, Run
from nas.execution.simulated import SimulatedExecutor
from nas.ledger import Ledger
from nas.machine import cpu_model
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.hurdles import NoHurdles
from nas.search.plan import Measured, Progress, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.search.testing import ToySpace
from search_spaces.space import Gene, Genome

GENES, CHOICES = 40, 5
STRATEGIES: tuple[tuple[str, Mapping[str, Any], int], ...] = (
    ("random", {}, 1),
    ("aging_evolution", {}, 1),
    ("nsga2", {}, 2),
    ("tpe", {}, 1),
    ("tpe", {"history": 200}, 1),
)


class WideSpace(ToySpace):
    """40 genes of five choices, all active."""

    name = "wide"

    def genes(self) -> tuple[Gene, ...]:
        """g0 to g39."""
        return tuple(Gene(f"g{place}", tuple(range(CHOICES))) for place in range(GENES))

    def canonical(self, genome: Genome) -> Genome:
        """The genome itself."""
        return genome


def loss(genome: list[int]) -> float:
    """How far from all threes, neighbours counted together."""
    return sum((a - 3) ** 2 + (a != b) for a, b in zip(genome, [*genome[1:], genome[0]], strict=True)) / GENES


def factory(context: Context) -> Run:
    """A worker that gives the loss."""

    def run(payload: Payload) -> Result:
        genome = payload["genome"]
        return {"loss": loss(genome), "size": sum(genome)}

    return run


def plan_of(strategy: str, options: Mapping[str, Any], objectives: int, trials: int) -> SearchPlan:
    """A search of the wide space."""

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        return Job(trial.job_id, 1, {"genome": list(trial.candidate)})

    return SearchPlan(
        space=WideSpace(),
        strategy=strategy,
        options=resolve_options(strategy, options, trials),
        seed=0,
        directions=("minimize",) * objectives,
        budget=Budget(trials=trials),
        max_proposals=2 * trials,
        hurdles=lambda: NoHurdles(1),
        planned=lambda rung, inherits: Cost(),
        measure=lambda genome: Measured({}),
        make_job=make_job,
        value_of=lambda result: (result["loss"], result["size"])[:objectives],
        cost_of=lambda result: Cost(),
    )


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Milliseconds of a trial, and how large the process became."""

    engine: str
    trials: int
    median_ms: float
    last_tenth_ms: float
    percentile_95_ms: float
    total_s: float
    peak_mib: float


def overhead_of(name: str, seconds: list[float]) -> Overhead:
    """The summary of the seconds of each trial."""
    last = seconds[-max(1, len(seconds) // 10) :]
    return Overhead(
        engine=name,
        trials=len(seconds),
        median_ms=1e3 * median(seconds),
        last_tenth_ms=1e3 * median(last),
        percentile_95_ms=1e3 * quantiles(seconds, n=20)[-1],
        total_s=sum(seconds),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def measure_ours(strategy: str, options: Mapping[str, Any], objectives: int, trials: int, workers: int = 1) -> Overhead:
    """One search through the coordinator, its ledger on the disk."""
    times = [time.perf_counter()]

    def note(progress: Progress) -> None:
        times.extend(time.perf_counter() for event in progress.events if event["kind"] in ("finished", "duplicate"))

    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        Ledger.open(Path(folder) / "ledger.jsonl") as ledger,
        SimulatedExecutor("engine_overhead:factory", {}, workers, lambda payload, result: 10.0 + result["loss"]) as executor,
    ):
        search(plan_of(strategy, options, objectives, trials), executor, ledger, note)
    name = strategy + "".join(f", {key} {value}" for key, value in options.items())
    return overhead_of(name, [after - before for before, after in zip(times, times[1:], strict=False)])


def measure_tune(trials: int) -> Overhead:
    """Ray Tune with OptunaSearch (random draws), one worker, its actor reused: the least that it can cost."""
    import ray
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    class Trainable(tune.Trainable):
        """One step, which gives the loss."""

        def setup(self, config: dict[str, Any]) -> None:
            self.loss = loss([config[f"g{place}"] for place in range(GENES)])

        def step(self) -> dict[str, Any]:
            return {"loss": self.loss, "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
            return {"loss": self.loss}

        def load_checkpoint(self, checkpoint: Any) -> None:
            self.loss = checkpoint["loss"]

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

    times: list[float] = []

    class Clock(tune.Callback):
        """Notes when trials end."""

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            times.append(time.perf_counter())

    space = {f"g{place}": tune.choice(list(range(CHOICES))) for place in range(GENES)}
    searcher = OptunaSearch(metric="loss", mode="min", sampler=optuna.samplers.RandomSampler(seed=0))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            Trainable,
            param_space=space,
            tune_config=tune.TuneConfig(
                search_alg=ConcurrencyLimiter(searcher, 1), num_samples=trials, metric="loss", mode="min", reuse_actors=True
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Clock()]),
        )
        tuner.fit()
    ray.shutdown()
    return overhead_of("Ray Tune, OptunaSearch, random", [b - a for a, b in zip(times, times[1:], strict=False)])


def apart(*arguments: str) -> list[dict[str, Any]]:
    """What a measurement prints in a process of its own, so that memory is its own."""
    done = subprocess.run([sys.executable, __file__, "--one", *arguments], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def table(rows: list[dict[str, Any]]) -> str:
    """The figures, and each beside random of the same number of trials."""
    lines = [
        f"{'engine':<32}{'trials':>8}{'median ms':>11}{'last tenth':>12}{'95 %':>8}{'total s':>9}{'peak MiB':>10}{'x random':>10}"
    ]
    random = {row["asked"]: row["median_ms"] for row in rows if row["engine"] == "random"}
    for row in rows:
        ratio = row["median_ms"] / random.get(row["asked"], row["median_ms"] if not random else random[min(random)])
        lines.append(
            f"{row['engine']:<32}{row['trials']:>8,}{row['median_ms']:>11.2f}{row['last_tenth_ms']:>12.2f}"
            f"{row['percentile_95_ms']:>8.2f}{row['total_s']:>9.1f}{row['peak_mib']:>10.0f}{ratio:>10.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the table and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000])
    parser.add_argument("--tpe-trials", type=int, default=1_000, help="TPE is measured up to so many trials")
    parser.add_argument("--tune", type=int, nargs="?", const=100, default=0, help="trials through Ray Tune")
    parser.add_argument("--simulate", type=int, default=0, help="trials on 1,000 simulated workers")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", nargs=3, metavar=("PLACE", "TRIALS", "WORKERS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if given.one:
        place, trials, workers = map(int, given.one)
        found = measure_tune(trials) if place < 0 else measure_ours(*STRATEGIES[place], trials, workers)
        print(json.dumps(vars(found) | {"workers": workers, "asked": trials}))
        return
    rows = []
    for trials in given.trials:
        for place, (name, _, _) in enumerate(STRATEGIES):
            if name != "tpe" or trials <= given.tpe_trials:
                rows += apart(str(place), str(trials), "1")
    rows += apart("-1", str(given.tune), "1") if given.tune else []
    print(table(rows))
    simulated = [one for place in (0, 1) if given.simulate for one in apart(str(place), str(given.simulate), "1000")]
    if simulated:
        print("\n1,000 simulated workers:")
        print(table(simulated))
    if given.output:
        about = {"cpu": cpu_model(), "genes": GENES, "rows": rows, "simulated": simulated}
        given.output.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
