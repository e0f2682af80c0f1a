"""Learning rates that are swept: who is trained with which, what is kept, what it cost, and what the report says of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.configuration import load_experiment, single_configuration
from nas.errors import UserError
from nas.experiment import run_experiment
from nas.experiment_parts import Experiment
from nas.ledger import read_events
from nas.progress import Terminal
from nas.recipe import Recipe
from nas.records import Record, read_records
from nas.study import most_tokens
from nas.study_records import missing_trainings
from nas.sweep import RATE, common_recipe, swept_rates, with_kept_rate, worked_in
from reports.analysis import analyse
from reports.comparison import compare_designs
from reports.load import load_runs
from reports.models import collect_compared, collect_models
from reports.page import write_report
from reports.settings import make_settings

RATES = (1e-4, 3e-3)
HAND = ("transformer-xs", "lite_transformer-xs")
TINY = (
    "execution.executor=local",
    "execution.power_source=load_table",
    "execution.inference_outputs=1",
    "task.name=number_words",
    "task.target_language=fr",
    "task.max_train_sentences=400",
    "task.max_test_sentences=12",
    "task.max_valid_sentences=12",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "recipe.swept_learning_rates=[1e-4, 3e-3]",
    "search.trials=3",
    "search.trial_tokens=300",
    "search.valid_sentences=8",
    "search.finalists=1",
    "final.tokens=600",
    "final.seeds=[1, 2]",
)
SETTINGS = make_settings("DEU", "FRA")


def carried_out(name: str, overrides: tuple[str, ...], folder: Path) -> tuple[Experiment, list[Record]]:
    experiment = load_experiment(name, overrides)
    run = run_experiment(experiment, folder, Terminal())
    return experiment, [one for one in read_records(run.records) if isinstance(one, Record)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Experiment, list[Record]]:
    folder = tmp_path_factory.mktemp("sweep") / "run"
    return folder, *carried_out("smoke", TINY, folder)


def of_role(records: list[Record], role: str) -> list[Record]:
    return [one for one in records if one.role == role]


def test_hand_designs_and_finalists_try_every_rate_and_finals_keep_the_best(
    searched: tuple[Path, Experiment, list[Record]],
) -> None:
    _, experiment, records = searched
    hand, finalists, finals = (of_role(records, role) for role in ("hand", "finalist", "final"))
    assert [one.record_id for one in hand] == [f"hand/{name}/rate{rate:g}/seed0" for rate in RATES for name in HAND]
    assert [one.recipe[RATE] for one in finalists] == list(RATES)
    assert {one.recipe[RATE] for one in of_role(records, "search")} == {experiment.recipe.peak_learning_rate}
    for design in {one.design for one in finals}:
        tried = [one for one in (*hand, *finalists) if one.design == design]
        best = max(tried, key=lambda one: one.metrics["valid_bleu"])
        kept = [(one.seed, one.recipe[RATE]) for one in finals if one.design == design]
        assert kept == [(1, best.recipe[RATE]), (2, best.recipe[RATE])]
    assert all(swept_rates(one) == RATES for one in (*hand, *finalists, *finals))
    assert most_tokens(experiment) == 3 * 300 + 600 * (2 * 2 + 2 + 2 + 2)


def test_the_rates_make_different_models(searched: tuple[Path, Experiment, list[Record]]) -> None:
    _, _, records = searched
    losses = {one.recipe[RATE]: one.metrics["valid_loss"] for one in of_role(records, "hand") if one.design == HAND[0]}
    assert losses[1e-4] != losses[3e-3]


def test_a_resumed_sweep_is_the_same_and_trains_nothing_again(
    searched: tuple[Path, Experiment, list[Record]],
) -> None:
    folder, experiment, records = searched
    before = [event for event in read_events(folder / "ledger.jsonl") if event["kind"] == "finished"]
    run_experiment(experiment, folder, Terminal(), resume=True)
    assert [event for event in read_events(folder / "ledger.jsonl") if event["kind"] == "finished"] == before
    assert list(read_records(folder / "records.jsonl")) == records


def test_the_report_takes_the_kept_rate_for_the_design_and_says_so(
    searched: tuple[Path, Experiment, list[Record]], tmp_path: Path
) -> None:
    folder, _, records = searched
    analysis = analyse(load_runs([folder]), SETTINGS)
    for model in collect_models(load_runs([folder])):
        tried = [one for one in records if one.design == model.design and one.seed == 0 and one.role in ("hand", "finalist")]
        assert model.valid_score == max(one.metrics["valid_bleu"] for one in tried)
        assert model.kept_rate in RATES and model.repeats == ()
    assert not [one for one in analysis.warnings if "differ: recipe" in one]
    write_report([folder], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "peak learning rate that was best for it on validation data with seed 0, of 0.0001, 0.003" in page
    assert "Peak learning rates: " in page
    results = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert "Learning rates" in [one["topic"] for one in results["verdict"]["sentences"]]


def test_hand_designs_alone_choose_with_seed_0_and_are_compared_on_fresh_seeds(tmp_path: Path) -> None:
    text = (
        'name = "tuned"\n[hand]\ndesigns = ["transformer-xs", "lite_transformer-xs"]\n'
        '[final]\ntokens = 600\n[carbon]\nsearched_in = "DEU"\nused_in = "DEU"\n'
    )
    (tmp_path / "tuned.toml").write_text(text, encoding="utf-8")
    overrides = tuple(one for one in TINY if not one.startswith("search."))
    experiment, records = carried_out(str(tmp_path / "tuned.toml"), overrides, tmp_path / "run")
    hand = of_role(records, "hand")
    assert [one.seed for one in hand] == [0, 0, 0, 0, 1, 1, 2, 2]
    models = collect_compared(load_runs([tmp_path / "run"]))
    assert [[one.seed for one in model.runs] for model in models] == [[1, 2], [1, 2]]
    compared = compare_designs(load_runs([tmp_path / "run"]), SETTINGS)
    assert compared.gaps == () and most_tokens(experiment) == 600 * 2 * 4


def test_hand_designs_can_be_controls_with_a_budget_of_their_own(tmp_path: Path) -> None:
    text = (
        'name = "longer"\n[hand]\nrole = "control"\ndesigns = ["transformer-xs"]\n[final]\ntokens = 900\n'
        '[carbon]\nsearched_in = "DEU"\nused_in = "DEU"\n'
    )
    (tmp_path / "longer.toml").write_text(text, encoding="utf-8")
    overrides = tuple(one for one in TINY if not one.startswith(("search.", "final.tokens", "recipe.swept")))
    _, records = carried_out(str(tmp_path / "longer.toml"), overrides, tmp_path / "run")
    found = [(one.record_id, one.role, one.budget_tokens) for one in records if one.role != "reference"]
    assert found == [(f"control/transformer-xs/seed{seed}", "control", 900) for seed in (1, 2)]
    with pytest.raises(UserError, match='hand.role: expected "control" without a .search. table'):
        load_experiment("smoke", ('hand.role="control"',))


def test_hand_designs_of_elsewhere_are_trained_with_some_seeds_to_tell_the_pace(tmp_path: Path) -> None:
    overrides = tuple(one for one in TINY if not one.startswith(("recipe.swept", "final.seeds")))
    more = ("hand.elsewhere=true", "hand.pace_seeds=[1,2]", "final.seeds=[1,2]", 'hand.designs=["lite_transformer-xs"]')
    experiment, records = carried_out("smoke", (*overrides, *more), tmp_path / "run")
    assert [one.record_id for one in of_role(records, "hand")] == [
        "hand/lite_transformer-xs/seed1",
        "hand/lite_transformer-xs/seed2",
    ]
    assert {one.family for one in of_role(records, "final")} == {"searched"} and missing_trainings(experiment, records) == ()
    ended = [one["job"] for one in read_events(tmp_path / "run" / "ledger.jsonl") if one["kind"] == "finished"]
    assert [(one.split("/")[0], one[-1]) for one in ended[-4:]] == [("hand", "1"), ("final", "1"), ("hand", "2"), ("final", "2")]
    assert missing_trainings(experiment, [one for one in records if one.role != "hand"]) == (
        "hand/lite_transformer-xs/seed1",
        "hand/lite_transformer-xs/seed2",
    )
    assert most_tokens(experiment) == 3 * 300 + 600 * (1 + 2 + 2)
    with pytest.raises(UserError, match="hand.pace_seeds: expected with hand.elsewhere"):
        load_experiment("smoke", ("hand.pace_seeds=[2]",))
    with pytest.raises(UserError, match=r"hand.pace_seeds: expected seeds of final.seeds, got 9"):
        load_experiment("smoke", ("hand.elsewhere=true", "hand.pace_seeds=[9]"))
    with pytest.raises(UserError, match="hand.pace_seeds: expected .* without recipe.swept_learning_rates"):
        load_experiment("smoke", ("hand.elsewhere=true", "hand.pace_seeds=[1]", "recipe.swept_learning_rates=[1e-3, 3e-3]"))


def test_of_a_sweep_the_best_on_validation_with_seed_0_stays(
    searched: tuple[Path, Experiment, list[Record]],
) -> None:
    _, _, records = searched
    mine = [one for one in of_role(records, "hand") if one.design == HAND[0]]
    low = replace(mine[0], metrics={**mine[0].metrics, "valid_bleu": 1.0})
    high = replace(mine[1], metrics={**mine[1].metrics, "valid_bleu": 2.0})
    fresh = [replace(one, seed=1, record_id="fresh", metrics={**one.metrics, "valid_bleu": 9.0}) for one in (low, high)]
    assert with_kept_rate([low, high, *fresh]) == (high, fresh[1])
    plain = [replace(one, recipe={RATE: one.recipe[RATE]}) for one in (low, high)]
    assert with_kept_rate(plain) == tuple(plain)
    assert common_recipe(low) == common_recipe(high) and common_recipe(plain[0]) != common_recipe(plain[1])


@pytest.mark.parametrize(
    ("said", "bf16", "worked"),
    [
        ({}, True, "bfloat16"),
        ({}, False, "float32"),
        ({}, None, "float32"),
        ({"precision": "float32"}, True, "float32"),
        ({"precision": "bfloat16"}, False, "bfloat16"),
    ],
)
def test_recipes_share_the_precision_in_which_products_were_worked(
    searched: tuple[Path, Experiment, list[Record]], said: dict[str, str], bf16: bool | None, worked: str
) -> None:
    record = replace(searched[2][0], recipe={RATE: 0.1, **said}, machine={} if bf16 is None else {"bf16": bf16})
    assert worked_in(record) == worked and common_recipe(record) == {RATE: 0.1, "precision": worked}


def test_a_precision_is_one_of_three_and_part_of_a_recipe_only_where_it_is_said() -> None:
    assert "precision" not in Recipe().describe()
    said = Recipe(precision="bfloat16")
    assert Recipe.from_plain(json.loads(json.dumps(said.describe()))) == said
    assert "precision" not in load_experiment("smoke").describe()["recipe"]
    with pytest.raises(ValueError, match="recipe.precision: expected auto, float32, bfloat16; got 'float64'"):
        Recipe(precision="float64")  # type: ignore[arg-type]


def test_recipes_without_a_sweep_are_what_they_were() -> None:
    assert "swept_learning_rates" not in Recipe().describe()
    swept = Recipe(swept_learning_rates=RATES)
    assert Recipe.from_plain(json.loads(json.dumps(swept.describe()))) == swept
    assert "swept_learning_rates" not in load_experiment("smoke").describe()["recipe"]
    assert (
        load_experiment("smoke", TINY).fingerprint()
        != load_experiment("smoke", tuple(one for one in TINY if "swept" not in one)).fingerprint()
    )


@pytest.mark.parametrize("rates", ["[1e-3]", "[1e-3, 1e-3]", "[0, 1e-3]", "[-1e-3, 1e-3]"])
def test_a_sweep_is_of_different_rates_above_0(rates: str) -> None:
    with pytest.raises(UserError, match="recipe.swept_learning_rates: expected none, or two or more different rates above 0"):
        load_experiment("smoke", (f"recipe.swept_learning_rates={rates}",))


def test_a_single_evaluation_has_nothing_to_choose_among() -> None:
    with pytest.raises(UserError, match="expected none in a single evaluation, got"):
        single_configuration("translation", ("recipe.swept_learning_rates=[1e-3, 3e-3]",))
