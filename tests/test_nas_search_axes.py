"""Real searches in miniature on number words: hurdles, inherited weights, supernets, several objectives, dropped sublayers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from manual_designs.all_designs import find_design
from nas import worker
from nas.checkpoints import weights_of
from nas.configuration import load_experiment
from nas.energy.client import NoMeter
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, sizes_of
from nas.execution.executor import Job
from nas.execution.local import LocalExecutor
from nas.experiment import check_limits
from nas.experiment_parts import Experiment
from nas.latency import LatencyProtocol
from nas.ledger import Ledger, read_events
from nas.legs import Leg
from nas.phases import Repetition
from nas.records import Record, merged
from nas.rung_store import RungStore
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.hurdles import NoHurdles
from nas.search.plan import Measured, SearchOutcome, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.search_plan import plan_of
from nas.tasks.encoding import EncodedTask
from nas.worker import FACTORY, context, payload
from search_spaces.design import Design
from search_spaces.spaces.dropping import DroppingSpace

SMALL = (
    "task.max_train_sentences=300",
    "task.max_valid_sentences=12",
    "task.max_test_sentences=4",
    "task.vocabulary_size=260",
    "search.trial_tokens=400",
    "search.valid_sentences=8",
    "search.trials=6",
    "recipe.batch_tokens=128",
    "recipe.decoding_batch_tokens=256",
    "recipe.max_output_tokens=12",
)


def experiment(*overrides: str) -> Experiment:
    """The smoke experiment, smaller still."""
    return load_experiment("smoke", (*SMALL, *overrides))


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> EncodedTask:
    """Number words without their test data, as searches get them."""
    return experiment().task.prepare(tmp_path_factory.mktemp("cache")).without_test()


@pytest.fixture
def searched(task: EncodedTask, tmp_path: Path) -> Callable[..., SearchOutcome]:
    """Carries out the search of an experiment with these overrides."""

    def run(*overrides: str, supernet: Any = None) -> SearchOutcome:
        chosen = experiment(*overrides)
        plan = plan_of(chosen, sizes_of(task), 400.0)
        given = context("run", task, chosen.recipe, None, Repetition(), supernet)
        with Ledger.open(tmp_path / "ledger.jsonl") as ledger, LocalExecutor(FACTORY, given) as executor:
            return search(plan, executor, ledger, store=RungStore(tmp_path / "rungs", 10**8))

    return run


def legs_of(trial: Trial) -> list[Record]:
    """The records of a trial's legs."""
    return [Record.from_plain(result["record"]) for result in trial.results]


def test_legs_of_real_trainings_are_one_training(searched: Callable[..., SearchOutcome], task: EncodedTask) -> None:
    outcome = searched('search.hurdles={kind="asha",rungs=2,eta=2}')
    through = next(trial for trial in outcome.trials if trial.rung == 2)
    first, second = legs_of(through)
    assert 200 <= first.metrics["train_tokens"] < 400 <= second.metrics["train_tokens"]
    assert "valid_bleu" not in first.metrics, "nothing is decoded before the end of training"
    whole = merged([first, second])
    chosen = experiment()
    evaluator = Evaluator(run_id="run", task=task, recipe=chosen.recipe, meter=NoMeter())
    design = Design(name=whole.design, family="searched", architecture=find_architecture(whole))
    sampled = Evaluator(
        run_id="run", task=with_valid(task, chosen.search_part.valid_sentences), recipe=chosen.recipe, meter=evaluator.meter
    )
    again = sampled.evaluate(design, 400, chosen.search_part.seed, Assignment(record_id="search/x", role="search"))
    assert again.metrics["valid_loss"] == whole.metrics["valid_loss"]
    assert whole.phase("train").tokens == again.phase("train").tokens
    assert {trial.status for trial in outcome.trials} <= {"complete", "paused", "infeasible", "duplicate"}


def find_architecture(record: Record) -> Any:
    """The architecture that a record is of."""
    return Design.from_plain(
        {"kind": "Design", "name": "x", "family": "y", "paper": "", "architecture": record.architecture}
    ).architecture


def with_valid(task: EncodedTask, sentences: int) -> EncodedTask:
    """The task with so many validation sentences."""
    return replace(task, valid=task.valid.sample(sentences))


def test_a_proxy_decides_what_is_trained_and_all_proxies_are_on_record(searched: Callable[..., SearchOutcome]) -> None:
    outcome = searched('search.hurdles={proxy="params",keep=1,among=3}', "search.trials=2")
    looked = [trial for trial in outcome.trials if trial.results]
    trained = [trial for trial in looked if trial.rung == 2]
    assert len(trained) == outcome.spent.trials == 2
    for trial in looked:
        proxies = legs_of(trial)[0].metrics
        assert set(proxies) >= {"proxy_params", "proxy_macs", "proxy_gradient_norm", "proxy_synflow"}
        assert proxies["proxy_params"] == trial.figures["params_paper"]
    best = max(looked[:3], key=lambda trial: trial.figures["params_paper"])
    assert trained[0] is best


def test_children_start_from_their_parents_and_train_for_less(searched: Callable[..., SearchOutcome], tmp_path: Path) -> None:
    outcome = searched(
        "search.weights=parent", "search.child_tokens=150", "search.options={population=2,sample=1}", "search.trials=5"
    )
    children = [trial for trial in outcome.trials if trial.inherited]
    assert children and all(trial.parent is not None for trial in children)
    started = {
        event["trial"]: event.get("from") for event in read_events(tmp_path / "ledger.jsonl") if event["kind"] == "started"
    }
    for trial in outcome.trials:
        if trial.results:
            (record,) = legs_of(trial)
            assert record.metrics.get("inherited_share", 0.0) == pytest.approx(0.5, abs=0.5)
            assert (record.metrics.get("inherited_share") is not None) == trial.inherited
            assert (150 if trial.inherited else 400) <= record.phase("train").tokens < (400 if trial.inherited else 600)
            assert started[trial.number] == (trial.parent if trial.inherited else None)


def test_objectives_and_limits_are_measured_where_they_have_to_be(
    searched: Callable[..., SearchOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "Evaluator", partial(Evaluator, protocol=LatencyProtocol(dry_runs=0, timed_runs=1)))
    outcome = searched(
        'search.objective=["valid_perplexity","latency_ms"]',
        "search.limits={latency_ms=0.001,params=100000000}",
        "search.strategy=nsga2",
        "search.trials=2",
    )
    trained = [trial for trial in outcome.trials if trial.results]
    for trial in trained:
        perplexity, latency = trial.values
        assert perplexity > 1 and latency > 0.001
        assert not trial.feasible and trial.violations["latency_ms"] > 0
        assert "latency" in {phase.name for phase in legs_of(trial)[0].phases}
    assert len(trained) == 2


def test_a_search_over_dropped_sublayers_goes_through_the_same_engine(task: EncodedTask, tmp_path: Path) -> None:
    """An after-training search: members use the trained weights as they are; dropping nothing is the trained model."""
    chosen = experiment()
    whole = find_design("transformer-xs")
    evaluator = Evaluator(run_id="run", task=task, recipe=chosen.recipe, meter=NoMeter())
    trained = evaluator.evaluate_leg(whole, Leg(budget_tokens=600, seed=0), Assignment(record_id="hand/x", role="hand"))
    space = DroppingSpace(architecture=whole.architecture)

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        design = Design(name=f"dropped-{trial.number}", family="searched", architecture=space.decode(trial.candidate))
        assignment = Assignment(record_id=trial.job_id, role="search", genome=trial.candidate, trial=trial.number)
        return Job(trial.job_id, 1, payload(design, 0, 0, assignment, inherit="supernet", outputs=False))

    plan = SearchPlan(
        space=space,
        strategy="mo_aging_evolution",
        options=resolve_options("mo_aging_evolution", {"population": 4, "sample": 2}, 8),
        seed=0,
        directions=("minimize", "minimize"),
        budget=Budget(trials=8),
        hurdles=lambda: NoHurdles(1),
        planned=lambda rung, inherits: Cost(),
        measure=lambda genome: Measured({"dropped": float(genome.count("drop"))}),
        make_job=make_job,
        value_of=lambda result: (result["record"]["metrics"]["valid_loss"], result["record"]["counts"]["macs_paper"]),
        cost_of=lambda result: Cost(),
        seeds=(tuple("keep" for _ in space.genes()),),
    )
    given = context("run", task, chosen.recipe, None, Repetition(), weights_of(trained.model))
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger, LocalExecutor(FACTORY, given) as executor:
        outcome = search(plan, executor, ledger)
    assert outcome.trials[0].values[0] == trained.record.metrics["valid_loss"]
    macs = {trial.values[1] for trial in outcome.trials if trial.values}
    assert len(macs) > 1 and max(macs) == outcome.trials[0].values[1]


@pytest.mark.parametrize(
    "override,text",
    [
        ('search.hurdles={kind="asha",keep=9,among=3}', "keep: expected at most among = 3, got 9"),
        ('search.hurdles={kind="successive_halving",cohort=2}', "cohort: expected eta = 3 or more, got 2"),
        ('search.hurdles={kind="bandit"}', "search.hurdles.kind"),
        ("search.weights=supernet", "search.supernet: expected with search.weights"),
        ("search.child_tokens=10", "search.child_tokens: expected at most"),
        ('search.objective=["macs","macs"]', "expected each once"),
        ('search.objective="speed"', "search.objective"),
        ("search.limits={valid_bleu=0}", "search.limits.valid_bleu: expected more than 0"),
        ("search.stop={gain=1}", "search.stop.emissions_g_co2e"),
    ],
)
def test_mistakes_in_the_tables_are_told_in_one_line(override: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment(override)
    assert text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides,text",
    [
        (('search.objective=["valid_loss","macs"]',), "strategy aging_evolution: expected one objective, got 2"),
        (
            ('search.objective=["valid_loss","macs"]', "search.strategy=optuna.samplers.GridSampler"),
            "strategy optuna.samplers.Grid",
        ),
        (("search.strategy=optuna.samplers.CmaEsSampler",), "CmaEsSampler"),
        (("search.strategy=annealing",), "expected one of random"),
    ],
)
def test_a_strategy_that_does_not_fit_is_refused_before_anything_is_trained(overrides: tuple[str, ...], text: str) -> None:
    with pytest.raises(UserError) as caught:
        check_limits(experiment(*overrides))
    assert text in str(caught.value) and "\n" not in str(caught.value)
