"""Writing the report of a comparison of strategies: one self-contained page, and the same for machines beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.records import EnergySource
from reports.assumptions import embodied_words, error_words, pue_words, region_words
from reports.basis import Basis, common_source
from reports.conclusion import Conclusion
from reports.content import Tile
from reports.emissions_csv import emissions_csv
from reports.energy import run_cost_uj, split_energy
from reports.export import write_json
from reports.glossary import COMPARISON_GLOSSARY, Term
from reports.interchange import energy_results
from reports.load import load_run
from reports.markdown import report_markdown
from reports.page import remove_older_figures, render
from reports.scenarios import worlds
from reports.settings import Assumptions, make_settings
from reports.strategies import Strategies, analyse_strategies
from reports.strategies_energy import Energy, energy_of
from reports.strategies_export import strategies_results, write_strategies_csv
from reports.strategies_figures import draw_strategies
from reports.strategies_load import load_strategies
from reports.strategies_sentences import make_strategies_verdict
from reports.strategies_tables import (
    energy_table,
    finals_table,
    ranks_table,
    retrained_table,
    speed_table,
    spent_table,
    strategies_setup_table,
    variants_table,
)
from reports.strategies_words import UNIT_WORDS, baseline_words, num_strategies, quality_words, ratio_words, values_provenance
from reports.words import energy_between, mass, plural

OWN_TERMS = (
    Term("Anytime curve", "The best that a search had found by the time it had spent so much."),
    Term("Baseline", "The strategy that all others are tested against: random search, unless another is named."),
    Term("Hurdle, rung", "A number of training tokens at which it is decided which trials go on."),
    Term("Regret", "How far the best that was found is from the best there is."),
    Term("Simulated", "From the function of a benchmark, by which nothing was trained."),
    Term("Sign-flip test", "Asks how often chance alone would give so large a mean difference, by trying all signs."),
)
KEPT_TERMS = (
    "Estimated",
    "Fully loaded",
    "g CO2e",
    "Holm's correction",
    "Measured, sampled",
    "Not separable",
    "p-value",
    "PUE",
    "Scored, counted, configured",
)


def write_strategies_report(folder: Path, output: Path, searched_in: str, assumptions: Assumptions | None = None) -> Conclusion:
    """Writes the report of the comparison in `folder` into `output` and returns the verdict.

    That is index.html, the figures as PNG, results.md, strategies.json and strategies.csv; unless it was simulated also
    energy.json and emissions.csv. The same run and settings give the same bytes.

    Args:
        folder: the comparison's run folder.
        output: folder to write to; made when missing.
        searched_in: region whose grid fed the searches; a simulated comparison does not look at it.
        assumptions: PUE and the making of the hardware.

    Raises:
        UserError: the folder has no comparison, none of its seeds is whole, or `output` cannot be written.
    """
    strategies = analyse_strategies(load_strategies(folder))
    basis = None if strategies.run.simulated else _basis(folder, searched_in, assumptions)
    energy = None if basis is None else energy_of(basis.worlds, [one.name for one in strategies.run.variants])
    verdict = make_strategies_verdict(strategies, basis, energy)
    drawings = draw_strategies(strategies, None if basis is None else basis.settings)
    values = _values(strategies, basis, energy, verdict)
    page = render("strategies.html", drawings, **values)
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_older_figures(output, drawings)
        (output / "index.html").write_text(page, encoding="utf-8")
        for drawing in drawings:
            (output / f"{drawing.name}.png").write_bytes(drawing.png)
        write_json(strategies_results(strategies, basis, energy, verdict), output / "strategies.json")
        write_strategies_csv(strategies, output / "strategies.csv")
        if basis is not None:
            write_json(energy_results(basis), output / "energy.json")
            (output / "emissions.csv").write_text(emissions_csv(basis), encoding="utf-8")
        tables = (values["ranks"], *values["tables"], values["variants"], values["setup"])
        (output / "results.md").write_text(report_markdown(values["name"], verdict, tables), encoding="utf-8")
    except OSError as error:
        raise UserError(f"expected a folder that can be written, got {output}: {error}; choose another") from error
    return verdict


def _basis(folder: Path, searched_in: str, assumptions: Assumptions | None) -> Basis:
    run = load_run(folder)
    return Basis(
        runs=(run,),
        worlds=worlds([run]),
        settings=make_settings(searched_in, searched_in, assumptions),
        split=split_energy([run]),
        source=common_source([run]),
        warnings=run.warnings,
    )


def _values(strategies: Strategies, basis: Basis | None, energy: Energy | None, verdict: Conclusion) -> Mapping[str, Any]:
    """What the template shows."""
    run, nothing = strategies.run, EnergySource(name="none", provenance="unattributed", version="")
    tables = [speed_table(strategies), spent_table(strategies)]
    tables += [energy_table(basis, energy)] if basis is not None and energy is not None and basis.run.machines else []
    tables += [retrained_table(strategies), finals_table(strategies)]
    settings = None if basis is None else basis.settings
    return {
        "name": str(run.experiment.get("name") or run.run_id),
        "run": run.run_id,
        "verdict": verdict,
        "tiles": make_strategies_tiles(strategies, basis),
        "ranks": ranks_table(strategies),
        "variants": variants_table(strategies),
        "tables": [table for table in tables if table is not None],
        "setup": strategies_setup_table(strategies, basis),
        "simulated": run.simulated,
        "quality_how": strategies.quality.how,
        "source": nothing if basis is None else basis.source,
        "errors": "" if basis is None else error_words(basis.source),
        "searched_in": "" if settings is None else region_words(settings.searched_in),
        "used_in": "" if settings is None else region_words(settings.used_in),
        "pue": "" if settings is None else pue_words(settings.pue),
        "embodied": "" if settings is None else embodied_words(settings.embodied),
        "glossary": _glossary(),
        "warnings": _warnings(strategies, basis),
    }


def _glossary() -> tuple[Term, ...]:
    kept = [term for term in COMPARISON_GLOSSARY if term.name in KEPT_TERMS]
    return tuple(sorted((*kept, *OWN_TERMS), key=lambda term: term.name.lower()))


def _warnings(strategies: Strategies, basis: Basis | None) -> tuple[str, ...]:
    """What was wrong with the files, and what the searches themselves warned of."""
    run = strategies.run
    told = [f"{search.variant}, seed {search.seed}: {text}" for search in run.searches.values() for text in search.warnings]
    if run.baseline is None:
        told.insert(0, "there is no baseline among the strategies, so nothing is tested")
    lost = {one.name: sum(value is None for value in one.finals) for one in strategies.results}
    told += [f"{name}: nothing within the limits was found with {plural(count, 'seed')}" for name, count in lost.items() if count]
    return (*run.warnings, *told, *(() if basis is None else basis.warnings))


def make_strategies_tiles(strategies: Strategies, basis: Basis | None) -> tuple[Tile, ...]:
    """The four numbers of the first screen."""
    return (_best_tile(strategies), _separable_tile(strategies), _speed_tile(strategies), _cost_tile(strategies, basis))


def _best_tile(strategies: Strategies) -> Tile:
    if not strategies.leaders:
        return Tile("Ends best", "unknown", "nothing was found within the limits")
    best, *others = strategies.leaders
    detail = f"{strategies.quality.name} {quality_words(best.mean)}"
    if others:
        detail += f", as {plural(len(others), 'other')}"
    elif best.interval is not None:
        detail += f"; 95 %: {quality_words(best.interval.low)} to {quality_words(best.interval.high)}"
    detail += f"; {plural(len(strategies.run.seeds), 'seed')}"
    return Tile("Ends best", best.name, detail, values_provenance(strategies.run))


def _separable_tile(strategies: Strategies) -> Tile:
    tests, title = strategies.tests, f"Better than {baseline_words(strategies)}"
    if strategies.run.baseline is None or tests is None or not tests.rivals:
        return Tile("Better than a baseline", "unknown", "there is nothing to compare with")
    better = tests.that_are("better")
    detail = f"{len(tests.that_are('not separable'))} not separable, {len(tests.that_are('worse'))} worse"
    if tests.powerless:
        detail = f"so few seeds can show nothing; it takes {tests.seeds_needed}"
    return Tile(title, f"{len(better)} of {len(tests.rivals)}", detail, values_provenance(strategies.run))


def _speed_tile(strategies: Strategies) -> Tile:
    title, unit = "Soonest as good as the baseline", strategies.unit
    others = [one.name for one in strategies.results if one.name != strategies.run.baseline]
    speeds = {name: found for name in others if (found := strategies.speed(name, unit)) is not None}
    if not speeds:
        return Tile(title, "unknown", "there is no baseline, or it found nothing")
    name = min(speeds, key=lambda one: speeds[one].ratio)
    found = speeds[name]
    several = len(strategies.run.seeds) > 1
    ends = f"; 95 %: {ratio_words(found.interval.low)} to {ratio_words(found.interval.high)}" if several else ""
    return Tile(title, ratio_words(found.ratio), f"of its {UNIT_WORDS[unit]}: {name}{ends}")


def _cost_tile(strategies: Strategies, basis: Basis | None) -> Tile:
    if basis is None:
        return Tile("Cost of it all", "none", "simulated: nothing was trained or metered")
    total = basis.worlds.range(run_cost_uj)
    grams = basis.settings.searched_range_g(total)
    detail = f"{energy_between(total)} for {num_strategies(len(strategies.run.variants))}, all seeds, idle power included"
    return Tile("Cost of it all", f"{mass(grams.central)} CO2e", detail, basis.source.provenance)
