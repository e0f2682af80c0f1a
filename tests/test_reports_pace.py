"""Hand designs of other runs at the pace of a search's own run, on synthetic studies."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nas.records import Record
from nas.testing import module_at
from reports.analysis import analyse
from reports.load import load_run
from reports.models import Model
from reports.pace import Pace, PaceErrors, paces_of
from reports.pace_page import pace_table
from reports.pace_ratios import Ratio
from reports.sentences import make_verdict
from reports.settings import make_settings
from reports.study import Cell, Study
from reports.study_export import study_results
from reports.study_sentences import cell_paragraph, make_study_verdict
from reports.tables import models_table
from reports.verdict import judge

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
SCHEMA = json.loads((RECORDS.parent.parent / "reports" / "results.schema.json").read_text(encoding="utf-8"))
STUDY: Any = module_at(RECORDS / "study.py")
analysed, copied = STUDY.analysed, STUDY.copied


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


def test_hand_designs_are_taken_at_the_pace_of_the_searchs_own_run(study_folder: Path, study: Study, tmp_path: Path) -> None:
    found = analysed(with_pace(study_folder, tmp_path, {"random-14m": 2, "aging_evolution-14m": 6}))
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
        assert pace_text(cell).startswith("Hand designs of other runs are taken at the pace of the search's own run, where")
        assert f"{ratio.value:.2f} times as much as in hand (95 % interval" in pace_text(cell)
        assert "by 2 trainings made in both" in pace_text(cell)
    hand = slow.analysis.evidence.hand
    assert hand is not None and hand.design == "lite_transformer-m"
    measured = [hand.of_seed(one) for one in hand.finals]
    pooled = next(one for one in found.evidence.models if one.design == hand.design)
    assert hand.test_score == pooled.test_score, "scores are of all trainings"
    assert [len(one) for one in measured] == [3, 3, 1], "seed 3 was trained elsewhere alone"
    assert not other.analysis.evidence.paces, "7 million: nothing was trained in its run too"
    assert "are taken as they were metered there: how much the machine drifted" in pace_text(other)


def test_a_pace_that_is_not_known_exactly_widens_the_saving(study_folder: Path, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(study_folder, tmp_path, {"random-14m": 1})), "14 M MACs · random")
    evidence = cell.analysis.evidence
    certain = replace(evidence, paces=())
    told, exact = (judge({"central": one}).answer.saving for one in (evidence, certain))
    assert told is not None and exact is not None
    assert told.high - told.low > exact.high - exact.low


def test_errors_of_a_pace_add_up_with_those_of_the_seeds_that_told_it(study_folder: Path, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(study_folder, tmp_path, {"random-14m": 1})), "14 M MACs · random")
    models = {one.design: one for one in cell.analysis.evidence.models}
    parts = {("random-14m", "any", 1): 0.6, ("hand", "any", 1): -0.8}
    ratio = Ratio(value=1.0, parts=parts, spread=0.1, freedom=9)
    assert ratio.error == pytest.approx(0.1)
    pace = Pace(own_runs=("random-14m",), run_id="hand", num_trainings=2, ratios={"loaded": ratio, "dynamic": ratio})
    errors = PaceErrors.of((pace,), "loaded", 20_000)
    assert float(np.std(errors.on(models["lite_transformer-l"]))) == pytest.approx(0.1, rel=0.03), "all of it is scaled"
    (spread,) = errors.spreads(models["lite_transformer-l"])
    cost = models["lite_transformer-l"].mean_output_uj("loaded") or 0.0
    assert (spread.variance, spread.num_seeds) == (pytest.approx((0.1 * cost) ** 2), 10)
    # Of three seeds two told the pace and one is scaled: (1/3)² (1 + 2) of the ratio's variance.
    assert float(np.std(errors.on(models["lite_transformer-m"]))) == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


def test_paces_that_rest_on_one_training_err_together(study_folder: Path) -> None:
    records = load_run(study_folder / "hand").records
    (model,) = modelled(records, lite_transformer__l={"first": 4, "second": 4})
    shared, legs = ("own", "m", 1), (("first", "m", 1), ("second", "m", 1))
    ratios = [Ratio(value=1.0, parts={shared: 1.0, leg: -1.0}, spread=0.01, freedom=9) for leg in legs]
    paces = [
        Pace(own_runs=("own",), run_id=leg[0], num_trainings=1, ratios={"loaded": ratio, "dynamic": ratio})
        for leg, ratio in zip(legs, ratios, strict=True)
    ]
    errors = PaceErrors.of(paces, "loaded", 20_000)
    # Half of the cost is scaled by each: (1/2)² (1 + 1) of their own errors, and the whole of what they share.
    expected = 0.01 * math.sqrt(0.5 + 1.0)
    assert float(np.std(errors.on(model))) == pytest.approx(expected, rel=0.03)
    (spread,) = errors.spreads(model)
    assert spread.variance == pytest.approx((expected * (model.mean_output_uj("loaded") or 0.0)) ** 2)


def slowed(record: Record, run_id: str, factor: int) -> Record:
    """A training as another run would have metered it."""
    phases = tuple(
        replace(one, energy_uj=factor * (one.energy_uj or 0), loaded_uj=factor * (one.loaded_uj or 0)) for one in record.phases
    )
    return replace(record, phases=phases, run_id=run_id)


def modelled(records: Sequence[Record], **trained: dict[str, int]) -> list[Model]:
    """Designs with two seeds in each of these runs, which were so many times as slow."""
    found = []
    for design, runs in trained.items():
        seeds = [one for one in records if one.design == design.replace("__", "-") and one.role == "hand" and one.seed in (1, 2)]
        everywhere = tuple(slowed(one, run_id, factor) for run_id, factor in runs.items() for one in seeds)
        found.append(Model(seeds[0].design, seeds[0].family, None, everywhere))
    return found


def test_a_pace_is_found_through_runs_in_between(study_folder: Path) -> None:
    records = load_run(study_folder / "hand").records
    models = modelled(
        records,
        lite_transformer__m={"own": 12, "link": 4},
        transformer__s={"link": 4, "hand": 2},
        transformer__l={"hand": 2, "far": 1},
        lite_transformer__l={"apart": 5},
    )
    found = {one.run_id: one for one in paces_of(models, {"own"})}
    assert {name: one.via for name, one in found.items()} == {"link": (), "hand": ("link",), "far": ("link", "hand")}
    values = {name: one.ratios["loaded"].value for name, one in found.items()}
    assert values == {"link": pytest.approx(3), "hand": pytest.approx(6), "far": pytest.approx(12)}
    direct = found["link"].ratios["loaded"].error
    assert found["hand"].ratios["loaded"].error == pytest.approx(math.sqrt(2) * direct)
    assert found["far"].ratios["dynamic"].error == pytest.approx(math.sqrt(3) * found["link"].ratios["dynamic"].error)
    assert {one.num_trainings for one in found.values()} == {2}


def test_a_training_that_two_runs_have_in_common_goes_before_runs_in_between(study_folder: Path) -> None:
    records = load_run(study_folder / "hand").records
    models = modelled(records, lite_transformer__m={"own": 12, "link": 4, "hand": 2}, transformer__s={"link": 4, "hand": 1})
    found = {one.run_id: one for one in paces_of(models, {"own"})}
    assert found["hand"].via == () and found["hand"].ratios["loaded"].value == pytest.approx(6)


def test_a_study_says_through_which_run_a_pace_is_known(study_folder: Path, tmp_path: Path) -> None:
    base = with_pace(study_folder, tmp_path, {"random-14m": 2})
    without = [one for one in records_lines(base / "hand") if one["design"] != "lite_transformer-m" or one["seed"] > 2]
    (base / "hand" / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in without))
    STUDY.hand_run(base / "link", seeds=(1, 2))
    cell = cell_of(analysed(base), "14 M MACs · random")
    pace = next(one for one in cell.analysis.evidence.paces if one.run_id == "hand")
    assert pace.via == ("link",)
    assert "through link, by 2 trainings or more made in both of each two runs" in pace_text(cell)
    found = analysed(base)
    results = study_results(found, make_study_verdict(found))
    jsonschema.validate(results, SCHEMA)
    told = next(one for one in results["cells"] if one["label"].startswith("14 M MACs · random"))
    assert {one["run"]: one["via"] for one in told["paces"]}["hand"] == ["link"]


def records_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def test_more_than_a_few_paces_are_a_table(study_folder: Path, tmp_path: Path) -> None:
    base = with_pace(study_folder, tmp_path, {"random-14m": 2})
    for name in ("again", "more"):
        STUDY.hand_run(base / name, seeds=(1, 2, 3))
    found = analysed(base)
    cell = cell_of(found, "14 M MACs · random")
    values = [one.ratios["loaded"].value for one in cell.analysis.evidence.paces]
    assert len(values) == 3
    told = f"{min(values):.2f} to {max(values):.2f} times as much as in those 3 (table “Pace of the machine”)"
    assert told in pace_text(cell) and "(95 % interval" not in pace_text(cell)
    table = pace_table(found)
    assert table is not None and table.rows[0][0].startswith("14 M MACs")
    mine = [row for row in table.rows if row[0] == cell.label]
    assert [row[1] for row in mine] == ["again", "hand", "more"]
    assert {row[2] for row in mine} == {f"{one:.2f}" for one in values}
    assert all(row[4] == "by 2 trainings made in both" for row in mine)


def test_unlike_processors_have_no_pace(study_folder: Path, study: Study, tmp_path: Path) -> None:
    cell = cell_of(analysed(with_pace(study_folder, tmp_path, {"random-14m": 2}, cpu="Another CPU")), "14 M MACs · random")
    assert not cell.analysis.evidence.paces
    assert "of hand are taken as they were metered there" in pace_text(cell)
    assert output_uj(cell, "transformer-s") == output_uj(cell_of(study, "14 M MACs · random"), "transformer-s")


def test_outputs_metered_on_processors_of_another_kind_are_left_out(study_folder: Path, tmp_path: Path) -> None:
    copy = copied(study_folder, tmp_path)
    elsewhere = [one | {"machine": one["machine"] | {"cpu": "Another CPU"}} for one in records_lines(copy / "hand")]
    (copy / "hand" / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in elsewhere))
    cell = cell_of(analysed(copy), "14 M MACs · random")
    told = "Outputs of hand designs of hand were metered on processors of another kind and are left out"
    assert told in pace_text(cell) and "as they were metered there" not in pace_text(cell)
    assert next(one for one in cell.analysis.evidence.models if one.design == "transformer-s").output_uj("loaded") is None
    answer = cell.analysis.findings.answer
    assert answer.outcome == "unknown" and answer.reason == "no hand design has a known energy per output"


def test_champions_are_marked_in_the_tables_of_all_models(study_folder: Path, tmp_path: Path) -> None:
    found = analysed(with_pace(study_folder, tmp_path, {"random-14m": 2}))
    table = models_table(found)
    marked = {table.rows[index][0] for index in table.marked}
    assert {one.design for one in found.champions} == marked
    results = study_results(found, make_study_verdict(found))
    assert {one["design"] for one in results["models"] if one["champion"]} == marked
    paces = {cell["label"]: [one["run"] for one in cell["paces"]] for cell in results["cells"]}
    assert paces["14 M MACs · random · seed 0"] == ["hand"] and paces["7 M MACs · random · seed 0"] == []


def test_a_shard_alone_has_no_hand_champion_that_nobody_chose(study_folder: Path, tmp_path: Path) -> None:
    copy = with_pace(study_folder, tmp_path, {"random-14m": 2})
    analysis = analyse([load_run(copy / "random-14m")], SETTINGS)
    assert analysis.evidence.hand is None
    assert (
        make_verdict(analysis).headline
        == "No verdict yet: the run has no hand champion, chosen with seed 0 and trained with fresh seeds, yet."
    )
