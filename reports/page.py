"""Writing a report: one self-contained page, and the same results for machines beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nas.errors import UserError
from nas.units import kwh
from reports.analysis import DEFAULT_USES, Analysis, analyse, make_settings
from reports.drawing import Drawing
from reports.export import write_csv, write_json
from reports.figures import draw_all
from reports.glossary import GLOSSARY
from reports.sentences import COMPARED, Verdict, make_verdict, region_words
from reports.tables import (
    budget_table,
    costs_table,
    models_table,
    references_table,
    results_table,
    setup_table,
    trials_table,
    uses_table,
)
from reports.words import energy, mass, mass_range, number, shortest, signed

PROVENANCE_WORDS = {
    "measured": "from hardware energy counters",
    "sampled": "from power readings at intervals",
    "estimated": "from a power model, with an interval",
    "unattributed": "the meter could not say",
}


@dataclass(frozen=True)
class Tile:
    """One of the numbers on the first screen."""

    name: str
    value: str
    detail: str
    provenance: str | None = None


def write_report(
    run_dirs: Sequence[Path],
    output: Path,
    searched_in: str,
    used_in: str,
    uses: Sequence[int] = DEFAULT_USES,
    pue: float = 1.0,
) -> Verdict:
    """Writes index.html, results.json, results.csv and the figures as PNG into `output`, and returns the verdict.

    The same runs and settings give the same bytes.

    Args:
        run_dirs: One run folder, or several of the same task, corpus, recipe and budget.
        output: Folder to write to; made when missing.
        searched_in: Region whose grid fed the search and the trainings, for example "DEU".
        used_in: Region whose grid feeds the uses.
        uses: Numbers of uses whose net emissions the report shows.
        pue: Power usage effectiveness, applied to every term.

    Raises:
        UserError: a folder is no run, runs cannot be compared, a region is unknown, or `output` cannot be written.
    """
    settings = make_settings(searched_in, used_in, uses, pue)
    analysis = analyse(run_dirs, settings)
    verdict = make_verdict(analysis)
    drawings = draw_all(analysis)
    page = render_page(analysis, verdict, drawings)
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "index.html").write_text(page, encoding="utf-8")
        for drawing in drawings:
            (output / f"{drawing.name}.png").write_bytes(drawing.png)
        write_json(analysis, verdict, output / "results.json")
        write_csv(analysis, output / "results.csv")
    except OSError as error:
        raise UserError(f"expected a folder that can be written, got {output}: {error}; choose another") from error
    return verdict


def render_page(analysis: Analysis, verdict: Verdict, drawings: Sequence[Drawing]) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("reports").joinpath("template.html").read_text(encoding="utf-8"))
    tables = (models_table(analysis), references_table(analysis), trials_table(analysis))
    spent = [budget_table(analysis), uses_table(analysis)]
    return template.render(
        name=str(analysis.lookup("name") or analysis.run.run_id),
        run=analysis.run.run_id,
        verdict=verdict,
        tiles=make_tiles(analysis),
        provenance_words=PROVENANCE_WORDS,
        figures=[(drawing, Markup(drawing.wide_svg), Markup(drawing.narrow_svg)) for drawing in drawings],
        spent=[table for table in spent if table is not None],
        tables=tables,
        published=(costs_table(), results_table()),
        setup=setup_table(analysis),
        settings=analysis.settings,
        searched_in=region_words(analysis.settings.searched_in),
        used_in=region_words(analysis.settings.used_in),
        source=analysis.source,
        margin=shortest(analysis.evidence.margin_bleu),
        glossary=GLOSSARY,
        warnings=analysis.warnings,
    )


def make_tiles(analysis: Analysis) -> tuple[Tile, ...]:
    """The four numbers of the first screen."""
    return (_difference_tile(analysis), _cost_tile(analysis), _gain_tile(analysis), _break_even_tile(analysis))


def _difference_tile(analysis: Analysis) -> Tile:
    comparison = analysis.findings.comparison
    if comparison is None:
        return Tile("Search against hand", "unknown", "a champion is missing")
    low, high = signed(comparison.interval.low), signed(comparison.interval.high)
    outcome = "cannot be told apart" if comparison.sign == 0 else f"search {COMPARED[comparison.sign]} hand"
    return Tile(
        "Search against hand",
        f"{signed(comparison.difference)} BLEU",
        f"95 %: {low} to {high}; {outcome}; detectable from {comparison.minimum_detectable:.2f}",
    )


def _cost_tile(analysis: Analysis) -> Tile:
    total_kwh = kwh(analysis.evidence.cost.loaded_uj)
    spread = mass_range(analysis.model_interval(analysis.search_g))
    return Tile(
        "Cost of the search",
        f"{mass(analysis.search_g)} CO2e",
        f"{energy(total_kwh)} in {analysis.settings.searched_in.name}; {spread}",
        analysis.source.provenance,
    )


def _gain_tile(analysis: Analysis) -> Tile:
    findings = analysis.findings
    if findings.per_bleu_g is None or findings.per_bleu_interval is None:
        why = "models too weak to conclude" if findings.too_weak else "no gain that could be told from zero"
        return Tile("Carbon per BLEU gained", "none", why)
    interval = f"95 %: {mass_range(findings.per_bleu_interval)}"
    return Tile("Carbon per BLEU gained", f"{mass(findings.per_bleu_g)} CO2e", interval, analysis.source.provenance)


def _break_even_tile(analysis: Analysis) -> Tile:
    answer = analysis.findings.answer
    if answer.uses is None or answer.interval is None:
        return Tile("Break-even", answer.outcome, answer.reason or f"used in {analysis.settings.used_in.name}")
    interval = f"95 %: {number(answer.interval.low)} to {number(answer.interval.high)}"
    used = f"used in {analysis.settings.used_in.name}"
    return Tile("Break-even", f"{number(answer.uses)} uses", f"{interval}; {used}", analysis.source.provenance)
