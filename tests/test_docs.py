"""Docs: made pages are those of the code, results.json keeps to its schema, links lead somewhere, commands and keys exist."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from nas.cli import app
from nas.configuration import built_in_comparisons, built_in_experiments, built_in_studies
from nas.experiment_parts import CarbonPart, EmbodiedPart, ExecutionPart, FinalPart, HandPart
from nas.recipe import Recipe
from nas.search_parts import HurdlesPart, SearchPart, SupernetPart
from nas.testing import module_at
from reports.analysis import Analysis
from reports.export import plain, search_results
from reports.sentences import make_verdict

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SCHEMA = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "results").glob("*/README.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
BUILT_IN = {"run": built_in_experiments, "study": built_in_studies, "compare-strategies": built_in_comparisons}


def test_made_pages_are_current() -> None:
    for name, text in module_at(DOCS / "make_pages.py").pages().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, (
            f"run python docs/make_pages.py: docs/{name} is older than the code"
        )


@pytest.fixture(scope="module")
def results(analysis: Analysis) -> dict[str, Any]:
    found: dict[str, Any] = plain(search_results(analysis, make_verdict(analysis)))
    return found


def complaints(results: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{'/'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in validator.iter_errors(results)]


def test_results_of_a_search_keep_to_their_schema(results: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert complaints(results) == []


def test_the_schema_sees_what_is_wrong(results: dict[str, Any]) -> None:
    missing = {name: one for name, one in results.items() if name != "verdict"}
    for wrong in (missing, results | {"new": 1}, results | {"margin": "3"}, results | {"schema": 1}):
        assert complaints(wrong)


def anchors(page: Path) -> set[str]:
    """What a link may name within a page: its headings, in small letters, without signs, with dashes for spaces."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
        if not target.startswith("http"):
            found = page.parent / target if target else page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist_with_their_options_and_experiments(page: Path) -> None:
    for line in re.findall(r"(?m)(?:^    |`)carbon-nas ([a-z][^`\n]*)", page.read_text(encoding="utf-8")):
        words = re.split(r" {2,}", line)[0].split()  # behind two spaces it is explained
        command = COMMANDS[words[0]]
        options = {name for one in command.params for name in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
        if words[0] in BUILT_IN and len(words) > 1 and re.fullmatch(r"[a-z][a-z_]+", words[1]):
            assert words[1] in BUILT_IN[words[0]](), line


KEYS = {
    "recipe": {one.name for one in fields(Recipe)},
    "hand": set(HandPart.model_fields),
    "search": set(SearchPart.model_fields) | set(HurdlesPart.model_fields) | set(SupernetPart.model_fields),
    "final": set(FinalPart.model_fields),
    "execution": set(ExecutionPart.model_fields),
    "carbon": set(CarbonPart.model_fields) | set(EmbodiedPart.model_fields),
}
TOLD_IN = [DOCS / f"{name}.md" for name in ("experiment", "search", "cluster", "regions", "study")]


@pytest.mark.parametrize("table", KEYS)
def test_every_key_of_an_experiment_is_told_and_no_other(table: str) -> None:
    told = "\n".join(page.read_text(encoding="utf-8") for page in TOLD_IN)
    in_code = " ".join(first or second for first, second in re.findall(r"(?m)`([^`]+)`|^    (.+)$", told))
    assert not {key for key in KEYS[table] if not re.search(rf"\b{key}\b", in_code)}
    sections = re.split(r"(?m)^## ", (DOCS / "experiment.md").read_text(encoding="utf-8"))
    section = next(one for one in sections if one.startswith(f"`[{table}]`"))
    assert {name for row in re.findall(r"(?m)^\| (`[^|]+) \|", section) for name in re.findall(r"`(\w+)`", row)} <= KEYS[table]
