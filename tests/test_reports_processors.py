"""Studies whose outputs were metered on several kinds of processors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.records import Phase, Record
from nas.testing import module_at
from reports.models import Model
from reports.processors import kind_words, kinds_by_use, on_kind
from reports.study import Study
from reports.study_figures import draw_study, metered_on, pooled_words, study_models

RECORDS = Path(__file__).parent / "records"
STUDY: Any = module_at(RECORDS / "study.py")
analysed, copied = STUDY.analysed, STUDY.copied


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
    assert "what was metered on another processor is in “Quality against energy per use on Another CPU" in pooled_words(found)


def test_one_kind_has_one_figure_and_no_words(study: Study) -> None:
    names = [one.name for one in draw_study(study)]
    assert "quality-energy" in names and "quality-energy-2" not in names
    assert "processor" not in pooled_words(study) and len(study.processors) == 1
    assert "alone" not in next(one.caption for one in draw_study(study) if one.name == "quality-energy")


def test_kinds_go_by_searches_then_by_trainings(study_folder: Path, tmp_path: Path) -> None:
    found = on_another(study_folder, tmp_path, "hand")
    models = found.evidence.models
    ordered = [kind_words(one) for one in kinds_by_use([], models)]
    assert sorted(ordered) == ["Another CPU in float32", "Synthetic CPU in float32"]
    assert [kind_words(one) for one in kinds_by_use([["hand"]], models)][0] == "Another CPU in float32"
    assert kinds_by_use([], []) == ()


def test_a_search_is_compared_with_what_was_metered_on_its_own_kind(study_folder: Path, study: Study, tmp_path: Path) -> None:
    """The hand designs ran elsewhere with all seeds, and on the searches' processor with two of them."""
    copy = copied(study_folder, tmp_path)
    STUDY.hand_run(copy / "curve", lambda record: record if record.role == "hand" else None, seeds=(1, 2))
    found = on_another(copy, tmp_path / "moved", "hand")
    for cell in found.cells:
        before = next(one for one in study.cells if one.label == cell.label)
        mine = {one.design: one for one in cell.analysis.evidence.models}
        assert "hand" in mine["transformer-s"].apart and len(mine["transformer-s"].output_uj("loaded") or ()) == 2
        assert cell.analysis.findings.answer.outcome == before.analysis.findings.answer.outcome != "unknown"


def test_training_on_another_kind_is_not_what_a_hand_design_would_have_cost_here(study: Study) -> None:
    def record(run_id: str, seed: int, cpu: str, uj: int) -> Record:
        phase = Phase(name="train", duration_s=1.0, cpu_s=1.0, energy_uj=uj, loaded_uj=uj)
        return replace(study.runs[0].records[0], run_id=run_id, seed=seed, machine={"cpu": cpu}, phases=(phase,))

    here, there = ("here", "float32"), ("there", "float32")
    finals = (record("a", 1, "there", 70), record("a", 2, "there", 90), record("b", 3, "here", 10))
    model = Model(design="x", family="y", first=None, finals=finals, repeats=(record("b", 1, "here", 14),))
    assert model.training_uj("loaded") == 42 + 90 + 10
    assert on_kind(model, here).training_uj("loaded") == 3 * (14 + 10) / 2
    assert on_kind(model, there).training_uj("loaded") == 3 * (70 + 90) / 2
    assert on_kind(model, ("nowhere", "float32")).training_uj("loaded") == 42 + 90 + 10
