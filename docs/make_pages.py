"""Writes the pages of docs/ that are made from the code: results-schema.md, tables.md and reference.md. Run it after a change."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reports.energy_tables import POWER_COLUMNS, TIMELINE_COLUMNS
from reports.figure_tables import MODEL_COLUMNS, PROGRESS_COLUMNS, TRIAL_COLUMNS
from reports.ladder_figure import LADDER_COLUMNS
from reports.payback_figures import REGION_COLUMNS, ROUTE_COLUMNS
from reports.search_tables import GENE_COLUMNS, GENEALOGY_COLUMNS
from reports.tidy import COLUMNS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MADE = "<!-- made by docs/make_pages.py; change the code, not this page -->\n\n"

REFERENCE = (
    "search_spaces/op.py",
    "search_spaces/architecture.py",
    "search_spaces/design.py",
    "search_spaces/stage.py",
    "search_spaces/space.py",
    "search_spaces/model.py",
    "search_spaces/testing.py",
    "nas/configuration.py",
    "nas/experiment.py",
    "nas/evaluation.py",
    "nas/records.py",
    "nas/objectives.py",
    "nas/ledger.py",
    "nas/search/plan.py",
    "nas/search/strategies.py",
    "nas/search/hurdles.py",
    "nas/carbon.py",
    "nas/units.py",
    "reports/load.py",
    "reports/tidy.py",
    "reports/settings.py",
    "reports/page.py",
    "reports/checklist.py",
    "reports/analysis.py",
    "reports/conclusion.py",
    "reports/sentences.py",
    "reports/study.py",
    "reports/drawing.py",
    "reports/figure_tables.py",
    "reports/quality_figures.py",
    "reports/payback_figures.py",
    "reports/energy_tables.py",
    "reports/energy_figures.py",
    "reports/power_figures.py",
    "reports/search_tables.py",
    "reports/search_figures.py",
    "reports/ladder_figure.py",
    "reports/study_figures.py",
    "reports/probes.py",
    "reports/probes_figures.py",
)
"""Modules that somebody who extends or scripts carbon-nas meets first."""


FIGURE_TABLES = {
    "reports.figure_tables.analysis_models": (MODEL_COLUMNS, "the figures of `reports.quality_figures`"),
    "reports.figure_tables.trial_table": (TRIAL_COLUMNS, "quality_against_macs"),
    "reports.figure_tables.progress_table": (PROGRESS_COLUMNS, "best_against_carbon"),
    "reports.payback_figures.routes_table": (ROUTE_COLUMNS, "break_even_lines"),
    "reports.payback_figures.regions_table": (REGION_COLUMNS, "region_map"),
    "reports.energy_tables.power_table": (POWER_COLUMNS, "power_over_time"),
    "reports.energy_tables.timeline_table": (TIMELINE_COLUMNS, "timeline"),
    "reports.search_tables.genealogy_table": (GENEALOGY_COLUMNS, "genealogy"),
    "reports.search_tables.genes_table": (GENE_COLUMNS, "gene_importance"),
    "reports.ladder_figure.ladders_table": (LADDER_COLUMNS, "compression_ladders"),
}
"""What makes a table, its columns, and what is drawn of it."""


def pages() -> dict[str, str]:
    """File name and content of every page that is made."""
    return {"results-schema.md": schema_page(), "tables.md": tables_page(), "reference.md": reference_page()}


def schema_page() -> str:
    """The fields of results.json, out of its JSON schema."""
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    intro = (
        f"# results.json\n\n{schema['description']}\n\nThe same as a JSON schema: "
        "[reports/results.schema.json](../reports/results.schema.json). `?` marks what may be null.\n"
    )
    parts = [f"## {name}\n\n{one['description']}\n\n" + "\n".join(_fields(one)) for name, one in schema["$defs"].items()]
    return MADE + "\n".join([intro, *(f"{part}\n" for part in parts)])


def _fields(schema: dict[str, Any], depth: int = 0) -> Iterator[str]:
    for name, one in schema.get("properties", {}).items():
        yield f"{'  ' * depth}- `{name}` ({_kind(one)}): {one.get('description', '')}"
        for part in (one, one.get("items", {}), *one.get("anyOf", ())):
            yield from _fields(part, depth + 1)


def _kind(one: dict[str, Any]) -> str:
    """What a field holds, in a few words."""
    if "$ref" in one:
        return one["$ref"].rsplit("/", 1)[-1]
    if "anyOf" in one:
        return _kind(one["anyOf"][0]) + "?"
    if "const" in one or "enum" in one:
        return " or ".join(json.dumps(value) for value in one.get("enum", [one.get("const")]))
    kind = one["type"]
    if isinstance(kind, list):
        return f"{kind[0]}?"
    if kind == "array":
        return f"list of {_kind(one['items'])}"
    return "map" if isinstance(one.get("additionalProperties"), dict) else str(kind)


def tables_page() -> str:
    """The columns of the tidy tables."""
    intro = (
        "# Tidy tables\n\n`reports.tidy` makes pandas tables of runs; `tables/` beside a report has most of them as CSV, "
        "`results.csv` is `records`. Energies are microjoules; what is not known is missing, never zero.\n"
    )
    parts = [_columns(table, columns) for table, columns in COLUMNS.items()]
    figures = (
        "# Tables that figures are drawn of\n\nEach is made by the function that it is named after, out of an analysis or its "
        "runs, and drawn by the function behind it ([reference](reference.md)), whose result a notebook shows as it is "
        "([example](report.ipynb)).\n"
    )
    drawn = [_columns(f"{name}: {figure}", columns) for name, (columns, figure) in FIGURE_TABLES.items()]
    return MADE + "\n".join([intro, *parts, figures, *drawn])


def _columns(title: str, columns: Mapping[str, str]) -> str:
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns.items())
    return f"## {title}\n\n| column | meaning |\n|---|---|\n{rows}\n"


def reference_page() -> str:
    """Modules, and the first line of everything public in them."""
    intro = "# Reference\n\nThe first line of everything public in the modules that one meets first; the rest is in the code.\n"
    return MADE + "\n".join([intro, *(_module(path) for path in REFERENCE)])


def _module(path: str) -> str:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    lines = [f"## {path.removesuffix('.py').replace('/', '.')}\n\n{_first_line(tree)}\n"]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            lines.append(f"- `{_signature(node)}`: {_first_line(node)}")
            members = node.body if isinstance(node, ast.ClassDef) else []
            for one in members:
                if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
                    lines.append(f"  - `{_signature(one)}`: {_first_line(one)}")
    return "\n".join(lines) + "\n"


def _signature(node: ast.ClassDef | ast.FunctionDef) -> str:
    if isinstance(node, ast.ClassDef):
        return node.name
    names = [
        one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if one.arg not in ("self", "cls")
    ]
    return node.name if any(_is_property(one) for one in node.decorator_list) else f"{node.name}({', '.join(names)})"


def _is_property(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id in ("property", "cached_property")


def _first_line(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
