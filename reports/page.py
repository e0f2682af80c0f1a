"""Writing a report: one self-contained page, and the same results for machines beside it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from nas.errors import UserError
from reports.analysis import analyse
from reports.assumptions import embodied_words, error_words, pue_words, region_words
from reports.checklist import checklist, checklist_table
from reports.comparison import compare_designs
from reports.comparison_page import comparison_content
from reports.conclusion import Verdict
from reports.content import Content
from reports.drawing import Drawing
from reports.emissions_csv import emissions_csv
from reports.export import write_json, write_tables
from reports.folders import RunFolders, run_folders
from reports.interactive import Interactive, data_block, page_parts
from reports.interchange import energy_results
from reports.load import load_runs
from reports.markdown import report_markdown, table_markdown
from reports.model_card import FIRST_WORDS
from reports.search_page import search_content
from reports.settings import Assumptions, make_settings
from reports.study import analyse_study, is_study
from reports.study_page import study_content
from reports.words import seen, shortest

MADE_BY = "by carbon-nas. The same for machines beside this page:"
"""What the foot of every page says."""

PROVENANCE_WORDS = {
    "measured": "from hardware energy counters",
    "sampled": "from power readings at intervals",
    "estimated": "from a power model, with an interval",
    "unattributed": "the meter could not say",
    "scored": "from the models' outputs on data that no training saw",
    "simulated": "from the function of a benchmark, by which nothing was trained",
    "counted": "counted exactly from the architecture",
    "configured": "as the run was configured",
}


def write_report(
    run_dirs: Sequence[Path],
    output: Path,
    searched_in: str,
    used_in: str,
    assumptions: Assumptions | None = None,
) -> Verdict:
    """Writes the report into `output` and returns the verdict.

    That is index.html, the figures as PNG, results.json, results.csv and tables/; results.md and checklist.md to paste;
    energy.json with every energy and mass, emissions.csv in CodeCarbon's columns, and model_cards/ with the block on
    emissions of a Hugging Face model card.

    A search is reported as one, runs of hand designs alone as a comparison, several searches or searches beside hand designs
    that were run apart as a study. The same runs and settings give the same bytes.

    Args:
        run_dirs: One run folder, several of the same task, corpus, recipe and budget, or the folder of a study of such runs.
        output: Folder to write to; made when missing.
        searched_in: Region whose grid fed the search and the trainings, for example "DEU".
        used_in: Region whose grid feeds the uses.
        assumptions: What else is applied: power usage effectiveness, embodied carbon, numbers of uses to show.

    Raises:
        UserError: a folder is no run, runs cannot be compared, a region is unknown, or `output` cannot be written.
    """
    settings = make_settings(searched_in, used_in, assumptions)
    folders = run_folders(run_dirs)
    runs = load_runs(folders.folders)
    try:
        output.mkdir(parents=True, exist_ok=True)  # before anything is drawn, not after it
    except OSError as error:
        raise unwritable(output, error) from error
    if is_study(runs):
        content = study_content(analyse_study(runs, settings, folders))
    elif runs[0].searched:
        analysis = analyse(runs, settings)
        content = search_content(replace(analysis, warnings=(*analysis.warnings, *_unread(folders))))
    else:
        compared = compare_designs(runs, settings)
        content = comparison_content(replace(compared, warnings=(*compared.warnings, *_unread(folders))))
        several = (folders.name or " + ".join(run.run_id for run in runs)) if len(runs) > 1 else None
        content = replace(content, title=several)
    page = render_page(content)
    try:
        remove_older_figures(output, content.all_drawings)
        (output / "index.html").write_text(page, encoding="utf-8")
        for drawing in content.all_drawings:
            (output / f"{drawing.name}.png").write_bytes(drawing.png)
        write_json(content.results, output / "results.json")
        write_tables(runs, output)
        for name, text in _markdown(content).items():
            (output / name).write_text(text, encoding="utf-8")
        write_json(energy_results(content.basis), output / "energy.json")
        (output / "emissions.csv").write_text(emissions_csv(content.basis), encoding="utf-8")
        _write_cards(content.cards, output / "model_cards")
    except OSError as error:
        raise unwritable(output, error) from error
    return content.verdict


def _unread(folders: RunFolders) -> tuple[str, ...]:
    """Runs of a folder that are in no figure, where no sentence names what a study still lacks."""
    return (*(f"{one}: begun, nothing recorded yet" for one in folders.unstarted), *folders.warnings)


def unwritable(output: Path, error: OSError) -> UserError:
    """What a user is told of a folder that cannot be written."""
    return UserError(f"expected a folder that can be written, got {output}: {error}; choose another")


def _markdown(content: Content) -> dict[str, str]:
    """The files to paste: the verdict with models and costs, and the checklist."""
    name = content.title or str(content.basis.lookup("name") or content.basis.run.run_id)
    return {
        "results.md": report_markdown(name, content.verdict, content.pasted),
        "checklist.md": table_markdown(checklist_table(checklist(content.basis))),
    }


def remove_older_figures(output: Path, drawings: Sequence[Drawing]) -> None:
    """Removes the PNGs of figures that an earlier report in the folder shows and this one does not; no other file is touched."""
    page = output / "index.html"
    text = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    shown = re.findall(r'<figure id="([\w-]+)">', text) if MADE_BY in text else []
    for name in set(shown) - {drawing.name for drawing in drawings}:
        (output / f"{name}.png").unlink(missing_ok=True)


def _write_cards(cards: Mapping[str, str], folder: Path) -> None:
    """Writes the model cards; those of an earlier report, whose champions may have been others, go first."""
    for old in folder.glob("*.yaml"):
        if old.read_text(encoding="utf-8", errors="replace").startswith(FIRST_WORDS):
            old.unlink()
    if cards:
        folder.mkdir(exist_ok=True)
    for name, text in cards.items():
        (folder / name).write_text(text, encoding="utf-8")


def _plates(drawings: Sequence[Drawing]) -> list[tuple[Drawing, Markup, Markup]]:
    return [(drawing, Markup(drawing.wide_svg), Markup(drawing.narrow_svg)) for drawing in drawings]


def _finalised(value: Any) -> Any:
    """What a template puts into the page: texts of the records without characters that cannot be seen."""
    return seen(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render(template: str, drawings: Sequence[Drawing], interactive: Interactive | None = None, **values: Any) -> str:
    """A page of a template as HTML, everything in it escaped but what the report drew itself."""
    loader = FunctionLoader(lambda name: files("reports").joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalised
    )
    values |= {"interactive": interactive, "data": None if interactive is None else data_block(interactive.data)}
    found = environment.get_template(template)
    return found.render(figures=_plates(drawings), provenance_words=PROVENANCE_WORDS, **page_parts(), **values)


def render_page(content: Content) -> str:
    """The page as HTML."""
    basis = content.basis
    return render(
        content.template,
        content.drawings,
        content.interactive,
        name=content.title or str(basis.lookup("name") or basis.run.run_id),
        run=content.title or basis.run.run_id,
        verdict=content.verdict,
        tiles=content.tiles,
        sections=[(section, _plates(section.drawings)) for section in content.sections],
        published=content.published,
        payers=content.payers,
        setup=content.setup,
        pue=pue_words(basis.settings.pue),
        embodied=embodied_words(basis.settings.embodied),
        errors=error_words(basis.source),
        searched_in=region_words(basis.settings.searched_in),
        used_in=region_words(basis.settings.used_in),
        source=basis.source,
        margin=shortest(content.margin),
        glossary=content.glossary,
        warnings=basis.warnings,
        **content.own,
    )
