"""What a report says of probed models: numbers that come out as they went in, claims both ways, malformed lines named."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from manual_designs import make_macs_table
from manual_designs.published_macs import TABLE, WorkByLength, published_work
from nas.probe_lines import PARTS, PROBES_FILE, SEEN, Kind, ProbeLine, Weights
from reports import probes_figures
from reports.drawing import FAMILY_COLOURS, NARROW, WIDE, Paper
from reports.load import load_run
from reports.page import write_report
from reports.probes import STACKS, contrasts, own_of_both, probe_table, relative_distance
from reports.probes_figures import _panels, _quarters, depth_figure, distance_figure, sparsity_figure, spectrum_figure
from reports.work import overtakes, run_work, shares

RECORDS = Path(__file__).parent / "records"
HEAD = {"module": "encoder.layers.0.0.op", "stack": "encoder", "layer": 0, "head": 0, "sees": "self"}
ABOUT = {"params": 900_000, "budget_tokens": 5000, "corpus": "made_up", "convolution": False, "form": "pairs", "sentences": 4}


def line(design: str, weights: Weights, kind: Kind, seed: int = 1, convolution: bool = False, **row: object) -> ProbeLine:
    return ProbeLine(
        run_id="r", record_id=f"final/{design}/seed{seed}", design=design, family="f", seed=seed, weights=weights, kind=kind,
        about=ABOUT | {"convolution": convolution}, rows=(row,),
    )  # fmt: skip


def tables(design: str, weights: Weights, near: float, seed: int = 1, negative: float = 0.0) -> list[ProbeLine]:
    within = {f"{prefix}within_{most}": near if not prefix else 0.4 for prefix in ("", "uniform_") for most in (1, 3, 7)}
    local = HEAD | within | {
        "queries": 9, "distance_tokens": 4 * (1 - near), "uniform_distance_tokens": 4.0, "entropy_nats": 1.0,
        "entropy_share": 0.5, "below_uniform_share": 0.5, "negative_share": negative,
    }  # fmt: skip
    ranks = HEAD | {
        "maps": 3,
        "tokens": 8,
        "keys": 8,
        "quarter": 2,
        "share": near,
        "uniform_share": 1.0,
        "curve": [near / 2, near, 1.0],
    }
    both = {"own_share": near, "foreign_share": 1 - near, "signed_own_share": near, "signed_foreign_share": 1 - near}
    planted = HEAD | both | {"queries": 9, "uniform_own_share": 0.45, "uniform_foreign_share": 0.45}
    changes = {"module": HEAD["module"], "stack": "encoder", "layer": 0, "part": "attention", "similarity": near}
    convolution = design.startswith("lite")
    return [
        line(design, weights, "locality", seed, convolution, **local),
        line(design, weights, "spectrum", seed, convolution, **ranks),
        line(design, weights, "noise", seed, convolution, **planted),
        line(design, weights, "depth", seed, convolution, **changes),
    ]


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[..., Path]:
    def make(*lines: ProbeLine, malformed: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / "run"
        shutil.copytree(RECORDS, folder)
        text = "".join(one.to_json() + "\n" for one in lines) + "".join(one + "\n" for one in malformed)
        (folder / PROBES_FILE).write_text(text, encoding="utf-8")
        return folder

    return make


def both(design: str, trained: tuple[float, ...], fresh: float = 0.4, negative: float = 0.0) -> list[ProbeLine]:
    found: list[ProbeLine] = []
    for seed, near in enumerate(trained, start=1):
        found += tables(design, "trained", near, seed, negative) + tables(design, "random", fresh, seed, negative)
    return found


def test_contrasts_are_means_over_seeds_and_agree_only_where_every_seed_does(run_with: Callable[..., Path]) -> None:
    run = load_run(run_with(*both("plain", (0.6, 0.8)), *both("lite-x", (0.6, 0.2))))
    plain, lite = contrasts(probe_table([run], "locality"), "within_3", "uniform_within_3")
    assert (plain.trained, plain.fresh, plain.even, plain.agreed) == (
        pytest.approx(0.7),
        pytest.approx(0.4),
        pytest.approx(0.4),
        1,
    )
    assert (lite.trained, lite.agreed) == (pytest.approx(0.4), 0)
    assert relative_distance(probe_table([run], "locality"))["ratio"].iloc[0] == pytest.approx(0.4)
    (first, _) = contrasts(own_of_both(probe_table([run], "noise")), "own_of_both", "even_of_both")
    assert (first.trained, first.even) == (pytest.approx(0.7), pytest.approx(0.5))


def test_a_later_table_replaces_an_earlier_one(run_with: Callable[..., Path]) -> None:
    run = load_run(run_with(*tables("plain", "trained", 0.1), *tables("plain", "trained", 0.9)))
    assert contrasts(probe_table([run], "locality"), "within_3")[0].trained == pytest.approx(0.9)


def test_the_page_says_what_is_seen_and_names_what_it_left_out(
    run_with: Callable[..., Path], tmp_path: Path, printing: Callable[..., AbstractContextManager[None]]
) -> None:
    own = ("attention-distance", "attention-sparsity", "attention-spectrum", "attention-noise", "similarity-depth")
    lines = [*both("plain", (0.6, 0.8)), *both("lite-x", (0.5, 0.6)), *both("diff", (0.9, 0.9), negative=0.1)]
    folder = run_with(*lines, malformed=("{", '{"schema": 7}'))
    with printing(*own):
        write_report([folder], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("left out: probes.jsonl line") == 2
    assert "plain 70 % (fresh 40 %)" in page and "seen in 3 of 3 designs" in page
    further = (
        "On average attention looks further where a convolution stands beside it: its mean distance is 0.45 times that of an "
    )
    assert f"{further}even map with one, 0.20 without (means of designs, not tested)" in page
    assert "On average what matters gets more where maps are subtracted: 90 %, and 62 % where they are not" in page
    assert "depth cannot be asked about" in page and "between first and last" not in page
    assert all((tmp_path / "out" / f"{name}.png").stat().st_size > 1_000 for name in own)
    assert (tmp_path / "out" / "work-length.png").exists()


def test_which_layer_does_most_is_told_of_fresh_models_too(run_with: Callable[..., Path], tmp_path: Path) -> None:
    def deep(weights: Weights, first: float, second: float) -> ProbeLine:
        row = {"module": HEAD["module"], "stack": "encoder", "part": "attention"}
        found = line("plain", weights, "depth", **row, layer=0, similarity=first)
        return replace(found, rows=(*found.rows, row | {"layer": 1, "similarity": second}))

    write_report([run_with(deep("trained", 0.8, 0.9), deep("random", 0.9, 0.8))], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "the first layer does most is seen in 1 of 1 stacks, and with fresh weights in 0 of 1." in page


@pytest.mark.parametrize(("similarities", "seen"), [((0.5, 0.9, 0.8), 1), ((0.5, 0.8, 0.9), 0), ((0.9, 0.6, 0.8), 0)])
def test_whether_a_layer_between_first_and_last_does_least(
    run_with: Callable[..., Path], tmp_path: Path, similarities: tuple[float, ...], seen: int
) -> None:
    row = {"module": HEAD["module"], "stack": "encoder", "part": "attention"}
    found = line("plain", "trained", "depth", **row, layer=0, similarity=similarities[0])
    rows = tuple(row | {"layer": layer, "similarity": one} for layer, one in enumerate(similarities))
    write_report([run_with(replace(found, rows=rows))], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert f"a layer between first and last does least is seen in {seen} of 1 stacks of three or more." in page


@pytest.mark.parametrize(("trained", "seen"), [((0.4, 0.2), "seen"), ((0.4, 0.6), "not seen"), ((0.6, 0.8), "not seen")])
def test_sparsity_is_told_beside_fresh_models(
    run_with: Callable[..., Path], tmp_path: Path, trained: tuple[float, ...], seen: str
) -> None:
    """Fresh models have half of the largest entropy."""
    lines = []
    for one in both("plain", (0.6, 0.8)):
        if one.kind == "locality" and one.weights == "trained":
            one = replace(
                one,
                rows=tuple(dict(row) | {"entropy_share": trained[one.seed - 1], "below_uniform_share": 0.87} for row in one.rows),
            )
        lines.append(one)
    write_report([run_with(*lines)], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    mean = 100 * sum(trained) / len(trained)
    assert f"over all it may see: encoder, to itself: plain {mean:.0f} % (fresh 50 %)" in page
    assert f"training makes attention sparser is {seen}, all kinds together" in page and "Below even" in page and ">0.87<" in page


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as sketches that are still to be drawn."""
    monkeypatch.setattr(probes_figures, "render", lambda sketch: sketch)


def seen_apart(run: Path, kind: Kind, **first: object) -> pd.DataFrame:
    """A table of "one", whose rows are changed by `first`, and "two"."""
    table = probe_table([load_run(run)], kind)
    return table.assign(**{name: table[name].where(table["design"] != "one", value) for name, value in first.items()})


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("paper", [WIDE, NARROW])
def test_a_design_has_one_colour_in_all_panels(run_with: Callable[..., Path], paper: Paper) -> None:
    """What the first design has stands in another panel than what the second has: each panel has a line of one design."""
    run = run_with(*both("one", (0.6,)), *both("two", (0.8,)))
    figures: list[Any] = [
        distance_figure(seen_apart(run, "locality", stack="decoder")),
        spectrum_figure(seen_apart(run, "spectrum", sees="slots")),
        depth_figure(seen_apart(run, "depth", part="feed_forward")),
    ]
    for figure in figures:
        panels = figure.draw(paper).axes
        colours = [{line.get_color() for line in one.lines} & set(FAMILY_COLOURS) for one in panels]
        assert sorted(colours, key=str) == sorted(({FAMILY_COLOURS[0]}, {FAMILY_COLOURS[1]}), key=str), figure.name


@pytest.mark.usefixtures("unrendered")
def test_rows_of_panels_side_by_side_are_of_the_same_designs(run_with: Callable[..., Path]) -> None:
    run = run_with(*both("one", (0.6,)), *both("two", (0.8,)))
    figure: Any = sparsity_figure(seen_apart(run, "locality", sees="slots"))
    for paper, names in ((WIDE, [["one", "two"], ["", ""]]), (NARROW, [["one", "two"], ["one", "two"]])):
        panels = figure.draw(paper).axes
        assert [[one.get_text() for one in axes.get_yticklabels()] for axes in panels] == names
        assert [{place for line in axes.lines for place in line.get_ydata()} for axes in panels] == [{1}, {0}]


@pytest.mark.parametrize(("count", "rows"), [(1, [1]), (3, [3]), (4, [2, 2]), (5, [3, 2]), (7, [3, 3, 1])])
def test_panels_stand_in_rows_that_have_room(count: int, rows: list[int]) -> None:
    figure, panels = _panels(WIDE, [str(one) for one in range(count)])
    figure.draw_without_rendering()
    tops = [round(axes.get_position().y1, 3) for axes in panels]
    assert figure.axes == panels and [tops.count(top) for top in sorted(set(tops), reverse=True)] == rows
    assert len({round(axes.get_position().x0, 3) for axes in _panels(NARROW, ["a", "b"])[1]}) == 1


def test_what_moved_the_other_way_is_not_seen(run_with: Callable[..., Path], tmp_path: Path) -> None:
    write_report([run_with(*both("plain", (0.3, 0.2)))], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "makes attention local is not seen" in page and "cannot be told: none of them have one" in page
    assert "no design that was looked into subtracts maps" in page


def test_means_that_differ_the_other_way_are_told_as_such(run_with: Callable[..., Path], tmp_path: Path) -> None:
    lines = [*both("plain", (0.4, 0.5)), *both("lite-x", (0.8, 0.9)), *both("diff", (0.3, 0.3), negative=0.1)]
    write_report([run_with(*lines)], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "On average attention looks no further where" in page and "On average what matters gets no more where" in page


def test_tables_without_trained_models_are_no_numbers(run_with: Callable[..., Path], tmp_path: Path) -> None:
    fresh = [one for one in both("plain", (0.6,)) if one.weights == "random"]
    bare = replace(next(one for one in tables("plain", "trained", 0.6) if one.kind == "depth"), rows=())
    write_report([run_with(*fresh, bare)], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("known of no trained model") == 5


@pytest.mark.parametrize("alone", [True, False])
def test_slots_have_a_quarter_of_their_own(run_with: Callable[..., Path], tmp_path: Path, alone: bool) -> None:
    (ranks,) = (one for one in tables("linformer", "trained", 0.6) if one.kind == "spectrum")
    (depth,) = (one for one in tables("linformer", "trained", 0.6) if one.kind == "depth")
    slots = dict(ranks.rows[0]) | {"sees": "slots", "keys": 4, "quarter": 1}
    run = load_run(run_with(replace(ranks, rows=(slots,) if alone else (slots, *ranks.rows)), depth))
    told = _quarters(probe_table([run], "spectrum"))
    assert "towards slots at a quarter of the slots (1)" in told or (alone and "is at a quarter of the slots (1)." in told)
    assert alone or "at a quarter of the tokens (2)" in told
    write_report([run.folder], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert ("All attention here is to slots" if alone else "a map of 8 tokens the largest 2 hold") in page


def test_searched_designs_of_several_runs_are_counted_apart(run_with: Callable[..., Path]) -> None:
    rows = tuple({"source_tokens": t, "target_tokens": t} | dict.fromkeys(PARTS, t) for t in (16, 30))
    run = load_run(run_with())
    runs = []
    for name in ("one", "two"):
        counted = ProbeLine(
            run_id=name, record_id="x", design="searched-1", family="searched", seed=1, weights="none", kind="macs", rows=rows
        )
        runs.append(replace(run, info=dict(run.info) | {"run_id": name}, probes=(counted,)))
    assert [one.design for one in run_work(runs)] == ["searched-1 (one)", "searched-1 (two)"]
    assert [one.design for one in run_work(runs[:1])] == ["searched-1"]


def test_the_kinds_of_attention_are_those_that_lines_may_name() -> None:
    assert tuple(STACKS) == SEEN


def test_without_probes_that_is_said_beside_the_work_of_published_designs(tmp_path: Path) -> None:
    write_report([RECORDS], tmp_path / "out", "DEU", "FRA")
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "Where the work is" in page and page.count("Why: inside the trained models") == 1
    assert "Nobody has looked into the trained models of this report." in page and "carbon-nas probe RUN does" in page
    assert "has not been counted; carbon-nas probe does" in page


def test_the_committed_table_is_what_is_counted_today() -> None:
    assert TABLE.read_text(encoding="utf-8") == make_macs_table.table()


def test_from_which_length_on_products_are_the_most() -> None:
    base = next(one for one in published_work() if one.design == "transformer-wmt-512")
    # 36 layers' worth of linear work: 12 feed-forward layers of 8 width^2 a token, 18 attentions of 2 tokens x width.
    found = overtakes(base, ("feed_forward",))
    assert found is not None and found.exact
    assert found.low == pytest.approx(12 * 2 * 4 * 512 / (18 * 2))
    assert sum(shares(base, 30).values()) == pytest.approx(1)
    linear = WorkByLength(
        "slots", "", {tokens: dict.fromkeys(PARTS, 0) | {"products": tokens, "feed_forward": 9} for tokens in (4, 8, 16)}
    )
    crossing = overtakes(linear, ("feed_forward",))
    assert crossing is not None
    never = replace(linear, macs={tokens: dict.fromkeys(PARTS, 1) | {"feed_forward": 9} for tokens in (4, 8)})
    assert overtakes(never, ("feed_forward",)) is None


def test_counts_of_a_run_stand_before_the_published_ones(run_with: Callable[..., Path]) -> None:
    rows = tuple({"source_tokens": t, "target_tokens": t} | dict.fromkeys(PARTS, t) for t in (16, 30))
    counted = ProbeLine(run_id="r", record_id="x", design="own", family="f", seed=1, weights="none", kind="macs", rows=rows)
    (found,) = run_work([load_run(run_with(counted))])
    assert found.design == "own" and found.macs[30]["products"] == 30
