"""A comparison of strategies for machines: strategies.json, and strategies.csv with one row a search."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from reports.basis import Basis
from reports.conclusion import Conclusion
from reports.export import plain, said_results, write_csv
from reports.statistics import LEVEL
from reports.strategies import Result, Strategies
from reports.strategies_energy import Energy
from reports.strategies_tests import Rival, Tests
from reports.strategies_words import gain

SCHEMA = 1


def strategies_results(strategies: Strategies, basis: Basis | None, energy: Energy | None, verdict: Conclusion) -> dict[str, Any]:
    """Everything that the page says, as plain JSON; infinite numbers are null."""
    run = strategies.run
    return {
        "schema": SCHEMA,
        "report": "strategies",
        "run": run.run_id,
        "simulated": run.simulated,
        "verdict": said_results(verdict),
        "objectives": [plain(asdict(one)) for one in run.objectives],
        "quality": plain(asdict(strategies.quality)),
        "reference": plain(strategies.reference),
        "budget": plain(run.budget),
        "unit": strategies.unit,
        "seeds": list(run.seeds),
        "planned_seeds": list(run.planned_seeds),
        "baseline": run.baseline,
        "correction": "Holm",
        "level": LEVEL,
        "seeds_needed": None if strategies.tests is None else strategies.tests.seeds_needed,
        "strategies": [_result(strategies, one) for one in strategies.ranked],
        "retrained": _retrained(strategies),
        "energy_source": None if basis is None else plain(asdict(basis.source)),
        "settings": None if basis is None else plain(asdict(basis.settings)),
        "energy": None if energy is None else plain(asdict(energy)),
    }


def _result(strategies: Strategies, result: Result) -> dict[str, Any]:
    settings = next(one.settings for one in strategies.run.variants if one.name == result.name)
    rival = None if strategies.tests is None else strategies.tests.of(result.name)
    speeds = {unit: strategies.speed(result.name, unit) for unit in strategies.units}
    return {
        **plain(asdict(result)),
        "settings": plain(settings),
        "standing": strategies.standing(result.name),
        "test": None if rival is None or strategies.tests is None else _test(strategies.tests, rival),
        "part_of_baseline": {unit: None if one is None else plain(asdict(one)) for unit, one in speeds.items()},
    }


def _test(tests: Tests, rival: Rival) -> dict[str, Any]:
    mean, interval = gain(rival)
    return {
        "gains": [-one for one in rival.differences],
        "gain": mean,
        "gain_interval": plain(asdict(interval)),
        "p_value": rival.p_value,
        "holm_p_value": rival.holm_p_value,
        "detectable": None if tests.powerless else plain(tests.detectable(rival)),
    }


def _retrained(strategies: Strategies) -> dict[str, Any] | None:
    found = strategies.retrained
    if found is None:
        return None
    rivals = {} if found.tests is None else {one.name: _test(found.tests, one) for one in found.tests.rivals}
    return {
        "metric": plain(asdict(found.metric)),
        "values": plain(found.values),
        "means": plain(found.means),
        "intervals": {name: plain(asdict(one)) for name, one in found.intervals.items()},
        "tests": rivals,
    }


def write_strategies_csv(strategies: Strategies, path: Path) -> None:
    """Writes strategies.csv: one row a search of the seeds that are whole; unknown values are empty."""
    rows = []
    for result in strategies.results:
        for seed, final in zip(strategies.run.seeds, result.finals, strict=True):
            search = strategies.run.searches[result.name, seed]
            rows.append(_row(result.name, seed, final, search.spent, search.counts) | {"stopped": search.stopped})
    write_csv(pd.DataFrame(rows), path)


def _row(name: str, seed: int, final: float | None, spent: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {"strategy": name, "seed": seed, "final": final}
    return row | {f"spent_{unit}": one for unit, one in spent.items()} | {f"num_{status}": one for status, one in counts.items()}
