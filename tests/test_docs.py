"""Docs: made pages are those of the code, results.json keeps to its schema, links lead somewhere, commands exist."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nas.testing import module_at
from reports.analysis import Analysis
from reports.export import plain, search_results
from reports.sentences import make_verdict

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SCHEMA = json.loads((ROOT / "reports" / "results.schema.json").read_text(encoding="utf-8"))
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md"])


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
