"""The report of a study on synthetic runs: merging, verdicts by cell, Holm, words."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.records import Record
from nas.testing import module_at
from reports.break_even import BreakEven
from reports.cells import cells_of, key_of
from reports.draws import draw
from reports.energy import SearchCost
from reports.folders import run_folders
from reports.load import Run, load_runs
from reports.models import Model, collect_models, within
from reports.settings import make_settings
from reports.statistics import Comparison, Interval, corrected, holm, student_quantile
from reports.study import Cell, Study, is_study
from reports.study_figures import pays
from reports.study_page import study_tiles
from reports.study_sentences import cell_paragraph, make_study_verdict
from reports.study_tables import HEADS, verdict_row
from reports.tables import models_table
from reports.verdict import champions_training_uj
from reports.words import how_known, p_words

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
STUDY: Any = module_at(RECORDS / "study.py")
analysed, copied = STUDY.analysed, STUDY.copied


def standings(study: Study) -> dict[str, str]:
    return {cell.label: cell.standing for cell in study.cells}


# Merging


def test_a_study_folder_is_its_runs_and_names_those_without_records(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    (copy / "random-7m" / "records.jsonl").unlink()
    (copy / "report").mkdir()
    found = run_folders([copy])
    assert [one.name for one in found.folders] == ["aging_evolution-14m", "aging_evolution-7m", "hand", "random-14m"]
    assert found.name == "copy" and found.unstarted == ("random-7m",)
    assert run_folders([study_folder / "hand"]).folders == (study_folder / "hand",)
    (copy / "random-7m" / "run.json").rename(tmp_path / "run.json")
    with pytest.raises(UserError, match="expected a study with records in it, got .* with 1 runs that have none"):
        run_folders([only(copy, "hand", tmp_path)])


def only(study: Path, name: str, base: Path) -> Path:
    """A study of one run that recorded nothing."""
    shutil.copytree(study / name, base / "only" / name)
    (base / "only" / name / "records.jsonl").unlink()
    return base / "only"


def test_searches_come_first_and_are_cells_by_their_configuration(study_folder: Path) -> None:
    runs = load_runs([study_folder])
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
def test_runs_that_differ_are_refused(study_folder: Path, tmp_path: Path, edit: Any, named: str) -> None:
    other = STUDY.hand_run(tmp_path / "other", edit, seeds=(0,))
    with pytest.raises(UserError, match=named):
        load_runs([other, study_folder / "hand"])


def test_controls_of_another_budget_are_not_refused(study_folder: Path, tmp_path: Path) -> None:
    def controls_alone(record: Record) -> Record | None:
        return record if record.role == "control" else None

    other = STUDY.hand_run(tmp_path / "longer", controls_alone, seeds=(0,))
    assert len(load_runs([other, study_folder / "hand"])) == 2


def test_a_seed_trained_in_two_runs_is_one_seed_at_the_mean_of_both(study_folder: Path, tmp_path: Path) -> None:
    def doubled(record: Record) -> Record:
        phases = tuple(replace(one, loaded_uj=2 * (one.loaded_uj or 0)) for one in record.phases)
        metrics = {name: value + 2 for name, value in record.metrics.items()}
        return replace(record, phases=phases, metrics=metrics)

    other = STUDY.hand_run(tmp_path / "other", doubled, seeds=(0, 1))
    alone, pooled = (
        model_of(load_runs(runs), "lite_transformer-m") for runs in ([study_folder / "hand"], [study_folder / "hand", other])
    )
    assert [one.seed for one in pooled.runs] == [1, 2, 3] and len(pooled.repeats) == 2
    assert pooled.valid_score == pytest.approx((alone.valid_score or 0) + 1)
    assert pooled.test_scores == pytest.approx((alone.test_scores[0] + 1, *alone.test_scores[1:]))
    energies = [one.phase("train").loaded_uj for one in alone.runs]  # type: ignore[union-attr]
    assert pooled.training_uj("loaded") == round(1.5 * (energies[0] or 0)) + sum(one or 0 for one in energies[1:])
    assert draw([pooled], 50).picks["lite_transformer-m"].shape == (50, 3), "repeats are no seeds"


def model_of(runs: tuple[Run, ...], design: str) -> Model:
    return next(one for one in collect_models(runs) if one.design == design)


def test_champions_pay_for_as_many_seeds_each(study_folder: Path) -> None:
    search = next(one for one in collect_models(load_runs([study_folder / "random-7m"])) if one.finals)
    hand = model_of(load_runs([study_folder / "hand"]), "lite_transformer-s")
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
    assert [one and one.sign for one in corrected([alone, replace(alone, p_value=0.9)], [True, True])] == [0, 0]


def test_the_searches_cost_what_they_cost_together(study: Study) -> None:
    assert study.search_uj.central == sum(cell.analysis.search_uj.central for cell in study.cells)


@pytest.mark.parametrize(("loaded_uj", "value"), [(0, "unknown"), (7_200_000, "at least ")])
def test_what_the_searches_drew_is_never_told_as_zero(study: Study, loaded_uj: int, value: str) -> None:
    cost = SearchCost(loaded_uj=loaded_uj, dynamic_uj=0, from_ledger=False, num_unattributed=3, whole=False)
    bare = replace(study, evidence=replace(study.evidence, cost=cost))
    told = next(one.text for one in make_study_verdict(bare).sentences if one.topic == "Cost of the searches")
    assert study_tiles(bare)[2].value.startswith(value)
    assert (told == "What the searches drew is not known.") == (loaded_uj == 0)
    assert told.count("at least ") == (2 if loaded_uj else 0)


def test_carbon_per_gain_only_where_the_search_won(study: Study) -> None:
    priced = [cell.standing for cell in study.cells if cell.analysis.findings.per_point_g is not None]
    assert priced == ["search won"]


def test_what_is_missing_is_said(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path, without=("random-14m",))
    (copy / "aging_evolution-14m" / "records.jsonl").write_text(
        "".join(
            line + "\n"
            for line in (copy / "aging_evolution-14m" / "records.jsonl").read_text().splitlines()
            if '"record_id":"final/search-trial7/seed3"' not in line
        )
    )
    shutil.copytree(study_folder / "random-7m", copy / "late")
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


def test_an_unfinished_search_is_not_among_those_that_p_values_are_corrected_for(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    lines = (copy / "random-14m" / "records.jsonl").read_text().splitlines()
    kept = [line for line in lines if '"record_id":"final/search-trial7/seed3"' not in line]
    (copy / "random-14m" / "records.jsonl").write_text("".join(line + "\n" for line in kept))
    found = analysed(copy)
    by_label = {cell.label: cell.analysis.findings.comparison for cell in found.cells}
    assert found.cells[3].standing == "unfinished"
    assert {label: one.num_comparisons for label, one in by_label.items() if one and one.holm_p_value is not None} == {
        cell.label: 3 for cell in found.cells[:3]
    }


def test_a_search_whose_champion_is_too_weak_is_not_among_them_either(study_folder: Path, tmp_path: Path) -> None:
    weak = STUDY.search_run(tmp_path / "weak", 7_000_000, "nsga2", 0.05, 6_000_000)
    found = analysed(study_folder / "hand", study_folder / "random-14m", study_folder / "random-7m", weak)
    by_standing = {cell.standing: cell.analysis.findings.comparison for cell in found.cells}
    too_weak = by_standing.pop("models too weak")
    assert too_weak is not None and too_weak.num_comparisons == 1 and too_weak.holm_p_value is None
    assert {one.num_comparisons for one in by_standing.values() if one} == {2}


def test_one_fresh_seed_gives_no_verdict(study_folder: Path, tmp_path: Path) -> None:
    def once(record: Record) -> Record | None:
        return record if record.role != "final" or record.seed == 1 else None

    alone = STUDY.search_run(tmp_path / "alone", 14_000_000, "random", 0.56, 11_000_000, once)
    described = json.loads((alone / "run.json").read_text())
    described["experiment"]["final"]["seeds"] = [1]
    (alone / "run.json").write_text(json.dumps(described))
    (cell,) = analysed(study_folder / "hand", alone).cells
    told = "a verdict needs 2 fresh seeds or more of each champion; search-trial7 has one"
    assert (cell.standing, cell.gap) == ("unfinished", told)
    assert cell.analysis.findings.comparison is None and not cell.analysis.findings.beside
    assert (cell.analysis.findings.answer.outcome, cell.analysis.findings.answer.reason) == ("unknown", told)


def test_seeds_of_a_control_are_none_that_the_hand_champion_lacks(study_folder: Path, tmp_path: Path) -> None:
    def controls(record: Record) -> Record | None:
        return replace(record, seed=record.seed + 5) if record.role == "control" else None

    longer = STUDY.hand_run(tmp_path / "longer", controls)
    described = json.loads((longer / "run.json").read_text())
    described["experiment"]["hand"] |= {"role": "control"}
    described["experiment"]["final"]["seeds"] = [6, 7]
    (longer / "run.json").write_text(json.dumps(described))
    (cell,) = analysed(study_folder / "hand", study_folder / "random-14m", longer).cells
    assert cell.gap == ""


def test_a_hand_champion_that_lacks_a_planned_seed_gives_no_verdict(study_folder: Path, tmp_path: Path) -> None:
    def stopped(record: Record) -> Record | None:
        return record if (record.design, record.seed) != ("lite_transformer-m", 3) else None

    found = analysed(STUDY.hand_run(tmp_path / "hands", stopped), study_folder / "random-14m")
    assert (found.cells[0].gap, found.cells[0].standing) == ("lite_transformer-m lacks seed 3", "unfinished")


def test_a_search_without_the_hand_designs_that_it_was_to_meet_has_no_verdict(study_folder: Path, tmp_path: Path) -> None:
    def without(record: Record) -> Record | None:
        return record if record.design != "lite_transformer-s" else None

    found = analysed(STUDY.hand_run(tmp_path / "hands", without), study_folder / "random-14m")
    assert found.cells[0].gap == "hand designs that it was to meet were not trained with seed 0: lite_transformer-s"


def test_a_hand_design_is_chosen_by_its_score_with_seed_0_alone(study_folder: Path, tmp_path: Path) -> None:
    def unseeded(record: Record) -> Record | None:
        if record.design == "lite_transformer-m" and record.seed == 0:
            return replace(record, status="failed", error="Diverged")
        return record

    found = analysed(STUDY.hand_run(tmp_path / "hands", unseeded), study_folder / "random-14m")
    assert model_of(load_runs([tmp_path / "hands"]), "lite_transformer-m").chosen_by is None
    hand = found.cells[0].analysis.evidence.hand
    assert hand is not None and hand.design != "lite_transformer-m"


def test_a_hand_design_without_energy_is_said_to_be_off_the_curve(study_folder: Path, tmp_path: Path) -> None:
    def unmetered(record: Record) -> Record:
        if (record.design, record.seed) != ("transformer-s", 2):
            return record
        return replace(record, phases=tuple(replace(one, loaded_uj=None, energy_uj=None) for one in record.phases))

    found = analysed(STUDY.hand_run(tmp_path / "hands", unmetered), study_folder / "random-14m")
    assert any("off the hand designs' curve" in one and "transformer-s" in one for one in found.warnings)


def test_searches_that_differ_in_their_options_are_no_repeats(study_folder: Path) -> None:
    runs = [run for run in load_runs([study_folder]) if run.searched]
    groups = {cell.key.words: cell.group for cell in cells_of(runs)}
    assert groups["7 M MACs · random · seed 0"] == groups["14 M MACs · random · seed 0"]
    longer = json.loads(json.dumps(dict(runs[0].info)))
    longer["experiment"]["search"]["trials"] = 99
    assert {one.group for one in cells_of([replace(runs[0], info=longer)])}.isdisjoint(groups.values())


def test_a_hand_champion_without_fresh_seeds_is_not_replaced_by_the_next_best(study_folder: Path, tmp_path: Path) -> None:
    def seed_zero(record: Record) -> Record | None:
        return record if record.design != "lite_transformer-m" or record.seed == 0 else None

    hands = STUDY.hand_run(tmp_path / "hands", seed_zero)
    found = analysed(hands, study_folder / "random-14m")
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
        "Of 2 searches with a verdict, the search won 1, the hand design won none, and 1 could not be told apart. 2 more "
        "searches have no verdict. 1 of 2 searches is shown to pay back its carbon; "
    )
    assert headline(won, won).endswith("2 of 2 searches are shown to pay back their carbon.")
    outside = "None of 2 searches is shown to pay back its carbon: 2 lie outside the measured curve."
    assert headline(lost, lost).endswith(outside)
    assert headline(*map(weak, study.cells)) == "Models too weak for a verdict in all 4 searches."
    assert headline(weak(lost), unfinished).startswith("No verdict yet: of 2 searches, none has one.")


def test_headlines_say_how_they_are_known(study: Study) -> None:
    """Who was better by scores; whether searches paid by energies, but by scores alone where no curve reaches so far."""

    def known(*cells: Cell) -> list[str | None]:
        return [one.provenance for one in make_study_verdict(replace(study, cells=cells)).head]

    lost, _, won, _ = study.cells
    unfinished, energies = replace(lost, gap="it lacks seed 3"), study.source.provenance
    nothing = replace(won.analysis.findings, answer=BreakEven(outcome="unknown", reason="nobody knows"))
    unknown = replace(won, analysis=replace(won.analysis, findings=nothing))
    assert known(won, lost) == ["scored", energies] and energies != "scored"
    assert known(lost, unfinished) == ["scored", "scored"]
    assert known(unknown) == ["scored", None]
    assert known(*map(weak, study.cells)) == ["scored"]
    assert known(unfinished) == [None]
    paragraphs = [cell_paragraph(one).head for one in (won, unfinished)]
    assert [[one.provenance for one in head] for head in paragraphs] == [["scored", energies], [None]]


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
