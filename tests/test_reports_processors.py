"""Studies whose outputs were metered on several kinds of processors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.records import Phase, Record
from nas.testing import module_at
from reports.controls import longer_trainings, random_controls
from reports.draws import draw
from reports.interchange import energy_results
from reports.model_card import model_cards
from reports.models import Model, key_of
from reports.processors import kind_of, kind_words, kinds_by_use, kinds_in, on_first_kind, on_kind, processor_of
from reports.study import Study
from reports.study_export import study_results
from reports.study_figures import draw_study, metered_on, pooled_words, study_models
from reports.study_sentences import make_study_verdict
from reports.tidy import models

RECORDS = Path(__file__).parent / "records"
STUDY: Any = module_at(RECORDS / "study.py")
analysed, copied = STUDY.analysed, STUDY.copied
HERE, THERE = ("here", "float32"), ("there", "float32")


def on_another(folder: Path, base: Path, *runs: str) -> Study:
    """The study with runs that went on another processor."""
    copy = copied(folder, base)
    for run in runs:
        path = copy / run / "records.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        moved = [one | {"machine": one["machine"] | {"cpu": "Another CPU"}} for one in records]
        path.write_text("".join(json.dumps(one) + "\n" for one in moved))
    found: Study = analysed(copy)
    return found


def outputs(models: tuple[Model, ...]) -> dict[str, float | None]:
    return {one.design: one.mean_output_uj("loaded") for one in models}


def test_energies_of_all_models_together_are_of_the_kind_on_which_most_searches_ran(
    study_folder: Path, study: Study, tmp_path: Path
) -> None:
    found = on_another(study_folder, tmp_path, "hand", "random-7m")
    assert [kind_words(one) for one in found.processors] == ["Synthetic CPU in float32", "Another CPU in float32"]
    before, after = outputs(study.evidence.models), outputs(found.evidence.models)
    mine = {
        one.design
        for cell in found.cells
        if "random-7m" in {run.run_id for run in cell.analysis.runs}
        for one in cell.analysis.evidence.models
        if one.searched
    }
    moved = {name for name, uj in after.items() if uj is None}
    assert mine and mine <= moved and "transformer-s" in moved
    assert all(after[name] == before[name] for name in set(after) - moved)
    assert any(one.searched and one.design not in moved for one in found.evidence.models)


def test_results_name_the_processor_of_each_models_energies(study_folder: Path, study: Study, tmp_path: Path) -> None:
    """Models of the other kind keep their energies there, which the page's common figure leaves out."""
    found = on_another(study_folder, tmp_path, "hand", "random-7m")
    results = study_results(found, make_study_verdict(found))
    moved = {one.design for one in found.evidence.models if not one.counted}
    rows = {one["design"]: one for one in results["models"]}
    assert {one for one, row in rows.items() if row["processor"] == "Another CPU in float32"} == moved != set()
    assert {row["processor"] for one, row in rows.items() if one not in moved} == {"Synthetic CPU in float32"}
    before = {one.design: one for one in study.evidence.models}
    assert all(rows[one]["output_uj_loaded"] == list(before[one].output_uj("loaded") or ()) for one in moved)
    told = {one["design"]: one["processor"] for one in energy_results(found)["designs"]}
    assert told == {one: row["processor"] for one, row in rows.items()}


def test_energies_of_several_kinds_together_are_of_no_kind(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    STUDY.hand_run(copy / "curve", lambda record: record if record.role == "hand" else None, seeds=(1, 2))
    found = on_another(copy, tmp_path / "moved", "hand")
    mixed = next(one for one in found.evidence.models if one.design == "transformer-s")
    both = replace(mixed, apart=frozenset())
    assert {processor_of(one) for seed in both.counted for one in seed} == set(found.processors) and len(found.processors) == 2
    assert kind_of(both) is None and kind_of(mixed) == found.processors[0]
    assert kind_of(replace(mixed, apart=frozenset(key_of(one) for one in mixed.trainings))) is None


def test_what_was_metered_on_another_kind_has_a_figure_of_its_own(study_folder: Path, tmp_path: Path) -> None:
    found = on_another(study_folder, tmp_path, "hand")
    drawn = {one.name: one for one in draw_study(found)}
    first, second = drawn["quality-energy"], drawn["quality-energy-2"]
    assert second.title == "Quality against energy per use on Another CPU in float32"
    assert "Outputs metered on Another CPU in float32 alone" in second.caption
    assert "Outputs metered on Synthetic CPU in float32 alone" in first.caption
    assert "transformer-s" in second.alt and "searched" not in second.alt
    here = study_models(metered_on(found, found.processors[1])).set_index("design")
    assert here["output_j"].notna()["transformer-s"] and here["output_j"][here["searched"]].isna().all()
    assert "outputs of another processor are in “Quality against energy per use on Another CPU" in pooled_words(found)


def test_one_kind_has_one_figure_and_no_words(study: Study) -> None:
    names = [one.name for one in draw_study(study)]
    assert "quality-energy" in names and "quality-energy-2" not in names
    assert "processor" not in pooled_words(study) and len(study.processors) == 1
    assert "alone" not in next(one.caption for one in draw_study(study) if one.name == "quality-energy")


def test_kinds_go_by_searches_then_by_trainings(study_folder: Path, tmp_path: Path) -> None:
    found = on_another(study_folder, tmp_path, "hand")
    trained = found.evidence.models
    ordered = [kind_words(one) for one in kinds_by_use([], trained)]
    assert sorted(ordered) == ["Another CPU in float32", "Synthetic CPU in float32"]
    assert [kind_words(one) for one in kinds_by_use([["hand"]], trained)][0] == "Another CPU in float32"
    assert kinds_by_use([], []) == ()


def test_a_search_is_compared_with_what_was_metered_on_its_own_kind(study_folder: Path, study: Study, tmp_path: Path) -> None:
    """The hand designs ran elsewhere with all seeds, and on the searches' processor with two of them."""
    copy = copied(study_folder, tmp_path)
    STUDY.hand_run(copy / "curve", lambda record: record if record.role == "hand" else None, seeds=(1, 2))
    found = on_another(copy, tmp_path / "moved", "hand")
    for cell in found.cells:
        before = next(one for one in study.cells if one.label == cell.label)
        mine = {one.design: one for one in cell.analysis.evidence.models}
        assert (
            "hand" in {run for run, _ in mine["transformer-s"].apart}
            and len(mine["transformer-s"].output_uj("loaded") or ()) == 2
        )
        assert cell.analysis.findings.answer.outcome == before.analysis.findings.answer.outcome != "unknown"


def test_a_hand_design_that_was_metered_once_on_the_searches_kind_is_named(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    STUDY.hand_run(copy / "curve", lambda record: record if record.role == "hand" else None, seeds=(1,))
    found = on_another(copy, tmp_path / "moved", "hand")
    (told,) = (one for one in found.cells[0].analysis.findings.warnings if "metered once" in one)
    assert "transformer-s" in told and "leaves out how much seeds of them differ" in told


def of_training(base: Record, run_id: str, seed: int, cpu: str, uj: int) -> Record:
    phase = Phase(name="train", duration_s=1.0, cpu_s=1.0, energy_uj=uj, loaded_uj=uj)
    return replace(base, run_id=run_id, record_id=f"seed{seed}", seed=seed, machine={"cpu": cpu}, phases=(phase,))


def test_training_on_another_kind_is_not_what_a_hand_design_would_have_cost_here(study: Study) -> None:
    """Run b was on both kinds."""
    base = study.runs[0].records[0]
    told = [("a", 1, "there", 70), ("a", 2, "there", 90), ("b", 3, "here", 10), ("b", 4, "there", 50)]
    finals = tuple(of_training(base, *one) for one in told)
    model = Model(design="x", family="y", first=None, finals=finals, repeats=(of_training(base, "c", 1, "here", 14),))
    assert model.training_uj("loaded") == 42 + 90 + 10 + 50
    assert on_kind(model, HERE).training_uj("loaded") == 4 * (14 + 10) / 2
    assert on_kind(model, THERE).training_uj("loaded") == 4 * (70 + 90 + 50) / 3
    assert on_kind(model, ("nowhere", "float32")).training_uj("loaded") is None
    assert on_first_kind(model, [("nowhere", "float32"), HERE, THERE])[1] == HERE
    assert on_first_kind(model, []) == (model, None)


def test_a_kind_on_which_nothing_but_seed_0_was_trained_is_none(study: Study) -> None:
    base = study.runs[0].records[0]
    first, final = of_training(base, "a", 0, "there", 1), of_training(base, "a", 1, "here", 1)
    assert kinds_by_use([], [Model(design="x", family="y", first=first, finals=(final,))]) == (HERE,)


def test_a_processor_with_bf16_is_another_kind_than_one_without(study: Study) -> None:
    base = replace(study.runs[0].records[0], recipe={"precision": "float32"})
    kinds = [processor_of(replace(base, machine={"cpu": "X", "bf16": one})) for one in (True, False, None)]
    assert [kind_words(one) for one in kinds] == ["X with bf16 in float32", "X in float32", "X in float32"]


def test_designs_with_fewer_energies_than_seeds_are_drawn_apart(study: Study) -> None:
    hands = [one for one in study.evidence.models if not one.searched][:2]
    fewer = [replace(one, apart=frozenset({key_of(one.runs[0])})) for one in hands]
    assert [len(one.output_uj("loaded") or ()) for one in fewer] == [len(one.runs) - 1 for one in hands]
    drawn = draw(fewer).output_uj["loaded"]
    picked = []
    for one in fewer:
        values = np.array(one.output_uj("loaded"))
        assert drawn[one.design].mean() == pytest.approx(values.mean(), rel=0.02) and drawn[one.design].std() > 0
        picked.append((drawn[one.design] - values.mean()) / values.std())
    assert abs(float(np.corrcoef(*picked)[0, 1])) < 0.1


def test_what_longer_training_and_stages_draw_elsewhere_is_not_set_beside_a_search(study_folder: Path, tmp_path: Path) -> None:
    found = on_another(study_folder, tmp_path, "hand")
    cell = found.cells[2]
    hand = cell.analysis.evidence.hand
    assert hand is not None
    (told,) = longer_trainings(found, hand, kinds_in(cell.analysis.runs))
    (whatever,) = longer_trainings(found, hand)
    assert told.training_uj is None and len(told.test_scores) == 2 and whatever.training_uj is not None


def test_random_search_elsewhere_is_no_control(study_folder: Path, tmp_path: Path) -> None:
    found = on_another(study_folder, tmp_path, "random-7m")
    evolution = next(one for one in found.cells if one.label.startswith("7 M MACs · aging"))
    assert random_controls(evolution, found.cells) == ()
    assert not random_controls(next(one for one in found.cells if one.label.startswith("14 M MACs · aging")), found.cells) == ()


def test_the_table_of_models_names_the_processor(study_folder: Path, tmp_path: Path) -> None:
    table = models(on_another(study_folder, tmp_path, "hand").runs).set_index("design")
    assert table["processor"]["transformer-s"] == "Another CPU in float32"
    assert set(table["processor"][table["searched"]]) == {"Synthetic CPU in float32"}


def test_a_model_card_names_the_processor_that_its_grams_are_of(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    STUDY.hand_run(copy / "zone", lambda record: record if record.role == "hand" else None, seeds=(1,))
    found = on_another(copy, tmp_path / "moved", "hand")
    card = model_cards(found, ["transformer-s"])["transformer-s.yaml"]
    assert "Synthetic CPU" in card and "Another" not in card and "one training times" in card
