"""The checklist: answers change with the records, unknown is said, and the page and the file hold the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from nas.records import Record
from reports.analysis import Analysis
from reports.checklist import checklist, checklist_section, checklist_table
from reports.checklist_answers import ANSWERS, SOFTWARE
from reports.load import Run


def answers(analysis: Analysis) -> dict[str, tuple[str, str]]:
    return {one.question: (one.answer, one.evidence) for one in checklist(analysis)}


def edited(analysis: Analysis, edit: Callable[[Record], Record]) -> Analysis:
    """The analysis with other records under the same evidence: the checklist reads the records."""
    runs: tuple[Run, ...] = tuple(replace(run, records=tuple(map(edit, run.records))) for run in analysis.runs)
    return replace(analysis, runs=runs)


def test_every_item_has_an_answer_and_evidence(analysis: Analysis) -> None:
    items = checklist(analysis)
    assert len(items) > 20 and len({one.question for one in items}) == len(items)
    assert all(one.answer in ANSWERS and one.evidence for one in items)
    assert sum(one.evidence.startswith(SOFTWARE) for one in items) == 2  # these records name no version of the software


@pytest.mark.parametrize(
    ("question", "edit", "answer"),
    [
        ("same recipe", lambda one: replace(one, recipe={**one.recipe, "seed_of_it": one.seed}), "no"),
        ("with the same budget", lambda one: replace(one, budget_tokens=one.seed + 1), "no"),
        ("these data", lambda one: replace(one, corpus={"name": "mine"}), "no"),
        ("hardware recorded", lambda one: replace(one, machine={}), "no"),
        ("code of training", lambda one: replace(one, versions={}), "unknown"),
        ("random search", lambda one: replace(one, strategy="random"), "partly"),
        ("random search", lambda one: replace(one, strategy="random+asha" if one.trial == 1 else "tpe"), "yes"),
        ("random search", lambda one: replace(one, strategy=None), "unknown"),
        ("held back", lambda one: replace(one, metrics={**one.metrics, "test_bleu": 1.0}), "no"),
        ("held back", lambda one: replace(one, role="control") if one.role == "hand" else one, "yes"),
        ("since they were tried", lambda one: replace(one, architecture={"same": True}), "yes"),
        ("recipe tuned", lambda one: replace(one, recipe={"peak_learning_rate": one.seed}), "yes"),
        ("recipe tuned", lambda one: replace(one, recipe={}), "unknown"),
    ],
)
def test_answers_come_from_the_records(analysis: Analysis, question: str, edit: Callable[[Record], Record], answer: str) -> None:
    (name,) = (name for name in answers(analysis) if question in name.lower())
    assert answers(edited(analysis, edit))[name][0] == answer


SEEDS = "Were the compared models trained with several seeds?"


def test_seeds_are_fresh_ones_of_the_champion_that_has_the_fewest(analysis: Analysis) -> None:
    assert answers(analysis)[SEEDS][0] == "partly" and answers(analysis)[SEEDS][1].startswith("3 fresh seed(s) of ")

    def failed(one: Record, *seeds: int) -> Record:
        return replace(one, status="failed") if one.role == "final" and one.family == "searched" and one.seed in seeds else one

    answer, evidence = answers(edited(analysis, lambda one: failed(one, 2, 3)))[SEEDS]
    assert answer == "no" and evidence.startswith("1 fresh seed(s) of search-trial7, the fewest")
    chosen_alone = edited(analysis, lambda one: replace(one, status="failed") if one.role == "final" else one)
    assert answers(chosen_alone)[SEEDS] == ("no", "no model has a fresh seed")


def test_a_search_is_repeated_by_another_seed_of_the_same_strategy_and_limit(analysis: Analysis) -> None:
    def searched(**changes: object) -> Run:
        (run,) = analysis.runs
        experiment = {**run.experiment, "search": {**run.experiment["search"], **changes}}
        return replace(run, info={**run.info, "run_id": str(changes), "experiment": experiment})

    def repeated(*runs: Run) -> tuple[str, str]:
        return answers(replace(analysis, runs=(*analysis.runs, *runs)))["Was the search itself repeated?"]

    assert repeated()[0] == "no" and repeated()[1].startswith("1 seed(s)")
    others = [searched(strategy="random"), searched(mac_limit=7_000_000), searched(strategy="tpe", seed=1)]
    assert repeated(*others)[0] == "no"
    assert repeated(*others, searched(seed=1))[0] == "partly"
    assert repeated(*others, *(searched(seed=seed) for seed in (1, 2, 3, 4)))[0] == "yes"


def test_energy_is_answered_from_its_source_and_ledger(analysis: Analysis) -> None:
    found = answers(analysis)
    assert found["Was the energy measured by counters?"][0] == "no" and analysis.source.provenance == "estimated"
    measured = replace(analysis, source=replace(analysis.source, provenance="measured"))
    assert answers(measured)["Was the energy measured by counters?"][0] == "yes"
    assert found["Do its parts sum to the whole?"][0] == "yes"
    bare = replace(analysis, split=replace(analysis.split, from_ledger=False, exact=False))
    for question in (
        "Do its parts sum to the whole?",
        "Are idle power and overhead counted?",
        "Was the machine free of other work?",
    ):
        assert answers(bare)[question] == ("unknown", "there is no energy ledger")


def test_the_section_is_closed_and_its_table_counts_the_answers(analysis: Analysis) -> None:
    section, items = checklist_section(analysis), checklist(analysis)
    assert section.collapsed and section.tables == (checklist_table(items),)
    assert f"{sum(one.answer == 'no' for one in items)} no" in section.tables[0].note
