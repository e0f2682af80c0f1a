"""The report of a study on synthetic runs: merging, verdicts by cell, Holm, the trend, controls, the tornado, the page."""

import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nas.errors import UserError
from nas.probe_lines import ProbeLine
from nas.records import Phase, Record, read_records
from nas.testing import module_at
from reports.analysis import analyse
from reports.break_even import BreakEven
from reports.cells import cells_of, key_of
from reports.cheap_scores_page import cheap_scores_section
from reports.controls import champion_ladders, longer_trainings, random_controls
from reports.controls_page import controls_section
from reports.draws import draw
from reports.energy import SearchCost
from reports.figure_tables import progress_table
from reports.folders import run_folders
from reports.interactive import interactive_study
from reports.load import Run, load_run, load_runs
from reports.markdown import escaped, table_markdown
from reports.models import Model, collect_models, within
from reports.pace import Pace, PaceErrors, Ratio
from reports.page import write_report
from reports.probes import lines_of
from reports.quality_figures import best_against_carbon
from reports.sentences import Verdict, make_verdict
from reports.settings import make_settings
from reports.statistics import Comparison, Interval, SeedSpread, compare, corrected, holm, student_quantile
from reports.study import Cell, Study, analyse_study, is_study, sole_cell
from reports.study_export import study_results
from reports.study_figures import differences, left_out, pays, study_models
from reports.study_page import study_tiles
from reports.study_sentences import cell_paragraph, make_study_verdict
from reports.study_tables import HEADS, verdict_row, verdict_table
from reports.tables import models_table
from reports.tornado import Tornado, tornado_of, varied, with_whole_idle, without_idle
from reports.tornado_page import tornado_section
from reports.trend import TrendPoint, trend_of
from reports.verdict import champions_training_uj, judge
from reports.words import how_known, p_words, signed

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")


STUDY: Any = module_at(RECORDS / "study.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written: Path = STUDY.write_study(tmp_path_factory.mktemp("studies") / "mystudy")
    return written


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return analysed(folder)


@pytest.fixture(scope="module")
def report(folder: Path, printing: Callable[..., AbstractContextManager[None]]) -> tuple[Path, Verdict]:
    output = folder.parent / "report"
    with printing():
        return output, write_report([folder], output, "DEU", "FRA")


def analysed(*given: Path) -> Study:
    folders = run_folders(given)
    return analyse_study(load_runs(folders.folders), SETTINGS, folders)


def copied(folder: Path, base: Path, without: tuple[str, ...] = ()) -> Path:
    shutil.copytree(folder, base / "copy", ignore=lambda _, names: [one for one in names if one in without])
    return base / "copy"


def standings(study: Study) -> dict[str, str]:
    return {cell.label: cell.standing for cell in study.cells}


# Merging


def test_a_study_folder_is_its_runs_and_names_those_without_records(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    (copy / "random-7m" / "records.jsonl").unlink()
    (copy / "report").mkdir()
    found = run_folders([copy])
    assert [one.name for one in found.folders] == ["aging_evolution-14m", "aging_evolution-7m", "hand", "random-14m"]
    assert found.name == "copy" and found.unstarted == ("random-7m",)
    assert run_folders([folder / "hand"]).folders == (folder / "hand",)
    (copy / "random-7m" / "run.json").rename(tmp_path / "run.json")
    with pytest.raises(UserError, match="expected a study with records in it, got .* with 1 runs that have none"):
        run_folders([only(copy, "hand", tmp_path)])


def only(study: Path, name: str, base: Path) -> Path:
    """A study of one run that recorded nothing."""
    shutil.copytree(study / name, base / "only" / name)
    (base / "only" / name / "records.jsonl").unlink()
    return base / "only"


def test_searches_come_first_and_are_cells_by_their_configuration(folder: Path) -> None:
    runs = load_runs([folder])
    assert [run.searched for run in runs] == [True] * 4 + [False]
    assert is_study(runs) and not is_study(runs[:1]) and not is_study(runs[-1:])
    assert [cell.label for cell in cells_of(runs)] == [
        "7 M MACs · aging evolution · seed 0",
        "7 M MACs · random · seed 0",
        "14 M MACs · aging evolution · seed 0",
        "14 M MACs · random · seed 0",
    ]
    same = [replace(runs[0], info=dict(runs[0].info) | {"run_id": name}) for name in ("one", "two")]
    assert [len(cell.runs) for cell in cells_of(same)] == [2], "the same search in two runs is one cell"
    assert key_of(replace(runs[0], records=())) == key_of(runs[0]), "a run that has just begun has no records"


def other_budget(record: Record) -> Record:
    return replace(record, budget_tokens=5) if record.role == "hand" else record


def other_count(record: Record) -> Record:
    if record.design != "lite_transformer-m" or record.counts is None:
        return record
    return replace(record, counts=replace(record.counts, macs_paper=12_000_000))


def other_scoring(record: Record) -> Record:
    return replace(record, signatures={"bleu": "tok:none"}) if record.role == "hand" else record


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (other_budget, "expected runs that share their budget_tokens, got 5 and 800000 in other and hand"),
        (other_count, "share their counted MACs of lite_transformer-m, got .12000000, .* and .12500000, "),
        (other_scoring, "share their scoring of bleu, got 'tok:none' and 'nrefs:1"),
    ],
    ids=["budget", "counting", "scoring"],
)
def test_runs_that_differ_are_refused(folder: Path, tmp_path: Path, edit: Any, named: str) -> None:
    other = STUDY.hand_run(tmp_path / "other", edit, seeds=(0,))
    with pytest.raises(UserError, match=named):
        load_runs([other, folder / "hand"])


def test_controls_of_another_budget_are_not_refused(folder: Path, tmp_path: Path) -> None:
    def controls_alone(record: Record) -> Record | None:
        return record if record.role == "control" else None

    other = STUDY.hand_run(tmp_path / "longer", controls_alone, seeds=(0,))
    assert len(load_runs([other, folder / "hand"])) == 2


def test_a_seed_trained_in_two_runs_is_one_seed_at_the_mean_of_both(folder: Path, tmp_path: Path) -> None:
    def doubled(record: Record) -> Record:
        phases = tuple(replace(one, loaded_uj=2 * (one.loaded_uj or 0)) for one in record.phases)
        metrics = {name: value + 2 for name, value in record.metrics.items()}
        return replace(record, phases=phases, metrics=metrics)

    other = STUDY.hand_run(tmp_path / "other", doubled, seeds=(0, 1))
    alone, pooled = (model_of(load_runs(runs), "lite_transformer-m") for runs in ([folder / "hand"], [folder / "hand", other]))
    assert [one.seed for one in pooled.runs] == [1, 2, 3] and len(pooled.repeats) == 2
    assert pooled.valid_score == pytest.approx((alone.valid_score or 0) + 1)
    assert pooled.test_scores == pytest.approx((alone.test_scores[0] + 1, *alone.test_scores[1:]))
    energies = [one.phase("train").loaded_uj for one in alone.runs]  # type: ignore[union-attr]
    assert pooled.training_uj("loaded") == round(1.5 * (energies[0] or 0)) + sum(one or 0 for one in energies[1:])
    assert draw([pooled], 50).picks["lite_transformer-m"].shape == (50, 3), "repeats are no seeds"


def model_of(runs: tuple[Run, ...], design: str) -> Model:
    return next(one for one in collect_models(runs) if one.design == design)


def test_champions_pay_for_as_many_seeds_each(folder: Path) -> None:
    search = next(one for one in collect_models(load_runs([folder / "random-7m"])) if one.finals)
    hand = model_of(load_runs([folder / "hand"]), "lite_transformer-s")
    fewer = replace(hand, finals=hand.finals[:2])
    of_search, of_hand = champions_training_uj(search, fewer, "loaded")
    assert of_search == round((search.training_uj("loaded") or 0) * 2 / 3) and of_hand == fewer.training_uj("loaded")


# Verdicts


def test_every_cell_has_its_own_verdict(study: Study) -> None:
    assert standings(study) == {
        "7 M MACs · aging evolution · seed 0": "hand design won",
        "7 M MACs · random · seed 0": "hand design won",
        "14 M MACs · aging evolution · seed 0": "search won",
        "14 M MACs · random · seed 0": "not separable",
    }
    assert all("no counts of the same test sentences" not in one for one in study.warnings)
    assert study.findings.num_sentences == 60
    champions = {cell.key.limit_words: cell.analysis.evidence.hand for cell in study.cells}
    assert {limit: one.design for limit, one in champions.items() if one} == {
        "7 M MACs": "lite_transformer-s",
        "14 M MACs": "lite_transformer-m",
    }
    for cell in study.cells:
        hand = cell.analysis.evidence.hand
        candidates = within([one for one in cell.analysis.evidence.models if not one.searched], cell.key.mac_limit)
        assert hand is not None and hand.valid_score == max(one.valid_score or 0 for one in candidates)
        assert {one.runs[0].run_id for one in cell.analysis.evidence.models if one.searched} == {cell.analysis.runs[0].run_id}


def test_p_values_are_corrected_for_the_number_of_cells(study: Study) -> None:
    found = [one for cell in study.cells if (one := cell.analysis.findings.comparison)]
    assert [one.holm_p_value for one in found] == pytest.approx(holm([one.p_value for one in found]))
    assert {one.num_comparisons for one in found} == {4}
    # 5 % over four comparisons, two-sided: quantiles of 0.99375 and 0.8, of the normal distribution 2.4977 and 0.8416.
    quantiles = [student_quantile(one, found[0].degrees_of_freedom) for one in (0.99375, 0.8)]
    assert quantiles[0] > 2.4977 and quantiles[1] > 0.8416
    assert found[0].minimum_detectable == pytest.approx(sum(quantiles) * found[0].standard_error, rel=1e-5)


def test_a_difference_that_correction_takes_away_has_no_sign() -> None:
    alone = Comparison(difference=1.0, interval=Interval(0.1, 1.9), standard_error=0.45, p_value=0.03)
    assert alone.sign == 1
    assert [one.sign for one in corrected([alone, replace(alone, p_value=0.9)])] == [0, 0]


def test_the_searches_cost_what_they_cost_together(study: Study) -> None:
    assert study.search_uj.central == sum(cell.analysis.search_uj.central for cell in study.cells)


@pytest.mark.parametrize(("loaded_uj", "value"), [(0, "unknown"), (7_200_000, "at least ")])
def test_what_the_searches_drew_is_never_told_as_zero(study: Study, loaded_uj: int, value: str) -> None:
    cost = SearchCost(loaded_uj=loaded_uj, dynamic_uj=0, from_ledger=False, num_unattributed=3)
    bare = replace(study, evidence=replace(study.evidence, cost=cost))
    told = next(one.text for one in make_study_verdict(bare).sentences if one.topic == "Cost of the searches")
    assert study_tiles(bare)[2].value.startswith(value)
    assert (told == "What the searches drew is not known.") == (loaded_uj == 0)
    assert told.count("at least ") == (2 if loaded_uj else 0)


def test_carbon_per_gain_only_where_the_search_won(study: Study) -> None:
    priced = [cell.standing for cell in study.cells if cell.analysis.findings.per_point_g is not None]
    assert priced == ["search won"]


def test_what_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path, without=("random-14m",))
    (copy / "aging_evolution-14m" / "records.jsonl").write_text(
        "".join(
            line + "\n"
            for line in (copy / "aging_evolution-14m" / "records.jsonl").read_text().splitlines()
            if '"record_id":"final/search-trial7/seed3"' not in line
        )
    )
    shutil.copytree(folder / "random-7m", copy / "late")
    (copy / "late" / "records.jsonl").unlink()
    found = analysed(copy)
    assert standings(found)["14 M MACs · aging evolution · seed 0"] == "unfinished"
    told = next(one.text for one in make_study_verdict(found).sentences if one.topic == "Missing")
    assert "14 M MACs · aging evolution · seed 0: search-trial7 (aging_evolution-14m) lacks seed 3" in told
    assert "14 M MACs · random · seed 0: no run" in told and "late: begun, nothing recorded yet" in told
    assert found.trend is None and "was not tested" in make_study_verdict(found).plain()
    unfinished = next(cell for cell in found.cells if cell.standing == "unfinished")
    paragraph = cell_paragraph(unfinished)
    assert paragraph.headline == f"No verdict yet: {unfinished.gap}."
    assert [one.topic for one in paragraph.sentences] == ["Cost of the search"]
    assert [shown.text for shown in verdict_row(unfinished)][1:3] == ["unfinished", "unknown"]
    assert unfinished.analysis.findings.answer.uses is not None, "it would pay back, were it finished"
    paying = next(one.text for one in make_study_verdict(found).sentences if one.topic == "Paying back")
    assert unfinished.label not in paying and "of 2 searches" in paying
    assert not pays(unfinished), "its figures are not drawn"


def test_an_unfinished_search_is_not_among_those_that_p_values_are_corrected_for(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path)
    lines = (copy / "random-14m" / "records.jsonl").read_text().splitlines()
    kept = [line for line in lines if '"record_id":"final/search-trial7/seed3"' not in line]
    (copy / "random-14m" / "records.jsonl").write_text("".join(line + "\n" for line in kept))
    found = analysed(copy)
    by_label = {cell.label: cell.analysis.findings.comparison for cell in found.cells}
    assert found.cells[3].standing == "unfinished"
    assert {label: one.num_comparisons for label, one in by_label.items() if one and one.holm_p_value is not None} == {
        cell.label: 3 for cell in found.cells[:3]
    }


def test_a_hand_champion_that_lacks_a_planned_seed_gives_no_verdict(folder: Path, tmp_path: Path) -> None:
    def stopped(record: Record) -> Record | None:
        return record if (record.design, record.seed) != ("lite_transformer-m", 3) else None

    found = analysed(STUDY.hand_run(tmp_path / "hands", stopped), folder / "random-14m")
    assert (found.cells[0].gap, found.cells[0].standing) == ("lite_transformer-m lacks seed 3", "unfinished")


def test_a_search_without_the_hand_designs_that_it_was_to_meet_has_no_verdict(folder: Path, tmp_path: Path) -> None:
    def without(record: Record) -> Record | None:
        return record if record.design != "lite_transformer-s" else None

    found = analysed(STUDY.hand_run(tmp_path / "hands", without), folder / "random-14m")
    assert found.cells[0].gap == "hand designs that it was to meet were not trained with seed 0: lite_transformer-s"


def test_a_hand_design_is_chosen_by_its_score_with_seed_0_alone(folder: Path, tmp_path: Path) -> None:
    def unseeded(record: Record) -> Record | None:
        if record.design == "lite_transformer-m" and record.seed == 0:
            return replace(record, status="failed", error="Diverged")
        return record

    found = analysed(STUDY.hand_run(tmp_path / "hands", unseeded), folder / "random-14m")
    assert model_of(load_runs([tmp_path / "hands"]), "lite_transformer-m").chosen_by is None
    hand = found.cells[0].analysis.evidence.hand
    assert hand is not None and hand.design != "lite_transformer-m"


def test_a_hand_design_without_energy_is_said_to_be_off_the_curve(folder: Path, tmp_path: Path) -> None:
    def unmetered(record: Record) -> Record:
        if (record.design, record.seed) != ("transformer-s", 2):
            return record
        return replace(record, phases=tuple(replace(one, loaded_uj=None, energy_uj=None) for one in record.phases))

    found = analysed(STUDY.hand_run(tmp_path / "hands", unmetered), folder / "random-14m")
    assert any("off the hand designs' curve" in one and "transformer-s" in one for one in found.warnings)


def test_searches_that_differ_in_their_options_are_no_repeats(folder: Path) -> None:
    runs = [run for run in load_runs([folder]) if run.searched]
    groups = {cell.key.words: cell.group for cell in cells_of(runs)}
    assert groups["7 M MACs · random · seed 0"] == groups["14 M MACs · random · seed 0"]
    longer = json.loads(json.dumps(dict(runs[0].info)))
    longer["experiment"]["search"]["trials"] = 99
    assert {one.group for one in cells_of([replace(runs[0], info=longer)])}.isdisjoint(groups.values())


def test_a_hand_champion_without_fresh_seeds_is_not_replaced_by_the_next_best(folder: Path, tmp_path: Path) -> None:
    def seed_zero(record: Record) -> Record | None:
        return record if record.design != "lite_transformer-m" or record.seed == 0 else None

    hands = STUDY.hand_run(tmp_path / "hands", seed_zero)
    found = analysed(hands, folder / "random-14m")
    assert found.cells[0].gap == "the best hand design within its limit, lite_transformer-m, has no fresh seeds yet"
    assert make_study_verdict(found).headline.startswith("No verdict yet: of one search, none has one.")


def weak(cell: Cell) -> Cell:
    """With models that are too weak."""
    answer = BreakEven(outcome="models too weak for a verdict")
    return replace(
        cell, analysis=replace(cell.analysis, findings=replace(cell.analysis.findings, too_weak=("a",), answer=answer))
    )


def test_headlines(study: Study) -> None:
    def headline(*cells: Cell) -> str:
        return make_study_verdict(replace(study, cells=cells)).headline

    lost, _, won, open_ = study.cells
    unfinished = replace(lost, gap="it lacks seed 3")
    assert headline(lost, unfinished).startswith(
        "In the one search with a verdict, the hand design won. One more search has no verdict. The search is not shown"
    )
    assert headline(won, open_, unfinished, unfinished).startswith(
        "Of 2 searches with a verdict, the search won 1, the hand design won 0, and 1 could not be told apart. 2 more searches "
        "have no verdict. 1 of 2 searches is shown to pay back its carbon; "
    )
    assert headline(won, won).endswith("2 of 2 searches are shown to pay back their carbon.")
    outside = "None of 2 searches is shown to pay back its carbon: 2 lie outside the measured curve."
    assert headline(lost, lost).endswith(outside)
    assert headline(*map(weak, study.cells)) == "Models too weak for a verdict in all 4 searches."
    assert headline(weak(lost), unfinished).startswith("No verdict yet: of 2 searches, none has one.")


def test_a_cell_that_the_correction_leaves_open_names_it(study: Study) -> None:
    paragraph = cell_paragraph(study.cells[3])
    better = "These runs cannot tell whether the search or the hand design is better after the correction for 4 comparisons. "
    assert paragraph.headline.startswith(better)
    assert "BLEU) after the correction for 4 comparisons: a difference of" in paragraph.sentences[0].text
    assert paragraph.sentences[0].provenance == "scored"
    comparison = study.cells[3].analysis.findings.comparison
    assert comparison is not None and comparison.holm_p_value is not None
    chance = p_words(comparison.holm_p_value)
    assert f"; {chance} by bootstrap, Holm's correction included)" in paragraph.sentences[0].text
    assert verdict_row(study.cells[3])[2].more[1] == chance


def test_p_values_in_words() -> None:
    assert [p_words(one) for one in (0.0004, 0.012, 0.0496, 0.5)] == ["p < 0.001", "p = 0.012", "p = 0.04960", "p = 0.500"]


def test_statements_with_numbers_say_how_these_are_known(study: Study) -> None:
    known = {one.topic: one.provenance for one in make_study_verdict(study).sentences}
    assert {topic for topic, how in known.items() if how is None} == {"Not counted"}
    assert known["What was compared"] == "configured"
    assert {known[topic] for topic in ("Better on the test set", "Tightest budget", "Strength")} == {"scored"}
    assert f"Energies are {how_known(study.source)}." in models_table(study).note


def test_columns_of_the_verdicts(study: Study) -> None:
    assert [head for head, _ in HEADS][1] == "Verdict"
    rows = [verdict_row(cell) for cell in (*study.cells, weak(study.cells[2]))]
    assert [row[5].text for row in rows if row[1].text in ("not separable", "models too weak")] == ["no gain shown", "not judged"]


def with_pace(folder: Path, base: Path, times: dict[str, int], cpu: str = "Synthetic CPU") -> Path:
    """A copy of a study in which runs trained a hand design with two seeds as well, on a machine so many times as hungry."""
    copy = copied(folder, base)
    for run_id, factor in times.items():

        def slower(record: Record, run_id: str = run_id, factor: int = factor) -> Record | None:
            if record.design != "lite_transformer-m" or record.role != "hand":
                return None
            phases = tuple(
                replace(one, energy_uj=factor * (one.energy_uj or 0), loaded_uj=factor * (one.loaded_uj or 0))
                for one in record.phases
            )
            return replace(record, phases=phases, run_id=run_id, machine=dict(record.machine) | {"cpu": cpu})

        made = STUDY.hand_run(base / f"again-{run_id}", slower, seeds=(1, 2))
        with (copy / run_id / "records.jsonl").open("a") as file:
            file.write((made / "records.jsonl").read_text())
    return copy


def cell_of(study: Study, words: str) -> Cell:
    return next(cell for cell in study.cells if cell.key.words.startswith(words))


def output_uj(cell: Cell, design: str) -> float:
    return next(one for one in cell.analysis.evidence.models if one.design == design).mean_output_uj("loaded") or 0.0


def pace_text(cell: Cell) -> str:
    return next(one.text for one in cell_paragraph(cell).sentences if one.topic == "Pace of the machine")


def test_hand_designs_are_taken_at_the_pace_of_the_searchs_own_run(folder: Path, study: Study, tmp_path: Path) -> None:
    found = analysed(with_pace(folder, tmp_path, {"random-14m": 2, "aging_evolution-14m": 6}))
    slow, slower, other = (cell_of(found, words) for words in ("14 M MACs · random", "14 M MACs · aging", "7 M MACs · random"))
    before = cell_of(study, "14 M MACs · random")
    assert {one.run_id for one in slow.analysis.evidence.paces} == {"aging_evolution-14m", "hand"}
    for cell, factor in ((slow, 2.0), (slower, 6.0)):
        pace = next(one for one in cell.analysis.evidence.paces if one.run_id == "hand")
        ratio = pace.ratios["loaded"]
        assert pace.num_trainings == 2 and ratio.value == pytest.approx(factor, rel=0.1)
        assert ratio.interval.low < ratio.value < ratio.interval.high and ratio.error > 0
        for design in ("lite_transformer-l", "transformer-s"):
            assert output_uj(cell, design) == pytest.approx(ratio.value * output_uj(before, design), rel=1e-5)
        assert (
            f"Hand designs of hand are taken at the pace of the search's own run, where an output drew {ratio.value:.2f} times"
            in (pace_text(cell))
        )
        assert "by 2 trainings made in both" in pace_text(cell)
    hand = slow.analysis.evidence.hand
    assert hand is not None and hand.design == "lite_transformer-m"
    measured = [hand.of_seed(one) for one in hand.finals]
    pooled = next(one for one in found.evidence.models if one.design == hand.design)
    assert hand.test_score == pooled.test_score, "scores are of all trainings"
    assert [len(one) for one in measured] == [3, 3, 1], "seed 3 was trained elsewhere alone"
    assert not other.analysis.evidence.paces, "7 million: nothing was trained in its run too"
    assert "are taken as they were metered there: how much the machine drifted" in pace_text(other)


def test_a_pace_that_is_not_known_exactly_widens_the_saving(folder: Path, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(folder, tmp_path, {"random-14m": 1})), "14 M MACs · random")
    evidence = cell.analysis.evidence
    certain = replace(evidence, paces=())
    told, exact = (judge({"central": one}).answer.saving for one in (evidence, certain))
    assert told is not None and exact is not None
    assert told.high - told.low > exact.high - exact.low


def test_errors_of_a_pace_add_up_with_those_of_the_seeds_that_told_it(folder: Path, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(folder, tmp_path, {"random-14m": 1})), "14 M MACs · random")
    models = {one.design: one for one in cell.analysis.evidence.models}
    ratio = Ratio(value=1.0, error=0.1, freedom=9)
    pace = Pace(own_runs=("random-14m",), run_id="hand", num_trainings=2, ratios={"loaded": ratio, "dynamic": ratio})
    errors = PaceErrors.of((pace,), "loaded", 20_000)
    assert float(np.std(errors.on(models["lite_transformer-l"]))) == pytest.approx(0.1, rel=0.03), "all of it is scaled"
    (spread,) = errors.spreads(models["lite_transformer-l"])
    cost = models["lite_transformer-l"].mean_output_uj("loaded") or 0.0
    assert (spread.variance, spread.num_seeds) == (pytest.approx((0.1 * cost) ** 2), 10)
    # Of three seeds two told the pace and one is scaled: (1/3)² (1 + 2) of the ratio's variance.
    assert float(np.std(errors.on(models["lite_transformer-m"]))) == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


def test_unlike_processors_have_no_pace(folder: Path, study: Study, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(folder, tmp_path, {"random-14m": 2}, cpu="Another CPU")), "14 M MACs · random")
    assert not cell.analysis.evidence.paces
    assert "of hand are taken as they were metered there" in pace_text(cell)
    assert output_uj(cell, "transformer-s") == output_uj(cell_of(study, "14 M MACs · random"), "transformer-s")


def test_champions_are_marked_in_the_tables_of_all_models(folder: Path, tmp_path: Path) -> None:
    found = analysed(with_pace(folder, tmp_path, {"random-14m": 2}))
    table = models_table(found)
    marked = {table.rows[index][0] for index in table.marked}
    assert {one.design for one in found.champions} == marked
    results = study_results(found, make_study_verdict(found))
    assert {one["design"] for one in results["models"] if one["champion"]} == marked
    paces = {cell["label"]: [one["run"] for one in cell["paces"]] for cell in results["cells"]}
    assert paces["14 M MACs · random · seed 0"] == ["hand"] and paces["7 M MACs · random · seed 0"] == []


def test_a_shard_alone_has_no_hand_champion_that_nobody_chose(folder: Path, tmp_path: Path) -> None:
    copy = with_pace(folder, tmp_path, {"random-14m": 2})
    analysis = analyse([load_run(copy / "random-14m")], SETTINGS)
    assert analysis.evidence.hand is None
    assert (
        make_verdict(analysis).headline
        == "No verdict yet: the run has no hand champion, chosen with seed 0 and trained with fresh seeds, yet."
    )


# The trend


def test_what_a_trend_says_has_its_limit(study: Study) -> None:
    trend = study.trend
    assert trend is not None and not trend.repeated
    limit = "is supported for these searches; other searches may differ"
    assert study_tiles(study)[1].detail.endswith(f"“the tighter, the better by hand” {limit}")
    assert f"{limit}." in differences(study).caption
    assert "How much a repeated search would differ is in no interval." in make_study_verdict(study).plain()
    repeated = replace(study, trend=replace(trend, repeated=True))
    assert study_tiles(repeated)[1].detail.endswith("is supported")
    assert "is in no interval" not in make_study_verdict(repeated).plain()


def test_a_negative_slope_is_a_loss(study: Study) -> None:
    trend = study.trend
    assert trend is not None
    falling = replace(study, trend=replace(trend, per_halving=replace(trend.per_halving, difference=-0.3)))
    assert "the hand design loses 0.30 BLEU to the search" in make_study_verdict(falling).plain()


def point(group: str, limit: int, difference: float, spread: float = 0.1) -> TrendPoint:
    draws = difference + spread * np.random.default_rng(limit).normal(size=400)
    return TrendPoint(group=group, mac_limit=limit, difference=difference, draws=draws)


def test_slope_by_hand() -> None:
    found = trend_of([point("a", 4, -3.0), point("a", 8, -2.0), point("a", 16, -1.0), point("b", 8, 5.0)])
    assert found is not None and found.per_halving.difference == pytest.approx(1.0)
    assert found.per_halving.sign == 1 and (found.num_limits, found.num_cells, found.repeated) == (3, 3, False), "b has one limit"


def test_a_strategys_level_is_no_trend() -> None:
    found = trend_of([point("a", 4, 1.0), point("a", 8, 1.0), point("b", 8, 9.0), point("b", 16, 9.0)])
    assert found is not None and found.per_halving.difference == pytest.approx(0.0)
    assert found.per_halving.sign == 0


def test_searches_of_other_seeds_are_drawn_again() -> None:
    one = trend_of([point("a", 4, 0.0), point("a", 8, 2.0)])
    several = trend_of([point("a", 4, -3.0), point("a", 4, 3.0), point("a", 8, -1.0), point("a", 8, 5.0)])
    assert one is not None and several is not None and several.repeated
    assert several.per_halving.difference == pytest.approx(one.per_halving.difference)
    assert several.per_halving.standard_error > 10 * one.per_halving.standard_error


def test_a_trend_is_repeated_only_where_every_place_is() -> None:
    found = trend_of([point("a", 4, 0.0), point("a", 4, 1.0), point("a", 8, 2.0)])
    assert found is not None and not found.repeated and found.num_cells == 3


def test_few_seeds_of_the_champions_widen_the_trend() -> None:
    few = tuple(SeedSpread(0.005, 3) for _ in range(2))
    sure, unsure = (
        trend_of([replace(point("a", limit, difference), spreads=spreads) for limit, difference in ((4, 0.0), (8, 2.0))])
        for spreads in ((), few)
    )
    assert sure is not None and unsure is not None
    assert sure.per_halving.difference == pytest.approx(unsure.per_halving.difference)
    assert unsure.per_halving.degrees_of_freedom < 20 and sure.per_halving.degrees_of_freedom == math.inf
    widths = [one.per_halving.interval.high - one.per_halving.interval.low for one in (sure, unsure)]
    assert widths[1] > 1.05 * widths[0]


def test_one_limit_has_no_trend() -> None:
    assert trend_of([]) is None
    assert trend_of([point("a", 8, 1.0), point("b", 16, 2.0)]) is None, "two strategies, one limit each"


# Controls


def test_longer_training_of_the_hand_champion(study: Study) -> None:
    hand = study.cells[2].analysis.evidence.hand
    assert hand is not None
    (found,) = longer_trainings(study, hand)
    assert found.budget_tokens == 1_600_000 and len(found.test_scores) == 2
    records = [one for one in study.records("control")]
    energies = [one.phase("train").loaded_uj or 0 for one in records]  # type: ignore[union-attr]
    assert found.training_uj is not None and found.training_uj.central == pytest.approx(sum(energies) / 2)
    tight = study.cells[0].analysis.evidence.hand
    assert tight is not None and longer_trainings(study, tight) == ()
    text = " ".join(controls_section(study, study.cells).paragraphs)
    assert "Longer training of the hand champion: not measured for lite_transformer-s;" in text
    assert "A stage after training (pruning, quantisation, dropping): not measured for these champions." in text
    assert "Random search" not in text


def test_random_search_is_read_where_the_cheaper_ended(study: Study) -> None:
    (found,) = random_controls(study.cells[0], study.cells)
    assert found.random is study.cells[1] and found.told
    assert found.energy_uj == min(one.analysis.search_uj.central for one in study.cells[:2])
    assert found.own_score is not None and found.random_score is not None
    assert random_controls(study.cells[1], study.cells) == ()
    assert random_controls(study.cells[0], (study.cells[0],)) == ()


def inheriting(record: Record) -> Record:
    """A trial that began with its parent's weights."""
    return replace(record, metrics=dict(record.metrics) | {"inherited_share": 1.0}) if record.role == "search" else record


def longer(record: Record) -> Record:
    """A trial of another budget."""
    return replace(record, budget_tokens=300_000) if record.role == "search" else record


@pytest.mark.parametrize(
    ("edit", "told", "words"),
    [(inheriting, True, "no trial trained from scratch by then"), (longer, False, "other trial budgets")],
    ids=["inherited", "budget"],
)
def test_scores_at_the_same_energy_that_do_not_compare(folder: Path, tmp_path: Path, edit: Any, told: bool, words: str) -> None:
    other = STUDY.search_run(tmp_path / "other", 7_000_000, "aging_evolution", 0.42, 6_200_000, edit, search_seed=1)
    found = analysed(folder / "hand", folder / "random-7m", other)
    cell = next(one for one in found.cells if one.key.strategy != "random")
    (control,) = random_controls(cell, found.cells)
    assert control.told == told and control.random_score is not None
    assert controls_section(found, found.cells).tables[-1].rows[0][4] == words


def with_ladder(run: Path) -> None:
    """Adds what quantising made of the champion's trainings to a run."""
    work = Phase(name="stage", duration_s=1.0, cpu_s=1.0, energy_uj=3_000_000, loaded_uj=3_600_000, idle_uj=500_000)
    finals = [one for one in read_records(run / "records.jsonl") if isinstance(one, Record) and one.role == "final"]
    chains: tuple[tuple[dict[str, object], ...], ...] = ((), ({"kind": "Quantise"},))
    made = [
        replace(
            one,
            record_id=f"compressed/{one.record_id.replace('/', '-')}/{len(chain)}",
            role="compressed",
            base=one.record_id,
            stages=chain,
            metrics=dict(one.metrics) | {"stored_bytes": 4e6 / (1 + len(chain))},
            phases=(work, *(phase for phase in one.phases if phase.name != "train")),
        )
        for one in finals
        for chain in chains
    ]
    with (run / "records.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(one.to_json() + "\n" for one in made)


def test_stages_of_searched_champions_are_controls_of_their_own_search(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path, without=("aging_evolution-7m", "aging_evolution-14m"))
    names = ("random-7m", "random-14m")
    for name in names:
        with_ladder(copy / name)
    found = analysed(copy)
    section = controls_section(found, found.cells)
    assert "A stage after training" not in " ".join(section.paragraphs)
    for name, cell, table in zip(names, found.cells, section.tables, strict=False):
        ((ladder, spent),) = champion_ladders(found, cell)
        assert ladder.design == f"search-trial7 ({name})" and ladder.seeds == (1, 2, 3)
        assert spent is not None and spent.central == 3 * 3_600_000
        assert table.title == f"Controls: {cell.label}"
        assert f"search-trial7 ({name}) after quantise (file 2 times smaller)" in [row[0] for row in table.rows]


def test_controls_say_what_they_lack(study: Study, folder: Path, tmp_path: Path) -> None:
    unfinished = replace(study.cells[1], gap="it lacks seed 3")
    section = controls_section(study, (study.cells[0], unfinished))
    assert f"Unfinished, so that no control stands beside it: {unfinished.label} (it lacks seed 3)." in section.paragraphs
    alone = controls_section(study, (unfinished,))
    assert alone.paragraphs == ("No control stands here yet: it lacks seed 3.",) and alone.tables == ()
    analysis = analyse(load_runs([RECORDS]), SETTINGS)
    bare = replace(
        analysis, evidence=replace(analysis.evidence, search=None), findings=replace(analysis.findings, comparison=None)
    )
    told = controls_section(bare, (sole_cell(bare),)).paragraphs
    assert told == ("No control stands here yet: there is no search champion with fresh seeds.",)


# The tornado


@pytest.fixture(scope="module")
def tornado(study: Study) -> Tornado:
    found = tornado_of(study.cells[3], varied(study.worlds))
    assert found is not None
    return found


def bar(tornado: Tornado, name: str) -> Any:
    return next(one for one in tornado.bars if one.name == name)


def test_the_centre_is_the_verdicts(study: Study, tornado: Tornado) -> None:
    answer = study.cells[3].analysis.findings.answer
    assert tornado.central.net_g == pytest.approx(answer.net_g)
    assert tornado.central.saved_g == pytest.approx((answer.saving_uj or 0) * SETTINGS.rates.used_g_per_uj)
    assert bar(tornado, "view of energy").answers[1] == tornado.central


def test_bars_are_what_their_scenario_gives(study: Study, tornado: Tornado) -> None:
    assumed = study.cells[3].analysis.findings.assumed
    scenarios = [answer for answer, rates in assumed if rates == SETTINGS.rates]
    low, high = (one.net_g for one in bar(tornado, "power model").answers)
    assert {round(low, 12), round(high, 12)} <= {round(one.net_g or 0, 12) for one in scenarios}
    assert low < tornado.central.net_g < high
    germany = SETTINGS.searched_in
    ends = [one.net_g for one in bar(tornado, "grid where it was searched").answers]
    assert ends[1] / ends[0] == pytest.approx(germany.high_g_per_kwh / germany.low_g_per_kwh)
    used = bar(tornado, "grid where it is used").answers
    assert used[0].net_g == used[1].net_g and used[0].saved_g != used[1].saved_g
    assert bar(tornado, "PUE").note == "no range was given" and bar(tornado, "PUE").swing(1) == 0
    assert bar(tornado, "making of the hardware").answers == (None, None)
    swings = [one.swing(tornado.uses) for one in tornado.bars]
    assert swings == sorted(swings, reverse=True)


def test_idle_power_alone_is_varied(folder: Path) -> None:
    run = load_run(folder / "hand")
    before, none, whole = (one.records[-1].phase("train") for one in (run, without_idle(run), with_whole_idle(run)))
    assert before and none and whole and before.loaded_uj and before.idle_uj
    assert none.loaded_uj == before.loaded_uj - before.idle_uj
    assert whole.loaded_uj == before.loaded_uj + before.idle_uj, "two cores, one of them reserved"
    assert none.energy_uj == whole.energy_uj == before.energy_uj
    assert sum(one.idle_uj for one in without_idle(run).ticks) == 0
    assert with_whole_idle(run).ticks == run.ticks


def test_one_search_has_controls_and_a_tornado_as_well() -> None:
    analysis = analyse(load_runs([RECORDS]), SETTINGS)
    cell = sole_cell(analysis)
    controls, tornado = controls_section(analysis, (cell,)), tornado_section((cell,), analysis.worlds)
    assert "Random search at the same limit: not measured" in " ".join(controls.paragraphs)
    assert controls.tables == ()
    assert "Net emissions depend most on" in " ".join(tornado.paragraphs)


def test_without_a_saving_that_is_said_instead_of_what_moves_it(study: Study) -> None:
    found = tornado_section((replace(study.cells[2], gap="it lacks seed 3"),), study.worlds)
    told = "There is no saving in a use here that an assumption could move (no verdict yet)."
    assert (found.paragraphs, found.tables, found.drawings) == ((told,), (), ())


# The page


class Parts(HTMLParser):
    """Links and elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_answers_first(report: tuple[Path, Verdict], study: Study) -> None:
    page = (report[0] / "index.html").read_text(encoding="utf-8")
    verdict = report[1]
    assert verdict.outcome == "mixed"
    assert verdict.headline.startswith(
        "Of 4 searches with a verdict, the search won 1, the hand design won 2, and 1 could not be told apart. 1 of 4 searches "
        "is shown to pay back its carbon; "
    )
    table = re.search(r'<table class="verdicts">.*?</table>', page, flags=re.DOTALL)
    assert table and table[0].count("<tr>") == 1 + len(study.cells) and "estimated</span>" in table[0]
    assert page.index(verdict.headline.split(".")[0]) < page.index('class="verdicts"') < page.index("<figure")
    for words in (
        "is supported by 4 searches at 2 limits",
        "What the same energy buys otherwise",
        "Which assumption moves",
        "All 4 searches of this report",
        "Where the searches&#39; tokens and energy went",
        "95 % bootstrap of at least 2,000 draws",
        "at Holm's strictest step over the differences",
        f"Scoring and Time are of the first run, {study.run.run_id}.",
        f"Search of {study.run.run_id}",
    ):
        assert words in page, words
    assert "were trained once" not in page and "(1.96 + 0.84)" not in page
    assert left_out(study) in page and "Below a figure its 95 % interval; below a cost" in page
    parser = Parts()
    parser.feed(page)
    assert all(link.startswith("#") for link in parser.links)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_results_to_paste_have_every_verdict(report: tuple[Path, Verdict], study: Study) -> None:
    text = (report[0] / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# mystudy\n")
    table = verdict_table(study)
    assert [row[0] for row in table.rows] == [cell.label for cell in study.cells]
    assert table_markdown(table) in text and "in brackets behind a cost" in table.note
    for cell, row in zip(study.cells, table.rows, strict=True):
        comparison = cell.analysis.findings.comparison
        assert comparison is not None and row[1] == cell.standing
        low, high = signed(comparison.interval.low), signed(comparison.interval.high)
        chance = p_words(comparison.deciding_p_value)
        assert row[2].startswith(f"{signed(comparison.difference)} ({low} to {high}; {chance}; detectable from ")
        assert f"## {escaped(cell.label)}\n\n**{escaped(cell_paragraph(cell).headline)}**\n" in text
    assert table.rows[2][6].endswith("; estimated)") and table.rows[0][6].startswith("outside the measured curve")


def test_searches_whose_paying_back_is_not_drawn_are_named_with_the_reason(study: Study) -> None:
    lost, _, won, open_ = study.cells
    assert [pays(cell) for cell in study.cells] == [False, False, True, False]
    told = left_out(study)
    assert told.startswith("Lines of break-even and maps of regions are of searches with a number of uses, of 3 at most. Left ")
    assert f"{lost.label} (no number: outside the measured curve); " in told and won.label not in told
    unfinished = replace(lost, label="late", gap="it lacks seed 3")
    several = [replace(won, label=f"won {at}") for at in range(4)]
    assert left_out(replace(study, cells=(*several, unfinished))).endswith(
        "Left out: won 3 (it has a number, but 3 come before it); late (no verdict yet)."
    )
    assert left_out(replace(study, cells=(won,))) == ""
    assert open_.label in left_out(replace(study, cells=(open_,))), "said where nothing is drawn at all"


def test_results_for_machines(report: tuple[Path, Verdict], study: Study) -> None:
    results = json.loads((report[0] / "results.json").read_text(encoding="utf-8"))
    schema = json.loads((RECORDS.parent.parent / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert [one.message for one in validator.iter_errors(results)] == []
    for wrong in ({"level": None}, {"cells": [results["cells"][0] | {"standing": "won"}]}, {"report": "comparison"}):
        assert list(validator.iter_errors(results | wrong))
    assert results["report"] == "study" and results["study"] == "mystudy"
    assert [one["standing"] for one in results["cells"]] == [cell.standing for cell in study.cells]
    compared = study.cells[0].analysis.findings.comparison
    assert compared is not None and results["cells"][0]["comparison"]["holm_p_value"] == compared.holm_p_value
    assert results["trend_per_halving"]["per_halving"]["difference"] > 0
    paid = [place for place, cell in enumerate(study.cells, start=1) if cell.analysis.findings.answer.uses is not None]
    assert paid == [3] and all((report[0] / f"{name}-3.png").exists() for name in ("break-even", "regions"))
    assert (report[0] / "differences.png").exists() and (report[0] / "tornado.png").exists()


def test_the_route_of_a_champion_has_its_own_search_alone(study: Study) -> None:
    table = study_models(study).set_index("design")
    for cell in study.cells:
        search = cell.analysis.evidence.search
        assert search is not None
        row = table.loc[search.design]
        assert row["route_g"] - row["training_g"] == pytest.approx(cell.analysis.search_g.central)
    assert (table["route_g"] - table["training_g"]).max() < study.search_g.central / 2


@pytest.mark.usefixtures("printed")
def test_searches_are_lines_by_strategy_and_limit_and_seeds_a_band(study: Study, folder: Path, tmp_path: Path) -> None:
    other = STUDY.search_run(tmp_path / "again", 14_000_000, "random", 0.57, 11_000_000, search_seed=1)
    progress = progress_table((*study.runs, load_run(other)), SETTINGS)
    lines = progress.groupby(["strategy", "limit"], sort=False)["run_id"].nunique().to_dict()
    assert lines == {
        ("aging evolution", "7 M MACs"): 1,
        ("random", "7 M MACs"): 1,
        ("aging evolution", "14 M MACs"): 1,
        ("random", "14 M MACs"): 2,
    }
    drawn = best_against_carbon(progress, study_models(study))
    assert "differ in their seed alone are one line" in drawn.caption
    for words in ("7 M MACs · random<", "14 M MACs · random, mean of 2<", "7 M MACs · aging evolution<"):
        assert words in drawn.wide_svg and words in drawn.narrow_svg


def screened(record: Record) -> Record:
    """With a cheap score that ranks trials as training does."""
    bleu = record.metrics.get("valid_bleu")
    more = {"proxy_synflow": bleu, "valid_bits_per_character": 100 - bleu} if record.role == "search" and bleu else {}
    return replace(record, metrics=dict(record.metrics) | more)


def test_cheap_scores_are_told_run_by_run(folder: Path, tmp_path: Path) -> None:
    other = STUDY.search_run(tmp_path / "screened", 7_000_000, "random", 0.41, 6_000_000, screened, search_seed=1)
    found = cheap_scores_section(analysed(folder / "hand", folder / "random-7m", other))
    assert found is not None and found.paragraphs[0].startswith("1 of 2 runs with a search judged candidates by proxies")
    assert [row[0].split(":")[0] for row in found.tables[0].rows] == ["screened"]


def test_searched_designs_are_told_apart_by_their_run_wherever_they_are_named(folder: Path) -> None:
    runs = load_runs([folder])
    lines = {
        run.run_id: ProbeLine(
            run_id=run.run_id, record_id="x", design="search-trial7", family="searched", seed=1, weights="trained", kind="depth"
        )
        for run in runs[:2]
    }
    probed = tuple(replace(run, probes=(lines[run.run_id],)) for run in runs[:2])
    assert [one.design for one in lines_of(probed, "depth")] == [f"search-trial7 ({run.run_id})" for run in probed]
    assert [one.design for one in lines_of(probed[:1], "depth")] == ["search-trial7"]


def test_trials_and_models_of_one_search_beside_hand_designs_are_named_alike(folder: Path) -> None:
    def names(found: Study, kind: str) -> set[str]:
        data = interactive_study(found).data
        name, what = data["columns"].index("name"), data["columns"].index("kind")
        return {row[name] for row in data["models"] if row[what] == kind}

    one = analysed(folder / "hand", folder / "random-14m")
    assert names(one, "champion") >= {"search-trial7"} and names(one, "trial") >= {"search-trial7", "search-trial0"}
    several = analysed(folder / "hand", folder / "random-14m", folder / "random-7m")
    both = {f"search-trial7 ({name})" for name in ("random-14m", "random-7m")}
    assert names(several, "champion") >= both and names(several, "trial") >= both


def test_compare_has_the_p_value_of_its_draws() -> None:
    found = compare(1.0, np.linspace(0.5, 1.5, 999))
    assert found.p_value == pytest.approx(2 / 1000) and found.holm_p_value is None
