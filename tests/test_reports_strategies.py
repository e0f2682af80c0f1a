"""The report of a comparison of strategies: verdicts in words, numbers that are those of the lines, a page that stands alone."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import UserError
from nas.testing import module_at
from reports.markdown import escaped
from reports.strategies import analyse_strategies
from reports.strategies_export import strategies_results
from reports.strategies_load import Objective, is_comparison, is_simulated, load_strategies
from reports.strategies_page import write_strategies_report
from reports.strategies_sentences import make_strategies_verdict
from reports.strategies_words import values_provenance

Page: Any = module_at(Path(__file__).parent / "pages.py").Page
Steps = Sequence[tuple[int, Sequence[float] | None]]
UNITS = ("trials", "tokens", "energy_uj", "emissions_g_co2e", "elapsed_s")


def lines_of(variant: str, seed: int, steps: Steps, **ended: Any) -> list[dict[str, Any]]:
    """A search whose every trial takes 100 tokens; a step is the values of a trial, or None where it failed."""
    head = {"schema": 1, "variant": variant, "seed": seed}
    found: list[dict[str, Any]] = []
    front: list[Sequence[float]] = []
    for number, (tokens, values) in enumerate(steps, start=1):
        spent = dict(zip(UNITS, (number, tokens, 0, 0.0, number / 10), strict=True))
        line = {**head, "kind": "finished" if values else "failed", "trial": number - 1, "rung": 0, "spent": spent}
        if values is not None and not any(all(a <= b for a, b in zip(one, values, strict=True)) for one in front):
            front = [one for one in front if not all(b <= a for a, b in zip(one, values, strict=True))] + [values]
            line["front"] = front
        found.append(line | {"values": values, "within_limits": True, "best": front[0] if front else None})
    counts = {"complete": sum(one is not None for _, one in steps), "failed": sum(one is None for _, one in steps)}
    last = {"stopped": "budget", "counts": counts, "proposals": len(steps), "warnings": [], **ended}
    return [*found, {**head, "kind": "ended", **last}]


def write_comparison(folder: Path, searches: Mapping[tuple[str, int], Steps], **about: Any) -> Path:
    """A comparison's folder, simulated, with these searches."""
    names = list(dict.fromkeys(name for name, _ in searches))
    described = {
        "schema": 1,
        "simulated": True,
        "objectives": [{"name": "loss", "direction": "minimize"}],
        "variants": [{"name": name, "settings": {"strategy": name}} for name in names],
        "baseline": "random",
        "seeds": sorted({seed for _, seed in searches}),
        "budget": {"tokens": 1_000},
        "retrain": 0,
        "known": None,
        **about,
    }
    folder.mkdir()
    info = {"run_id": folder.name, "experiment": {"name": "mine", "search": {"space": "toy"}}, "comparison": described}
    (folder / "run.json").write_text(json.dumps(info))
    lines = [line for (name, seed), steps in searches.items() for line in lines_of(name, seed, steps)]
    (folder / "anytime.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def drawn(rng: np.random.Generator, shift: float = 0.0) -> Steps:
    """Ten trials, each a fresh draw."""
    return [(100 * number, (float(rng.uniform()) + shift,)) for number in range(1, 11)]


def three(seeds: int = 10) -> dict[tuple[str, int], Steps]:
    """Random search, the same under another name with other draws, and a strategy that is better by far."""
    ways = {"random": (0, 0.0), "same": (1_000, 0.0), "good": (2_000, -1.0)}
    return {
        (name, seed): drawn(np.random.default_rng(first + seed), shift)
        for seed in range(seeds)
        for name, (first, shift) in ways.items()
    }


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]) -> Path:
    folder = write_comparison(tmp_path_factory.mktemp("runs") / "three", three())
    with printing():
        write_strategies_report(folder, folder / "report", "")
    return folder / "report"


@pytest.fixture(scope="module")
def results(reported: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((reported / "strategies.json").read_text())
    return found


def results_of(folder: Path) -> dict[str, Any]:
    """What strategies.json holds, without drawing anything."""
    strategies = analyse_strategies(load_strategies(folder))
    verdict = make_strategies_verdict(strategies, None, None)
    found: dict[str, Any] = json.loads(json.dumps(strategies_results(strategies, None, None, verdict), allow_nan=False))
    return found


def said(folder: Path) -> list[str]:
    """The verdict, line by line."""
    verdict = results_of(folder)["verdict"]
    return [verdict["headline"], *(one["text"] for one in verdict["sentences"])]


def page_of(folder: Path) -> str:
    """The page, written beside the run."""
    write_strategies_report(folder, folder / "report", "")
    return (folder / "report" / "index.html").read_text()


def test_files(reported: Path) -> None:
    figures = {"anytime-tokens.png", "ends.png"}
    assert {path.name for path in reported.iterdir()} == {
        "index.html",
        "results.md",
        "strategies.json",
        "strategies.csv",
        *figures,
    }


def test_results_to_paste_have_the_verdict_and_the_tables(reported: Path, results: dict[str, Any]) -> None:
    text = (reported / "results.md").read_text(encoding="utf-8")
    assert f"**{escaped(results['verdict']['headline'])}**" in text
    page = (reported / "index.html").read_text(encoding="utf-8")
    titles = re.findall("^## (.*)$", text, re.MULTILINE)
    assert len(titles) > 4 and all(one.replace("\\", "") in page for one in titles)
    assert all(re.search(rf"^\| (\*\*)?{name}(\*\*)? \|", text, re.MULTILINE) for name in ("random", "same", "good"))


def test_statements_say_how_their_numbers_are_known(results: dict[str, Any], reported: Path) -> None:
    known = {one["topic"]: one["provenance"] for one in results["verdict"]["sentences"]}
    assert [one["provenance"] for one in results["verdict"]["head"]] == ["simulated"]
    assert {known[topic] for topic in ("Best", "Better", "Not separable", "How soon")} == {"simulated"}
    assert (known["What was compared"], known["How it was tested"]) == ("configured", None)
    page = (reported / "index.html").read_text(encoding="utf-8")
    assert 'by which nothing was trained">simulated</span>' in page


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["valid_bleu"], "scored"),
        (["macs", "params"], "counted"),
        (["valid_loss", "macs"], None),
        (["joules_per_1000_outputs"], None),
    ],
)
def test_values_are_known_as_their_objectives_are(reported: Path, names: list[str], known: str | None) -> None:
    run = load_strategies(reported.parent)
    objectives = tuple(Objective(name, False) for name in names)
    assert values_provenance(run) == "simulated"
    assert values_provenance(replace(run, simulated=False, objectives=objectives)) == known


def test_a_trained_comparison_says_who_drew_what(tmp_path: Path, printing: Callable[..., AbstractContextManager[None]]) -> None:
    """energy.json and emissions.csv are of the same energies as the verdict's."""
    folder = Path(__file__).parent.parent / "results" / "strategies_translation"
    with printing():
        verdict = write_strategies_report(folder, tmp_path / "report", "DEU")
    assert [one.provenance for one in verdict.head] == ["scored"]
    energy = json.loads((tmp_path / "report" / "energy.json").read_text(encoding="utf-8"))
    cost = next(one for one in verdict.sentences if one.topic == "What it cost")
    assert cost.provenance == "estimated" == energy["machines"][0]["source"]["provenance"]
    assert f"{energy['run']['loaded_j']['central'] / 3.6e6:.3g} kWh" in cost.text
    with (tmp_path / "report" / "emissions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(energy["trials"]) > 50


def test_every_key_for_machines_is_documented(results: dict[str, Any]) -> None:
    text = (Path(__file__).parent.parent / "docs" / "strategies.md").read_text(encoding="utf-8")
    nested = {key for one in results["strategies"] for key in (*one, *(one["test"] or ()))}
    missing = [key for key in ({*results} | nested) - {"schema"} if f"`{key}`" not in text]
    assert not missing and len(nested) > 10


def test_random_search_under_another_name_is_not_separable(results: dict[str, Any]) -> None:
    sentences = [one["text"] for one in results["verdict"]["sentences"]]
    standing = {one["name"]: one["standing"] for one in results["strategies"]}
    assert standing == {"random": "baseline", "same": "not separable", "good": "better"}
    assert results["verdict"]["headline"] == ("good beats random search for the same budget; same cannot be told apart from it.")
    found = [one for one in sentences if one.startswith("same cannot be told apart from random search with 10 seeds: it gained ")]
    test = next(one["test"] for one in results["strategies"] if one["name"] == "same")
    assert len(found) == 1 and re.search(r"; a difference of (0\.\d+) could have been found\.$", found[0])
    assert float(found[0].split("; a difference of ")[1].split()[0]) == pytest.approx(test["detectable"], rel=0.01)
    assert test["holm_p_value"] >= test["p_value"] > 0.05


def test_numbers_are_those_of_the_lines(results: dict[str, Any], reported: Path) -> None:
    finals = {key: min(values[0] for _, values in steps if values) for key, steps in three().items()}
    for one in results["strategies"]:
        own = [finals[one["name"], seed] for seed in range(10)]
        assert one["finals"] == own and one["mean"] == pytest.approx(np.mean(own))
        assert one["interval"]["low"] < one["mean"] < one["interval"]["high"]
        assert one["counts"] == {"complete": 100, "failed": 0} and one["spent"]["tokens"] == 1_000
    good = next(one for one in results["strategies"] if one["name"] == "good")
    gains = [finals["random", seed] - finals["good", seed] for seed in range(10)]
    assert good["test"]["gains"] == pytest.approx(gains) and good["test"]["gain"] == pytest.approx(np.mean(gains))
    assert good["test"]["p_value"] == pytest.approx(2 / 2**10) and good["mean_rank"] == 1.0
    assert good["part_of_baseline"]["tokens"]["ratio"] == pytest.approx(0.1)
    rows = list(csv.DictReader((reported / "strategies.csv").read_text().splitlines()))
    assert len(rows) == 30 and {(row["strategy"], int(row["seed"])): float(row["final"]) for row in rows} == finals


def test_areas_are_over_the_same_budget_for_all(tmp_path: Path) -> None:
    searches = {("random", 0): [(100, (4.0,)), (300, (2.0,)), (400, None)], ("other", 0): [(200, (3.0,)), (400, (1.0,))]}
    folder = write_comparison(tmp_path / "areas", searches)
    found = results_of(folder)["strategies"]
    # From 200, where both have something, to 400: 4 then 2, and 3 alone.
    assert {one["name"]: one["area"] for one in found} == {"random": pytest.approx(3.0), "other": pytest.approx(3.0)}


def test_several_may_end_best(tmp_path: Path) -> None:
    same: Steps = [(100, (3.0,)), (200, (1.0,))]
    searches = {(name, seed): same for seed in range(2) for name in ("random", "tpe", "nsga2")}
    folder = write_comparison(tmp_path / "even", searches, known={"front": [[1.0]], "reference": None})
    lines = said(folder)
    assert lines[0].startswith("No verdict: with 2 seeds no difference from random search")
    assert "random, tpe and nsga2 end at a mean loss of 1.000, the best there is. Lower is better." in lines
    assert any(
        line == "tpe cannot be told apart from random search with 2 seeds: both came to the same with every one."
        for line in lines
    )
    assert {one["mean_rank"] for one in results_of(folder)["strategies"]} == {2.0}


def test_too_few_seeds_are_said_to_be_too_few(tmp_path: Path) -> None:
    lines = said(write_comparison(tmp_path / "few", three(5)))
    assert lines[0] == (
        "No verdict: good ends best, but with 5 seeds no difference from random search, however large, could have been told from "
        "chance; it takes 7."
    )
    assert sum("so few can show no difference, however large." in line for line in lines) == 2
    alone = said(write_comparison(tmp_path / "one", three(1)))
    assert "with 1 seed no difference" in alone[0] and not any("interval" in line for line in alone)


def test_without_a_baseline_nothing_is_tested(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "none", three(), baseline="nobody")
    assert said(folder)[0] == "No verdict: good ends best, but there is no baseline to tell that from chance."
    page = page_of(folder)
    assert "there is no baseline among the strategies, so nothing is tested" in page and "not tested" in page


def test_what_does_worse_is_said_to(tmp_path: Path) -> None:
    searches = {key if key[0] != "good" else ("bad", key[1]): steps for key, steps in three().items()}
    searches |= {("bad", seed): drawn(np.random.default_rng(seed), 1.0) for seed in range(10)}
    lines = said(write_comparison(tmp_path / "worse", searches))
    assert lines[0] == ("No strategy beats random search for the same budget; same cannot be told apart from it; bad does worse.")
    even = {key: steps for key, steps in three().items() if key[0] != "good"}
    assert said(write_comparison(tmp_path / "even", even))[0].startswith("No strategy can be told apart from random search")


def test_only_whole_seeds_count_and_nothing_is_dropped_silently(tmp_path: Path) -> None:
    searches = {key: steps for key, steps in three().items() if key != ("same", 9)}
    folder = write_comparison(tmp_path / "stopped", searches)
    with (folder / "anytime.jsonl").open("a") as file:
        file.write('{"schema": 1, "kind": "finished", "variant": "same", "seed": 9, "spent": {}}\n{"torn')
    run = load_strategies(folder)
    assert (run.seeds, run.planned_seeds) == (tuple(range(9)), tuple(range(10)))
    lines = said(folder)
    assert any(line == "1 planned seed not done by every strategy and left out here: 9." for line in lines)
    assert run.warnings and all(one.startswith("left out: anytime.jsonl line") for one in run.warnings)


def test_a_search_that_found_nothing_is_ranked_last_and_not_tested(tmp_path: Path) -> None:
    searches = three() | {("good", 3): [(100, None), (200, None)]}
    folder = write_comparison(tmp_path / "hurt", searches)
    page = page_of(folder)
    found = json.loads((folder / "report" / "strategies.json").read_text())
    good = next(one for one in found["strategies"] if one["name"] == "good")
    assert (good["standing"], good["mean"], good["finals"][3]) == ("not tested", None, None)
    assert good["mean_rank"] == pytest.approx((9 * 1 + 3) / 10)
    assert "good: nothing within the limits was found with 1 seed" in page


def test_several_objectives_are_compared_by_hypervolume(
    tmp_path: Path, printing: Callable[..., AbstractContextManager[None]]
) -> None:
    objectives = [{"name": "loss", "direction": "minimize"}, {"name": "score", "direction": "maximize"}]
    # Loss and score; the exact front is (0, 0) and (1, 2), up to (2, -2): 2 * 2 and 1 * 2 more.
    known = {"front": [[0.0, 0.0], [1.0, 2.0]], "reference": [2.0, -2.0]}
    head = {"schema": 1, "kind": "finished", "trial": 0, "rung": 0, "values": None, "within_limits": True, "best": None}
    folder = write_comparison(tmp_path / "two", {("random", 0): [], ("nsga2", 0): []}, objectives=objectives, known=known)
    lines = []
    for name, fronts in (("random", [[[1.0, 0.0]], None]), ("nsga2", [[[1.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]]])):
        for number, front in enumerate(fronts, start=1):
            spent = dict(zip(UNITS, (number, 500 * number, 0, 0.0, 1.0), strict=True))
            lines.append({**head, "variant": name, "seed": 0, "spent": spent, **({"front": front} if front else {})})
        lines += lines_of(name, 0, [])
    (folder / "anytime.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with printing("fronts"):
        write_strategies_report(folder, folder / "report", "")
    found = json.loads((folder / "report" / "strategies.json").read_text())
    assert {one["name"]: one["finals"] for one in found["strategies"]} == {
        "random": [pytest.approx(2 / 6)],
        "nsga2": [pytest.approx(1.0)],
    }
    assert {one["name"]: one["regret"] for one in found["strategies"]}["random"] == pytest.approx(4 / 6)
    assert found["quality"]["maximised"] and "up to the reference point (loss 2, score -2)" in found["quality"]["how"]
    assert (folder / "report" / "fronts.png").stat().st_size > 1_000
    # Where nothing is known, all that was found stands for the front, and the point lies a tenth beyond the worst.
    info = json.loads((folder / "run.json").read_text())
    info["comparison"]["known"] = None
    (folder / "run.json").write_text(json.dumps(info))
    found = results_of(folder)
    assert found["reference"] == pytest.approx([1.1, -0.2]) and found["quality"]["optimum"] is None


def test_trainings_from_scratch_are_compared_beside(
    tmp_path: Path, printing: Callable[..., AbstractContextManager[None]]
) -> None:
    folder = write_comparison(tmp_path / "scratch", three(), retrain=2)
    lines = [json.loads(line) for line in (folder / "anytime.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "ended":
            offset = {"random": 3.0, "same": 3.0 + 0.1 * (-1) ** line["seed"], "good": 1.0}[line["variant"]]
            metrics = [{"loss": offset + one} for one in (0.5, line["seed"] / 10)]
            line["retrained"] = [{"trial": 0, "record": "finalist/x", "metrics": one} for one in metrics]
    (folder / "anytime.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (text,) = [line for line in said(folder) if line.startswith("The best of 2 candidates of each search")]
    found = results_of(folder)["retrained"]
    assert found["values"]["good"] == pytest.approx([1.0 + min(0.5, seed / 10) for seed in range(10)])
    assert "good is better than random search by +2.00" in text
    assert "same cannot be told apart from random search with 10 seeds" in text
    with printing("retrained"):
        assert "What a user would keep" in page_of(folder)
    assert (folder / "report" / "retrained.png").stat().st_size > 1_000


def test_the_page_stands_alone(reported: Path) -> None:
    text = (reported / "index.html").read_text()
    page = Page(text)
    assert page.loaded == [] and page.tags.count("script") == 1 and not {"link", "img"} & set(page.tags)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids)) and set(page.references) <= set(page.ids)
    assert page.tags.count("svg") == 2 * page.tags.count("figure") == 4
    assert "prefers-color-scheme: dark" in text and "{{" not in text and "{%" not in text
    assert "energy" not in " ".join(re.findall(r"<h3>(.*?)</h3>", text)).lower()


@pytest.mark.usefixtures("printed")
def test_names_are_escaped(tmp_path: Path) -> None:
    names = {"same": "<script>alert(1)</script>$x_1$", "good": "=cmd()"}
    searches = {(names.get(name, name), seed): steps for (name, seed), steps in three(2).items()}
    folder = write_comparison(tmp_path / "bad", searches)
    info = json.loads((folder / "run.json").read_text())
    info["experiment"]["name"] = "<b>=1+1</b>"
    info["comparison"]["variants"][0]["settings"] = {"strategy": "<i>"}
    (folder / "run.json").write_text(json.dumps(info))
    text = page_of(folder)
    assert text.count("<script") == 1 and "<b>=1" not in text and "<i>" not in text and "&lt;script&gt;" in text
    assert "'=cmd()" in (folder / "report" / "strategies.csv").read_text()  # no spreadsheet takes it for a formula


@pytest.mark.usefixtures("printed")
def test_the_same_run_gives_the_same_bytes(reported: Path, tmp_path: Path) -> None:
    write_strategies_report(reported.parent, tmp_path / "again", "")
    for path in reported.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_is_no_comparison_is_refused(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "runs", three(2))
    assert is_comparison(folder) and is_simulated(folder) and not is_comparison(tmp_path) and not is_simulated(tmp_path)
    with pytest.raises(UserError, match="expected a comparison of strategies in .*; give the folder of one"):
        load_strategies(tmp_path)
    (folder / "anytime.jsonl").unlink()
    with pytest.raises(UserError, match="expected a seed with which every strategy has ended .*; go on with --resume"):
        load_strategies(folder)
    (folder / "run.json").write_text(json.dumps({"comparison": {"schema": 99}}))
    with pytest.raises(UserError, match="expected a comparison of schema 1"):
        load_strategies(folder)
