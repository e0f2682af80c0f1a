"""Experiments as TOML: what ships loads, wrong keys and values are named, and the fingerprint is of what decides."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from nas.cli_evaluate import TASK_HELP
from nas.cli_options import Stages
from nas.configuration import built_in_experiments, load_experiment, pretrained_configuration, single_configuration
from nas.errors import UserError
from nas.experiment import check_limits
from nas.experiment_parts import Experiment
from nas.ledger import Ledger
from nas.objectives import ALL_OBJECTIVES
from nas.proxies import ALL_PROXIES
from nas.run_folder import RunFolder, differences
from nas.search_parts import ObjectiveName, Proxy
from nas.stages.words import AFTER_TRAINING
from nas.tasks.task import ALL_TASKS

MINIMAL = """
name = "mine"
[task]
name = "number_words"
[hand]
designs = ["transformer-xs"]
[search]
mac_limit = 12_000_000
trial_tokens = 1000
trials = 4
[final]
tokens = 2000
[carbon]
searched_in = "DEU"
used_in = "123 g/kWh"
"""


COMPARISON = """
name = "mine"
[task]
name = "number_words"
[hand]
designs = ["transformer-xs", "lite_transformer-xs"]
[final]
tokens = 2000
[carbon]
searched_in = "DEU"
used_in = "DEU"
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("name", built_in_experiments())
def test_built_in_experiments_load_and_can_be_run(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name and experiment.description
    assert type(experiment).model_validate(experiment.describe()) == experiment
    check_limits(experiment)


def test_a_minimal_file_gets_the_defaults_of_its_task(written: Callable[[str], str]) -> None:
    experiment = load_experiment(written(MINIMAL))
    assert (experiment.task.corpus, experiment.task.vocabulary_size) == ("number_words", 320)
    assert experiment.final.seeds == (1, 2, 3)
    assert experiment.execution.executor == "ray"


def test_a_file_beside_a_built_in_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smoke").write_text("not TOML", encoding="utf-8")
    assert load_experiment("smoke").name == "smoke"


@pytest.mark.parametrize(
    ("override", "get", "expected"),
    [
        ("search.trials=50", lambda one: one.search.trials, 50),
        ("final.seeds=[4, 5]", lambda one: one.final.seeds, (4, 5)),
        ("task.corpus=/some/folder", lambda one: one.task.corpus, "/some/folder"),
        ('carbon.used_in="45 g/kWh"', lambda one: one.carbon.used_in, "45 g/kWh"),
        ("carbon.used_in=45 g/kWh", lambda one: one.carbon.used_in, "45 g/kWh"),
        ("recipe.dropout.residual=0.1", lambda one: one.recipe.dropout, {"residual": 0.1}),
        ("recipe.peak_learning_rate=1e-3", lambda one: one.recipe.peak_learning_rate, 1e-3),
        ("recipe.peak_learning_rate=1", lambda one: one.recipe.peak_learning_rate, 1.0),
        ("search.options.population=7", lambda one: one.search.options, {"population": 7}),
    ],
)
def test_overrides(override: str, get: Callable[[Experiment], Any], expected: Any) -> None:
    assert get(load_experiment("smoke", (override,))) == expected


def test_the_last_override_of_a_key_counts() -> None:
    assert load_experiment("smoke", ("search.trials=5", "search.trials=6")).search.trials == 6


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("nosuch=1", ("unknown key 'nosuch'", "name, description, task")),
        ("search.nosuch=1", ("unknown key 'search.nosuch'", "mac_limit")),
        ("task.nosuch=1", ("unknown key 'task.nosuch'", "vocabulary_size")),
        ("recipe.nosuch=1", ("unknown key 'recipe.nosuch'", "warmup_steps")),
        ("recipe.dropout.nosuch=0.1", ("recipe.dropout", "residual", "nosuch")),
        ("search.options.nosuch=1", ("smoke: search: strategy aging_evolution", "population", "'nosuch'")),
        ('hand.designs=["nosuch"]', ("smoke: hand.designs: ", "transformer-xs", "'nosuch'")),
        ("hand.designs=[]", ("hand.designs", "1 or more")),
        ('hand.designs=["transformer-xs", "transformer-xs"]', ("hand.designs", "'transformer-xs' 2 times")),
        ('search.first=["nosuch"]', ("smoke: search.first: ", "transformer-xs", "'nosuch'")),
        ("task.name=nosuch", ("number_words", "'nosuch'")),
        ("search.strategy=nosuch", ("nsga2", "'nosuch'")),
        ("search.space=nosuch", ("smoke: search.space: ", "lite", "'nosuch'")),
        ("search.objective=nosuch", ("search.objective", "valid_bleu", "'nosuch'")),
        ("search.trials=ten", ("search.trials", "integer", "'ten'")),
        ("search.trials=2.5", ("search.trials", "integer", "2.5")),
        ("search.trials=true", ("search.trials", "integer", "True")),
        ("search.trials=0", ("search.trials", "greater than 0", "0")),
        ('task.vocabulary_size="400"', ("task.vocabulary_size", "integer", "'400'")),
        ("task.vocabulary_size=100", ("task.vocabulary_size", "260", "100")),
        ("task.target_language=en", ("two languages", "'en'")),
        ("task.target_language=ja", ("task.target_language: ", "blanks between its words", "'ja'")),
        ("task.source_language=zh-Hans", ("task.source_language: ", "'zh-hans'")),
        ("recipe.peak_learning_rate=-1", ("recipe.peak_learning_rate", "-1")),
        ("recipe.peak_learning_rate=nan", ("recipe.peak_learning_rate", "finite", "nan")),
        ("search.wall_minutes=inf", ("search.wall_minutes", "finite", "inf")),
        ("recipe.label_smoothing=3", ("recipe.label_smoothing", "3")),
        ("recipe.max_output_tokens=0", ("recipe.max_output_tokens", "0")),
        ("final.seeds=[]", ("final.seeds", "1 or more")),
        ("final.seeds=[1, 1]", ("final.seeds", "1 2 times")),
        ("final.seeds=[0, 1]", ("final.seeds.0", "greater than 0", "0")),
        ("final.seeds=[-1]", ("final.seeds.0", "greater than 0", "-1")),
        ("search.seed=-1", ("search.seed", "-1")),
        ("search.seed=4294967296", ("search.seed", "less than 4294967296")),
        ("search.trials=1", ("search.trials", "2 trials", "1")),
        ("carbon.pue=0.5", ("carbon.pue", "greater than or equal to 1", "0.5")),
        ("carbon.pue_range=[1.1, 1.6]", ("carbon.pue_range", "holds carbon.pue 1.0", "1.1 to 1.6")),
        ("carbon.pue_range=[0.9, 1.6]", ("carbon.pue_range", "1 or more", "0.9 to 1.6")),
        ("carbon.embodied={machine_kg_co2e=[3, 2, 1], lifetime_years=4}", ("machine_kg_co2e", "in that order")),
        ("carbon.embodied={machine_kg_co2e=1000, lifetime_years=0}", ("carbon.embodied.lifetime_years", "greater than 0")),
        ("carbon.embodied={machine_kg_co2e=1000}", ("carbon.embodied.lifetime_years",)),
        ("carbon.searched_in=Atlantis", ("smoke: carbon.searched_in: ", "DEU", "'Atlantis'")),
        ("carbon.used_in=Atlantis", ("smoke: carbon.used_in: ", "DEU", "'Atlantis'")),
        ("execution.executor=cloud", ("execution.executor", "'ray' or 'local'", "'cloud'")),
        ("name=../up", ("name", "'../up'")),
        ("search=3", ("search", "expected a table", "3")),
        ("task=3", ("task", "expected a table", "3")),
        ("task.name.x=3", ("--set", "expected a table at 'name'")),
        ("search", ("--set", "key=value", "'search'")),
        ("=3", ("--set", "key=value", "'=3'")),
        ("task..name=3", ("--set", "key=value", "'task..name=3'")),
    ],
)
def test_what_is_wrong_is_named_in_one_line(override: str, fragments: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment("smoke", (override,))
    message = str(caught.value)
    assert "\n" not in message
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("old", "new", "fragments"),
    [
        ('name = "mine"', 'name = "mine', ("expected TOML",)),
        ("trials = 4", "", ("expected a budget", "emissions_g_co2e")),
        ("mac_limit = 12_000_000", "", ("expected the key 'search.mac_limit'",)),
        ("[carbon]", "[carbom]", ("unknown key 'carbom'", "expected the key 'carbon'")),
        ('searched_in = "DEU"', "searched_in = 2020-01-01\nx = 1", ("unknown key 'carbon.x'",)),
    ],
)
def test_wrong_files(written: Callable[[str], str], old: str, new: str, fragments: tuple[str, ...]) -> None:
    assert old in MINIMAL
    with pytest.raises(UserError) as caught:
        load_experiment(written(MINIMAL.replace(old, new)))
    message = str(caught.value)
    assert "\n" not in message and "mine.toml" in message
    assert any(fragment in message for fragment in fragments), message


def test_several_mistakes_are_counted(written: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match=r"\(and 1 more\)"):
        load_experiment(written(MINIMAL), ("search.trials=0", "final.tokens=0"))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a readable experiment file"):
        load_experiment(str(tmp_path / "nosuch.toml"))
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"\n')
    with pytest.raises(UserError, match="expected a readable experiment file"):
        load_experiment(str(tmp_path / "latin.toml"))


def test_what_the_carbon_table_may_hold() -> None:
    overrides = ("carbon.pue=1.2", "carbon.pue_range=[1.1, 1.6]", 'carbon.searched_in="100-150 g/kWh"')
    making = "carbon.embodied={machine_kg_co2e=[800, 1000, 1200], lifetime_years=4, machine_share=0.05}"
    carbon = load_experiment("smoke", (*overrides, making)).carbon
    assert carbon.pue_range == (1.1, 1.6)
    assert carbon.embodied is not None and carbon.embodied.machine_kg_co2e == (800.0, 1000.0, 1200.0)
    assert load_experiment("smoke").carbon.embodied is None


def test_the_fingerprint_ignores_where_it_runs_and_what_regions_are_looked_at() -> None:
    base = load_experiment("smoke")
    same = ("execution.executor=local", "execution.workers=7", "carbon.used_in=SWE", "carbon.pue=1.5", "description=other words")
    assert load_experiment("smoke", same).fingerprint() == base.fingerprint()
    for other in (
        "search.trials=5",
        "final.seeds=[1]",
        "recipe.beam=1",
        "task.split_seed=1",
        "name=other",
        'hand.designs=["transformer-xs"]',
    ):
        assert load_experiment("smoke", (other,)).fingerprint() != base.fingerprint(), other


def test_differences_are_named_with_both_values() -> None:
    base = load_experiment("smoke").describe()
    other = load_experiment("smoke", ("execution.workers=7", "search.trials=5", "final.tokens=1")).describe()
    assert differences(base, other) == {"search.trials": (4, 5), "final.tokens": (15_000, 1)}
    assert differences(base, base) == {}


def test_a_run_resumed_with_changes_is_refused_with_all_of_them_unless_allowed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", load_experiment("smoke"))
    more = load_experiment("smoke", ("search.trials=9", "final.seeds=[1,2,3]"))
    with pytest.raises(
        UserError, match=r"search.trials was 4 and is 9; final.seeds was \[1, 2\] and is \[1, 2, 3\].*--allow-change"
    ):
        RunFolder.resume(run.path, more)
    again = RunFolder.resume(run.path, more, allow_change=True)
    again.adopt(more)
    (change,) = json.loads((run.path / "run.json").read_text())["changes"]
    assert change["search.trials"] == {"before": 4, "after": 9} and "at" in change
    RunFolder.resume(run.path, more).adopt(more)
    assert len(RunFolder.resume(run.path, more).info["changes"]) == 1
    for other in ("search.seed=5", "recipe.beam=2", 'search.hurdles={kind="pdh"}'):
        with pytest.raises(UserError, match="cannot change within a run"):
            RunFolder.resume(run.path, load_experiment("smoke", ("search.trials=9", "final.seeds=[1,2,3]", other)), True)


def test_nothing_is_added_to_a_copy_made_for_reports(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", load_experiment("smoke"))
    run.check_ledger()
    run.records.write_text("{}\n")
    with pytest.raises(UserError, match="got a copy of one, without its ledger.jsonl: it can be reported, not resumed"):
        run.check_ledger()
    with Ledger.open(run.ledger):
        run.check_ledger()


def test_once_champions_are_trained_the_search_does_not_go_on(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", load_experiment("smoke"))
    with Ledger.open(run.ledger) as ledger:
        ledger.append("started", job="final/transformer-xs/seed1", attempt=1)
    with pytest.raises(UserError, match="search.trials cannot change any more"):
        RunFolder.resume(run.path, load_experiment("smoke", ("search.trials=9",)), allow_change=True)
    RunFolder.resume(run.path, load_experiment("smoke", ("final.seeds=[1,2,3]",)), allow_change=True)


def test_the_mac_limit_says_the_smallest_possible() -> None:
    with pytest.raises(UserError) as caught:
        check_limits(load_experiment("smoke", ("search.mac_limit=1000",)))
    least = next(word for word in str(caught.value).split() if word.replace(",", "").isdigit())
    number = int(least.replace(",", ""))
    with pytest.raises(UserError, match=f"at least {least} MACs"):
        check_limits(load_experiment("smoke", (f"search.mac_limit={number - 1}",)))
    with pytest.raises(UserError, match="expected a hand design within it"):
        check_limits(load_experiment("smoke", (f"search.mac_limit={number}",)))


def test_first_designs_are_checked_before_anything_is_trained() -> None:
    with pytest.raises(UserError, match="search.first: expected designs within 12,000,000 MACs, got transformer-m"):
        check_limits(load_experiment("smoke", ('search.first=["transformer-m"]',)))
    with pytest.raises(UserError, match="search.first: transformer-wmt-128 is not in the space"):
        check_limits(load_experiment("smoke", ('search.first=["transformer-wmt-128"]', "search.mac_limit=900000000")))


def test_without_a_search_hand_designs_are_compared(written: Callable[[str], str]) -> None:
    experiment = load_experiment(written(COMPARISON))
    check_limits(experiment)
    assert experiment.search is None and experiment.final.seeds == (1, 2, 3) and experiment.final.margin_bleu == 3.0
    assert "search" not in experiment.describe() and "mac_limit" not in experiment.describe()["hand"]
    assert type(experiment).model_validate(experiment.describe()) == experiment
    with pytest.raises(ValueError, match="expected mine to have a search"):
        _ = experiment.search_part
    other = load_experiment(written(COMPARISON), ("hand.mac_limit=10000000",))
    assert other.describe()["hand"]["mac_limit"] == 10_000_000 and other.fingerprint() != experiment.fingerprint()


@pytest.mark.parametrize("override", ["search.trials=50", "search.space=lite", "search=3"])
def test_keys_of_a_search_that_is_not_there(written: Callable[[str], str], override: str) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment(written(COMPARISON), ("final.tokens=9", override))
    message = str(caught.value)
    assert message.startswith(f"--set {override}: expected an experiment with a [search] table, got ") and "\n" not in message
    assert "mine.toml, which compares hand designs" in message


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("hand.mac_limit=0", ("hand.mac_limit", "greater than 0")),
        ("hand.mac_limit=1.5", ("hand.mac_limit", "integer")),
        ('hand.designs=["nosuch"]', ("transformer-xs", "'nosuch'")),
        ("hand.nosuch=1", ("unknown key 'hand.nosuch'", "designs, mac_limit")),
        ("final.seeds=[]", ("final.seeds", "1 or more")),
        ("carbon.used_in=Atlantis", ("DEU", "'Atlantis'")),
    ],
)
def test_what_is_wrong_in_a_comparison_is_named(written: Callable[[str], str], override: str, fragments: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment(written(COMPARISON), (override,))
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)


def test_a_misspelt_search_is_no_comparison(written: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="unknown key 'serach'"):
        load_experiment(written(MINIMAL.replace("[search]", "[serach]")))


def test_hand_designs_above_their_limit_are_named(written: Callable[[str], str]) -> None:
    file, two = written(COMPARISON), 'hand.designs=["transformer-xs", "transformer-m", "lite_transformer-m"]'
    with pytest.raises(UserError) as caught:
        check_limits(load_experiment(file, (two, "hand.mac_limit=6000000")))
    message = str(caught.value)
    assert message.startswith("hand.mac_limit: expected designs within 6,000,000 MACs, got transformer-m with ")
    assert "lite_transformer-m with " in message and "transformer-xs" not in message and "\n" not in message
    check_limits(load_experiment(file, (two, "hand.mac_limit=60000000")))
    with pytest.raises(UserError, match="hand.mac_limit: expected designs within 1,000 MACs, got transformer-xs"):
        check_limits(load_experiment("smoke", ("hand.mac_limit=1000",)))


def test_runs_with_a_search_keep_the_fingerprint_they_had() -> None:
    info = json.loads((Path(__file__).parent.parent / "results" / "translation_small" / "run.json").read_text(encoding="utf-8"))
    assert load_experiment("translation_small").fingerprint() == info["fingerprint"]


def test_a_single_evaluation_takes_task_and_recipe_only() -> None:
    task, recipe = single_configuration("number_words", ("task.max_test_sentences=5", "recipe.beam=1"))
    assert (task.max_test_sentences, recipe.beam) == (5, 1)
    with pytest.raises(UserError, match="unknown key 'search'; expected one of task, recipe"):
        single_configuration("number_words", ("search.trials=3",))
    with pytest.raises(UserError, match="recipe.beam"):
        single_configuration("number_words", ("recipe.beam=0",))


@pytest.mark.parametrize("configured", [partial(single_configuration, "number_words"), pretrained_configuration])
@pytest.mark.parametrize("table", ["task", "recipe"])
def test_a_single_evaluations_tables_are_tables(configured: Callable[..., object], table: str) -> None:
    with pytest.raises(UserError, match=f"--set {table}: expected a table, got 'x'; set a key of it, as in {table}.KEY=value"):
        configured((f"{table}=x",))


def listed(text: str) -> set[str]:
    """The names in "a, b or c"."""
    return set(re.split(", | or ", text))


def test_names_that_stand_twice_are_the_same_in_both_places() -> None:
    assert set(get_args(ObjectiveName)) == {one.name for one in ALL_OBJECTIVES}
    assert set(get_args(Proxy)) == {one.name for one in ALL_PROXIES}
    assert listed(TASK_HELP.removesuffix(".")) == {one.name for one in ALL_TASKS}
    stages = get_args(Stages)[1].help.partition(": ")[2].partition(".")[0]
    assert listed(stages) == {one.name for one in AFTER_TRAINING}
