"""The report of a comparison of hand designs: which one, and is the difference real?"""

from typing import Any

from nas.units import MICROJOULES_PER_JOULE, kwh
from reports.checklist import checklist_section
from reports.comparison import Compared
from reports.comparison_figures import draw_all_compared
from reports.comparison_limits import make_limits
from reports.comparison_sentences import listed, make_comparison_verdict, output_energy, seeds_words
from reports.comparison_tables import designs_table, energies_table, seeds_table
from reports.content import Content, Tile
from reports.design_costs import mean_training_uj
from reports.export import comparison_results
from reports.field import field_section
from reports.glossary import COMPARISON_GLOSSARY
from reports.interactive import interactive_comparison
from reports.ladder_page import ladder_section
from reports.model_card import model_cards
from reports.payers_tables import payers_tables
from reports.probes_page import probes_section
from reports.tables import references_table, results_table, setup_table
from reports.words import energy, mass, optional, shortest, significant
from reports.work_page import work_section


def comparison_content(compared: Compared) -> Content:
    """Everything on the page of a comparison."""
    verdict = make_comparison_verdict(compared)
    metric = compared.metric
    passed = f"A design must beat the better one by {shortest(compared.margin)} {metric.unit} on the test {metric.rows}."
    own: dict[str, Any] = {
        "metric": metric.unit,
        "num_draws": compared.num_draws,
        "designs": designs_table(compared),
        "limits": make_limits(compared),
        "tables": (energies_table(compared), seeds_table(compared), references_table(compared.references, passed)),
    }
    payers = payers_tables(compared)
    best = [compared.best.design] if compared.best else []
    sections = (
        ladder_section(compared),
        probes_section(compared),
        work_section(compared),
        field_section(compared, best),
        checklist_section(compared),
    )
    return Content(
        template="comparison.html",
        basis=compared,
        verdict=verdict,
        tiles=make_comparison_tiles(compared),
        drawings=draw_all_compared(compared),
        published=(results_table(compared.metric),),
        setup=setup_table(compared),
        glossary=COMPARISON_GLOSSARY,
        margin=compared.margin,
        payers=payers,
        cards=model_cards(compared, [model.design for model in compared.ranked]),
        own=own,
        results=comparison_results(compared, verdict),
        pasted=(own["designs"], *own["tables"], *payers),
        sections=tuple(one for one in sections if one is not None),
        interactive=interactive_comparison(compared),
    )


def make_comparison_tiles(compared: Compared) -> tuple[Tile, ...]:
    """The four numbers of the first screen."""
    return (_best_tile(compared), _separable_tile(compared), _detectable_tile(compared), _cost_tile(compared))


def _best_tile(compared: Compared) -> Tile:
    best = compared.best
    if best is None:
        return Tile("Scores best", "unknown", "no design has a score")
    interval, places = compared.intervals[best.design], compared.metric.places
    return Tile(
        "Scores best",
        best.design,
        f"{compared.metric.text(compared.score(best))}; 95 %: {optional(interval.low, places)} to "
        f"{optional(interval.high, places)}; {seeds_words([best])}",
        "scored",
    )


def _separable_tile(compared: Compared) -> Tile:
    title = "Not separable from it"
    if not compared.rivals:
        return Tile(title, "unknown", "nothing to compare with")
    if compared.too_weak:
        return Tile(title, "not judged", "models too weak to conclude")
    found = compared.rivals_that_are("not separable")
    names = listed([one.model.design for one in found]) if found else "all others are worse"
    return Tile(title, f"{len(found)} of {len(compared.rivals)}", names, "scored")


def _detectable_tile(compared: Compared) -> Tile:
    title = "Smallest detectable difference"
    if compared.detectable is None:
        return Tile(title, "unknown", "a design was trained once" if compared.rivals else "nothing to compare with")
    count = compared.num_pairs
    corrected = f", corrected for {count} pairs" if count > 1 else ""
    return Tile(title, compared.metric.text(compared.detectable), f"found in four of five such runs{corrected}", "scored")


def _cost_tile(compared: Compared) -> Tile:
    best, title = compared.best, "Cost of the best"
    training, joules = (mean_training_uj(best, "loaded"), output_energy(best)) if best else (None, None)
    if training is None or joules is None:
        return Tile(title, "unknown", "its energy is not known", compared.source.provenance)
    trained = f"{energy(kwh(training))}, {mass(compared.settings.searched_g(training))} CO2e to train once"
    used = mass(compared.settings.used_g(joules * MICROJOULES_PER_JOULE))
    return Tile(title, f"{significant(joules)} J", f"for 1,000 outputs, {used} CO2e; {trained}", compared.source.provenance)
