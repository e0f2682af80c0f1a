"""Figures as functions of tidy tables: what the tables hold, and what is drawn where there is little, nothing or much to draw."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from nas.ledger import encode_line
from reports.analysis import Analysis, analyse
from reports.drawing import Drawing
from reports.energy_figures import OUTCOME_LOOKS, PART_LOOKS, timeline
from reports.energy_tables import NUM_BINS, POWER_COLUMNS, TIMELINE_COLUMNS, power_table, timeline_table
from reports.figure_tables import MODEL_COLUMNS, PROGRESS_COLUMNS, TRIAL_COLUMNS, analysis_models, progress_table, trial_table
from reports.figures import MISSING, left_out, missing_words
from reports.load import load_run
from reports.marks import draw_families, draw_fronts, readable
from reports.payback_figures import (
    REGION_COLUMNS,
    REGIONS,
    ROUTE_COLUMNS,
    Crossing,
    break_even_lines,
    region_map,
    regions_table,
    routes_table,
)
from reports.power_figures import (
    BINS_OF_SEVERAL,
    MOST_APART,
    MOST_NAMED,
    _apart_words,
    _layers,
    _levels,
    _raised,
    _spans,
    power_over_time,
    time_figures,
)
from reports.quality_figures import (
    best_against_carbon,
    quality_against_energy,
    quality_against_macs,
    quality_against_training,
)
from reports.search_figures import gene_importance, genealogy
from reports.search_tables import GENE_COLUMNS, eta_squared, genealogy_table, genes_table
from reports.settings import make_settings
from reports.statistics import FloatArray, seeds_interval

RECORDS = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse([load_run(RECORDS)], make_settings("DEU", "FRA"))


def test_columns_are_those_that_are_documented(analysis: Analysis) -> None:
    for table, columns in (
        (analysis_models(analysis), MODEL_COLUMNS),
        (trial_table(analysis.trials), TRIAL_COLUMNS),
        (progress_table(analysis.runs, analysis.settings), PROGRESS_COLUMNS),
        (power_table(analysis.runs), POWER_COLUMNS),
        (timeline_table(analysis.runs), TIMELINE_COLUMNS),
        (routes_table(analysis), ROUTE_COLUMNS),
        (regions_table(analysis), REGION_COLUMNS),
        (genes_table(analysis.runs), GENE_COLUMNS),
    ):
        assert list(table.columns) == list(columns)


def test_power_in_parts_is_the_machines_in_every_bin_and_in_all(analysis: Analysis) -> None:
    power = power_table(analysis.runs, num_bins=7)
    wide = power.pivot_table(index="time_h", columns="part", values="energy_uj", aggfunc="sum").fillna(0.0)
    np.testing.assert_allclose(wide.drop(columns="machine").sum(axis=1), wide["machine"], rtol=1e-9)
    assert wide["machine"].sum() == pytest.approx(sum(tick.machine_uj for tick in analysis.run.ticks), rel=1e-12)
    assert set(wide) - {"machine"} <= set(PART_LOOKS)


def test_power_of_a_trial_is_what_the_meter_gave_it(analysis: Analysis) -> None:
    power = power_table(analysis.runs, num_bins=7)
    given: dict[str, int] = {}
    for tick in analysis.run.ticks:
        for share in tick.shares:
            given[share.trial] = given.get(share.trial, 0) + share.energy_uj
    found = power.groupby("trial")["energy_uj"].sum()
    assert dict(found) == pytest.approx(given) and len(given) > MOST_NAMED
    assert (power["energy_uj"][power["trial"].notna()] > 0).all() and power.groupby("trial").size().max() < 7


@pytest.mark.parametrize(("names", "most_apart"), [(False, 0), (False, 1000), (True, 1000)])
def test_areas_of_trials_fill_the_stack(
    analysis: Analysis, names: bool, most_apart: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As parts alone, parted by lines, and with names of their own."""
    monkeypatch.setattr("reports.power_figures.MOST_APART", most_apart)
    power = power_table(analysis.runs, num_bins=50)
    drawn, edges = power[power["trial"].notna()], np.arange(51.0)
    bins = drawn.assign(bin=np.rint(drawn["time_h"] * 3600 / drawn["bin_s"] - 0.5).astype(int))
    top = np.zeros(50)
    layers = list(_layers(bins, edges, top, list(drawn["trial"].unique()) if names else []))
    np.testing.assert_allclose(top, bins.groupby("bin")["power_w"].sum().reindex(range(50), fill_value=0.0), rtol=1e-9)
    covered = sum(_area(shape.vertices) for _, _, shapes, _ in layers for shape in shapes)
    assert covered == pytest.approx(top.sum(), rel=1e-9)
    assert len(layers) == drawn["trial" if names else "part"].nunique()
    assert {apart for *_, apart in layers} == {most_apart > 0}


def _area(corners: FloatArray) -> float:
    """Of a closed outline."""
    (x, y), (next_x, next_y) = corners[:-1].T, corners[1:].T
    return abs(float(np.sum(x * next_y - next_x * y))) / 2


def test_what_ran_one_after_the_other_is_on_one_level() -> None:
    """Two workers: what starts last on the first lies under what is longer on the second."""
    rows = [("a", 0, 4), ("b", 0, 9), ("c", 4, 9)]
    drawn = pd.DataFrame(
        [{"trial": name, "bin": at, "bin_s": 60.0, "power_w": 1.0} for name, first, last in rows for at in range(first, last)]
    )
    assert [own["trial"].iloc[0] for own in _levels(drawn)] == ["a", "c", "b"]


def test_a_pause_parts_the_area_of_a_trial() -> None:
    drawn = pd.DataFrame({"bin": [1, 2, 5], "power_w": [1.0, 2.0, 3.0]})
    top = np.ones(8)
    shapes = list(_raised(drawn, np.arange(9.0), top))
    assert [(shape.vertices[:, 0].min(), shape.vertices[:, 0].max()) for shape in shapes] == [(1, 3), (5, 6)]
    assert top.tolist() == [1, 2, 3, 1, 1, 4, 1, 1]


def test_bins_of_runs_of_unlike_length_are_both_told() -> None:
    assert _spans(pd.Series([4.0, 4.0])) == "4.0 s" and _spans(pd.Series([120.0, 4.0])) == "4.0 s to 2.0 min"


def test_phases_of_a_trial_in_one_reading_add_up(analysis: Analysis) -> None:
    """A trial of the search that goes from training to validation while the meter reads once."""
    machine = analysis.run.machines[0]
    ticks = tuple(
        replace(tick, shares=tuple(replace(one, phase=phase) for one in tick.shares for phase in ("train", "validate")))
        for tick in machine.ticks
    )
    once, twice = (
        power_table([replace(analysis.run, machines=(one,))], num_bins=9) for one in (machine, replace(machine, ticks=ticks))
    )
    drawn = [table[table["part"] == "search"].groupby("trial")["energy_uj"].sum() for table in (once, twice)]
    assert len(drawn[0]) and dict(drawn[1]) == pytest.approx(dict(2 * drawn[0]))


def test_several_runs_have_fewer_bins_each(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    table = power_table(analysis.runs)
    monkeypatch.setattr("reports.power_figures.power_table", lambda _, bins: asked.append(bins) or table)
    time_figures(analysis)
    time_figures(replace(analysis, runs=(*analysis.runs, analysis.run)))
    assert asked == [NUM_BINS, BINS_OF_SEVERAL] and BINS_OF_SEVERAL < NUM_BINS


def test_how_trials_are_told_apart_is_said(analysis: Analysis) -> None:
    drawn = power_over_time(power_table(analysis.runs))
    assert drawn is not None and "Thin lines part trials; colours tell what they did." in drawn.caption
    assert f"at most {MOST_APART} of them" in _apart_words(MOST_APART + 1)


def _marks(svg: str, style: str) -> int:
    """How many elements of a drawing have a declaration, in their own style or by a class."""
    classes = re.findall(rf"\.(s\d+){{[^}}]*{re.escape(style)}", svg)
    return len(re.findall(rf' style="[^"]*{re.escape(style)}', svg)) + sum(svg.count(f'class="{name}"') for name in classes)


@pytest.mark.usefixtures("printed")
def test_few_trials_have_one_colour_each_in_all_runs(analysis: Analysis) -> None:
    """Three trials in two runs, the second of which has two of them; of more than a figure names, colours are of parts."""
    power = power_table(analysis.runs)
    trials = list(power["trial"].dropna().unique())
    kept = power[power["trial"].isna() | power["trial"].isin(trials[:3])]
    second = kept[kept["trial"] != trials[0]].assign(run_id="second")
    drawn = power_over_time(pd.concat([kept, second], ignore_index=True))
    assert drawn is not None and "Thin lines" not in drawn.caption
    assert all(f">{readable(one)}<" in drawn.wide_svg for one in trials[:3]) and ">search<" not in drawn.wide_svg
    assert all(_marks(drawn.wide_svg, f"fill:var(--family-{at})") == times for at, times in ((1, 2), (2, 3), (3, 3)))
    parted = power_over_time(power)
    assert parted is not None and readable(trials[0]) not in parted.wide_svg and ">search<" in parted.wide_svg


def test_what_runs_at_the_same_time_is_in_rows_of_its_own(analysis: Analysis) -> None:
    spans = timeline_table(analysis.runs)
    assert set(spans["outcome"]) <= set(OUTCOME_LOOKS)
    for _, lane in spans.sort_values("start_s").groupby("lane"):
        assert (lane["start_s"].to_numpy()[1:] >= lane["end_s"].to_numpy()[:-1] - 1).all()


def test_routes_differ_by_what_has_to_be_paid_back(analysis: Analysis) -> None:
    routes, answer = routes_table(analysis), analysis.findings.answer
    at = {name: group.set_index("uses")["emitted_g"] for name, group in routes.groupby("route")}
    assert at["difference"].iloc[0] == pytest.approx(answer.net_g)
    assert np.interp(answer.uses, at["difference"].index, at["difference"]) == pytest.approx(0, abs=1e-6 * answer.net_g)


def test_break_even_of_regions_goes_by_the_ratio_of_their_grids(analysis: Analysis) -> None:
    pairs = regions_table(analysis).set_index(["searched_in", "used_in"])
    assert len(pairs) == len(REGIONS) ** 2
    assert pairs["uses"]["DEU", "FRA"] == pytest.approx(analysis.findings.answer.uses)
    ratio = pairs["searched_g_per_kwh"]["IND", "NOR"] / pairs["used_g_per_kwh"]["IND", "NOR"]
    assert pairs["uses"]["IND", "NOR"] == pytest.approx(pairs["uses"]["DEU", "DEU"] * ratio)


def test_regions_without_a_break_even_show_what_is_left_to_pay(analysis: Analysis) -> None:
    pairs = regions_table(analysis).assign(uses=np.nan)
    drawn = region_map(pairs)
    assert drawn is not None and "still to be paid back" in drawn.alt and "point estimates alone" in drawn.caption
    drawn = region_map(pairs.assign(uses=0.0))
    assert drawn is not None and "there is nothing to pay back, or no number" in drawn.caption
    assert "point estimates" not in drawn.caption


@pytest.mark.usefixtures("printed")
def test_uses_on_the_map_have_three_digits(analysis: Analysis) -> None:
    pairs = regions_table(analysis).assign(uses=151_300.0)
    drawn = region_map(pairs)
    assert drawn is not None and ">151k<" in drawn.wide_svg and "151,000 uses" in drawn.alt


@pytest.mark.usefixtures("printed")
def test_of_two_lines_of_the_search_one_is_in_the_legend(analysis: Analysis) -> None:
    drawn = break_even_lines(routes_table(analysis), Crossing("number", 1e6, 1e5, 1e7))
    assert drawn is not None and "search less hand" not in drawn.wide_svg and "with the search" in drawn.wide_svg
    assert drawn.title == "Whether and when the search pays back"
    drawn = break_even_lines(routes_table(analysis), Crossing("number", 0.0, 0.0, 0.0))
    assert drawn is not None and drawn.caption.startswith("There is nothing to pay back") and "They cross" not in drawn.alt


def test_alternative_texts_tell_what_is_drawn(analysis: Analysis) -> None:
    models, progress = analysis_models(analysis), progress_table(analysis.runs, analysis.settings)
    best = progress["best"].max()
    assert progress["valid"].max() > best, "finalists had a longer training"
    assert f"ending at {best:.2f}, against" in best_against_carbon(progress, models).alt
    assert "no trial of which has a score yet" in best_against_carbon(progress.iloc[:0], models).alt
    power = power_table(analysis.runs)
    several = [power.assign(run_id=f"r{at}", energy_uj=power["energy_uj"] / (1 if at < 3 else 100)) for at in range(4)]
    alone, drawn = power_over_time(power), power_over_time(pd.concat(several, ignore_index=True))
    assert alone is not None and drawn is not None and "Left out: 1 run that drew less." in drawn.caption
    assert alone.alt == drawn.alt, "of the runs that are shown"


def test_why_paying_back_is_not_drawn(analysis: Analysis) -> None:
    empty = Drawing(name="", title="", caption="", alt="", wide_svg="", narrow_svg="", png=b"")
    lines, regions = (replace(empty, name=name) for name in ("break-even", "regions"))
    assert left_out(analysis, (lines, regions)) == ""
    assert left_out(analysis, (lines,)).endswith("is not drawn in full, since its break-even is “number”.")


def test_figures_that_the_records_have_nothing_for_are_named(analysis: Analysis) -> None:
    empty = Drawing(name="", title="", caption="", alt="", wide_svg="", narrow_svg="", png=b"")
    drawn = [replace(empty, name=name) for name in MISSING]
    assert missing_words(drawn) == ""
    assert missing_words(drawn[:-2]) == f"Not drawn: {MISSING['genealogy']}; {MISSING['genes']}."
    assert set(MISSING) >= {"genealogy", "genes"} and genealogy(genealogy_table(analysis.runs)) is None


def bars_of(models: pd.DataFrame, x: str, y: str) -> int:
    """How many error bars families by hand have in a figure."""
    axes = Figure().subplots()
    draw_families(axes, models, x, y)
    return sum(isinstance(one, LineCollection) for one in axes.collections)


def test_every_hand_design_with_several_seeds_has_bars_both_ways_where_both_are_known(analysis: Analysis) -> None:
    models = analysis_models(analysis)
    hands = models[~models["searched"].astype(bool)]
    assert list(hands["design"][hands["seeds"] > 1]) == ["lite_transformer-m"], "the others were trained once"
    assert [bars_of(models, x, y) for x, y in (("output_j", "test"), ("macs_m", "test"), ("macs_m", "valid"))] == [2, 1, 0]
    several = models.assign(seeds=3, output_low_j=models["output_j"] - 1, output_high_j=models["output_j"] + 1)
    assert bars_of(several, "output_j", "test") == 2 * len(hands) and bars_of(several, "macs_m", "test") == len(hands)
    assert "of every hand design with several seeds" in quality_against_energy(models).caption


def test_energy_of_an_output_has_an_interval_over_seeds_where_there_are_several(analysis: Analysis) -> None:
    models = analysis_models(analysis).set_index("design")
    for model in analysis.evidence.models:
        row, found = models.loc[model.design], seeds_interval(model.output_uj("loaded") or ())
        assert row["seeds"] == len(model.runs) and (found is None) == (len(model.runs) == 1)
        if found is None:
            assert np.isnan(row["output_low_j"]) and np.isnan(row["output_high_j"])
        else:
            assert (row["output_low_j"], row["output_high_j"]) == pytest.approx((found.low / 1000, found.high / 1000))
            assert row["output_low_j"] < row["output_j"] < row["output_high_j"]


def test_the_front_of_all_models_stands_beside_that_of_hand_designs(analysis: Analysis) -> None:
    models, axes = analysis_models(analysis), Figure().subplots()
    draw_fronts(axes, models, "macs_m", "least work")
    lines = {str(one.get_label()): list(one.get_xdata()) for one in axes.lines}
    assert list(lines) == ["least work by hand", "least work of all models"]
    searched = float(models.set_index("design").loc["search-trial7", "macs_m"])
    assert searched in lines["least work of all models"] and searched not in lines["least work by hand"]
    assert "thin dashes: the same of all models" in quality_against_energy(models).caption
    by_hand, alone = models[~models["searched"].astype(bool)], Figure().subplots()
    draw_fronts(alone, by_hand, "macs_m", "least work")
    assert len(alone.lines) == 1 and "thin dashes" not in quality_against_energy(by_hand).caption


@pytest.mark.usefixtures("printed")
def test_what_came_to_no_end_is_hatched(analysis: Analysis) -> None:
    spans = timeline_table(analysis.runs)
    failed, ended = timeline(spans), timeline(spans[spans["outcome"].isin(["finished", "full"])])
    assert failed is not None and ended is not None
    assert "<pattern" in failed.wide_svg and "<pattern" not in ended.wide_svg


def test_eta_squared_by_hand() -> None:
    share, chance, p_value = eta_squared(np.asarray([0, 0, 0, 1, 1, 1]), np.asarray([1.0, 2.0, 3.0, 5.0, 6.0, 7.0]))
    assert share == pytest.approx(24 / 28)  # 6 values around 4: between groups 6 x 2², in all 28
    assert 0 < chance <= 1 and p_value == pytest.approx(2 / 20, abs=0.03)  # 2 of the 20 ways to choose three
    assert eta_squared(np.asarray([0, 1]), np.asarray([3.0, 3.0])) == (0.0, 0.0, 1.0)


def test_genes_tell_how_many_trials_they_rest_on(analysis: Analysis) -> None:
    drawn = gene_importance(genes_table(analysis.runs))
    if drawn is not None:
        assert "too few to rank genes" in drawn.caption
    rng = np.random.default_rng(0)
    strong = {"run_id": "r", "measure": "valid loss", "num_trials": 200, "chance": 0.02, "eta_squared": 0.4, "p_value": 0.001}
    genes = pd.DataFrame(
        [strong | {"gene": gene, "choices": "$a, b", "holm_p_value": 0.02 if gene == 3 else 1.0} for gene in range(1, 40)]
    )
    drawn = gene_importance(genes.assign(eta_squared=rng.random(39)))
    assert drawn is not None and "too few" not in drawn.caption and "1 (gene 3, in colour and with a *)" in drawn.caption


@pytest.mark.usefixtures("printed")
def test_descent_is_read_from_the_ledger(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    parents = {1: 0, 2: 1, 7: 2, 9: 1}
    events = [
        {"seq": seq, "kind": "asked", "search": "search", "trial": trial, "job": f"search/trial{trial}"}
        | ({"parent": parents[trial]} if trial in parents else {})
        for seq, trial in enumerate(range(12))
    ]
    (folder / "ledger.jsonl").write_bytes(b"".join(encode_line(one) for one in events))
    trials = genealogy_table([load_run(folder)]).set_index("record_id")
    assert trials["generation"]["search/trial7"] == 3 and trials["parent"]["search/trial9"] == "search/trial1"
    drawn = genealogy(trials.reset_index().assign(quality=np.arange(len(trials), dtype=float)))
    assert drawn is not None and "3 generations" in drawn.alt
    assert genealogy(genealogy_table([load_run(RECORDS)])) is None  # no ledger, no parents


def test_runs_of_one_strategy_are_one_line_with_a_band(analysis: Analysis) -> None:
    progress, models = progress_table(analysis.runs, analysis.settings), analysis_models(analysis)
    twice = pd.concat([progress, progress.assign(run_id="other", valid=progress["valid"] + 1, best=progress["best"] + 1)])
    assert "drawn again" in best_against_carbon(twice, models).caption
    assert "drawn again" not in best_against_carbon(progress, models).caption


@pytest.mark.usefixtures("printed")
def test_little_or_nothing_to_draw(analysis: Analysis) -> None:
    models, trials = analysis_models(analysis), trial_table(analysis.trials)
    progress = progress_table(analysis.runs, analysis.settings)
    assert quality_against_training(models.assign(training_g=np.nan)) is None
    assert power_over_time(power_table([replace(analysis.run, machines=())])) is None
    assert timeline(timeline_table([replace(analysis.run, records=())])) is None
    assert break_even_lines(routes_table(analysis).iloc[:0], Crossing("unknown")) is None
    assert region_map(regions_table(analysis).iloc[:0]) is None
    assert gene_importance(genes_table([replace(analysis.run, records=())])) is None
    assert "0 search trials" in quality_against_macs(models, trials.iloc[:0]).alt
    assert "1 search trials" in quality_against_macs(models, trials[trials["outcome"] == "complete"].iloc[:1]).alt
    assert best_against_carbon(progress.iloc[:0], models).png.startswith(b"\x89PNG")


@pytest.mark.usefixtures("printed")
def test_a_run_within_one_second_still_has_a_time_line(analysis: Analysis) -> None:
    spans = pd.DataFrame({"run_id": ["r", "r"], "record_id": ["a", "b"], "lane": [0, 1], "start_s": 7.0, "end_s": 7.0})
    drawn = timeline(spans.assign(outcome=["finished", "full"]))
    assert drawn is not None and drawn.png.startswith(b"\x89PNG")


@pytest.mark.usefixtures("printed")
def test_ten_thousand_trials_make_no_page_of_megabytes(analysis: Analysis) -> None:
    rng = np.random.default_rng(0)
    many = trial_table(analysis.trials).query("outcome == 'complete'").iloc[[0] * 10_000]
    many = many.assign(macs_m=rng.uniform(1, 20, 10_000), valid=rng.normal(10, 2, 10_000))
    begun = np.arange(10_000) // 4 * 30.0
    spans = pd.DataFrame({"run_id": "r", "record_id": [f"t{one}" for one in range(10_000)], "lane": np.arange(10_000) % 4})
    spans = spans.assign(start_s=begun, end_s=begun + 29, outcome=rng.choice(["finished", "stopped"], 10_000))
    for drawn in (quality_against_macs(analysis_models(analysis), many), timeline(spans)):
        assert drawn is not None and len(drawn.wide_svg) + len(drawn.narrow_svg) < 400_000


@pytest.mark.usefixtures("printed")
def test_names_of_choices_start_no_formula_and_no_markup(analysis: Analysis) -> None:
    genes = pd.DataFrame([json.loads('{"run_id": "<b>", "gene": 1, "choices": "$x^, <i>", "eta_squared": 0.5, "chance": 0.1}')])
    drawn = gene_importance(genes.assign(p_value=0.5, holm_p_value=0.5, num_trials=40, measure="valid loss"))
    assert drawn is not None and "<i>" not in drawn.wide_svg and "$x^" in drawn.wide_svg and "1 *:" not in drawn.wide_svg
    drawn = gene_importance(genes.assign(p_value=0.001, holm_p_value=0.001, num_trials=40, measure="valid loss"))
    assert drawn is not None and "1 *: $x^" in drawn.wide_svg


def test_genes_of_other_searches_are_told_as_left_out() -> None:
    known = {
        "gene": 1,
        "choices": "a, b",
        "eta_squared": 0.5,
        "chance": 0.1,
        "p_value": 0.5,
        "holm_p_value": 0.5,
        "measure": "loss",
    }
    genes = pd.DataFrame([known | {"run_id": run, "num_trials": num} for run, num in (("few", 12), ("most", 40))])
    alone, beside = gene_importance(genes.iloc[1:]), gene_importance(genes)
    assert alone is not None and "Left out" not in alone.caption
    assert beside is not None and "Left out: 1 other search with no more finished trials." in beside.caption


@pytest.mark.parametrize("told", [["width", "depth"], ["width"], ["width", "width"], "wd", None])
def test_genes_have_their_names_where_the_run_tells_them(analysis: Analysis, told: object) -> None:
    one = next(trial.record for trial in analysis.trials if trial.record.genome and trial.record.status == "complete")
    scores = [dict(one.metrics) | {"valid_bits_per_character": 1.0 + at} for at in range(12)]
    records = tuple(
        replace(one, record_id=f"search/trial{at}", trial=at, genome=(at % 2, at % 3), metrics=metrics)
        for at, metrics in enumerate(scores)
    )
    run = replace(analysis.run, records=records, search_ledger=None, info=dict(analysis.run.info) | {"genes": told})
    assert list(genes_table([run])["gene"]) == (["width", "depth"] if told == ["width", "depth"] else ["1", "2"])
