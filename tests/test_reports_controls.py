"""What the same energy buys otherwise, on synthetic studies."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.records import Phase, Record, read_records
from nas.testing import module_at
from reports.analysis import analyse
from reports.comparison import compare_designs
from reports.controls import champion_ladders, longer_trainings, random_controls
from reports.controls_page import controls_section
from reports.load import load_runs
from reports.models import Model
from reports.settings import make_settings
from reports.study import Study, sole_cell

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
STUDY: Any = module_at(RECORDS / "study.py")
analysed, copied = STUDY.analysed, STUDY.copied


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
def test_scores_at_the_same_energy_that_do_not_compare(
    study_folder: Path, tmp_path: Path, edit: Any, told: bool, words: str
) -> None:
    other = STUDY.search_run(tmp_path / "other", 7_000_000, "aging_evolution", 0.42, 6_200_000, edit, search_seed=1)
    found = analysed(study_folder / "hand", study_folder / "random-7m", other)
    cell = next(one for one in found.cells if one.key.strategy != "random")
    (control,) = random_controls(cell, found.cells)
    assert control.told == told and control.random_score is not None
    assert controls_section(found, found.cells).tables[-1].rows[0][4] == words


def with_ladder(run: Path, role: str = "final") -> None:
    """Adds what quantising made of the trainings of a role to a run."""
    work = Phase(name="stage", duration_s=1.0, cpu_s=1.0, energy_uj=3_000_000, loaded_uj=3_600_000, idle_uj=500_000)
    finals = [one for one in read_records(run / "records.jsonl") if isinstance(one, Record) and one.role == role]
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


def test_stages_of_searched_champions_are_controls_of_their_own_search(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path, without=("aging_evolution-7m", "aging_evolution-14m"))
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


def test_energies_of_controls_on_another_kind_of_processor_are_unknown_and_their_scores_stay(
    study_folder: Path, tmp_path: Path
) -> None:
    copy = copied(study_folder, tmp_path)
    with_ladder(copy / "hand", "hand")
    told = {}
    for cpu in ("Synthetic CPU", "Another CPU"):
        path = copy / "hand" / "records.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(one | {"machine": one["machine"] | {"cpu": cpu}}) + "\n" for one in records))
        found = analysed(copy)
        (table,) = (one for one in controls_section(found, found.cells).tables if found.cells[2].label in one.title)
        told[cpu] = {row[0]: row for row in table.rows if "tokens" in row[0] or "quantise" in row[0]}
        assert ("another kind" in table.note) == (cpu == "Another CPU")
    here, there = told.values()
    assert len(here) == len(there) == 2
    for name, row in here.items():
        assert "unknown" not in row[1:3] and there[name][1:3] == ("unknown", "unknown") and row[3:] == there[name][3:]


def test_longer_training_by_another_learning_rate_is_no_control(study_folder: Path, tmp_path: Path) -> None:
    """Of a sweep of learning rates, which recipes in a comparison need not share."""
    copy = copied(study_folder, tmp_path)
    path = copy / "hand" / "records.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for one in records:
        one["recipe"] |= {"swept_learning_rates": [0.001, 0.003], "peak_learning_rate": 0.003}
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    found: Any = compare_designs(load_runs([path.parent]), SETTINGS)
    like = next(one for one in found.runs[0].records if one.role == "hand" and one.design == "lite_transformer-m" and one.seed)
    model = Model(design=like.design, family=like.family, first=None, finals=(like,))
    assert len(longer_trainings(found, model)) == 1
    other = replace(like, recipe=dict(like.recipe) | {"peak_learning_rate": 0.001})
    assert longer_trainings(found, replace(model, finals=(other,))) == ()


def test_controls_say_what_they_lack(study: Study, study_folder: Path, tmp_path: Path) -> None:
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
