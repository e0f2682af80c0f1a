"""One experiment from corpus to records: hand designs, and where there is a search: search, finalists, champions.

Reporting is another matter.
"""

import time
from pathlib import Path

from manual_designs.all_designs import find_design
from nas.compression import carry_out_ladders, check_ladders
from nas.corpora.fetch import cache_folder
from nas.energy.sources import check_source
from nas.errors import Fruitless, UserError
from nas.evaluation import check_fit, check_shape, counts_of
from nas.experiment_parts import Experiment
from nas.judging import judge_of
from nas.ledger import Ledger
from nas.metric import metric_of
from nas.progress import Terminal
from nas.records import Record
from nas.run_folder import RunFolder, check_new
from nas.search.history import check_strategy
from nas.search_phase import SearchPhase
from nas.search_plan import plan_of
from nas.workplace import check_address, open_workplace
from nas.workshop import Workshop
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.spaces.all_spaces import find_space


def run_experiment(
    experiment: Experiment,
    folder: Path,
    terminal: Terminal,
    address: str | None = None,
    resume: bool = False,
    allow_change: bool = False,
) -> RunFolder:
    """Runs an experiment in `folder` to its last record, or finishes what a stopped run left.

    Nothing is written before everything that a user may have to mend was checked.

    Raises:
        UserError: the folder, the corpus, the cluster or the limits are not as they have to be.
    """
    started = time.monotonic()
    check_limits(experiment)
    check_source(experiment.execution.power_source)
    run = RunFolder.resume(folder, experiment, allow_change) if resume else None
    if run is None:
        check_new(folder)
    else:
        run.check_ledger()
    if address is not None:
        check_address(address)
    terminal.line(f"{experiment.name}: {experiment.description}".rstrip(": "))
    task = experiment.task.prepare(cache_folder())
    for name in experiment.hand.designs:
        check_fit(find_design(name), task)
    if run is not None:
        run.check_corpus(task.describe())
    with open_workplace(experiment.execution, address) as place:
        run = run or RunFolder.create(folder, experiment)
        run.adopt(experiment)
        with Ledger.open(run.ledger) as ledger, place.metering(run.energy):
            shop = Workshop(experiment, run, task, ledger, place, terminal)
            introduce(shop)
            run.add_phase("corpus and start", time.monotonic() - started)
            carry_out(shop)
    return run


def check_limits(experiment: Experiment) -> None:
    """Raises UserError unless hand designs keep to their limit and a search's leaves something to search and to compare."""
    sizes = _nominal_sizes(experiment)
    for name in experiment.hand.designs:
        check_shape(find_design(name), experiment.task.kind, experiment.task.name)
    tokens = experiment.task.counted_tokens
    hand = {name: counts_of(find_design(name).architecture, sizes, tokens).macs_paper for name in experiment.hand.designs}
    allowed = experiment.hand.mac_limit
    if allowed is not None and (above := [f"{name} with {macs:,}" for name, macs in hand.items() if macs > allowed]):
        raise UserError(
            f"hand.mac_limit: expected designs within {allowed:,} MACs, got {', '.join(above)}; leave them out or raise the limit"
        )
    if experiment.search is not None:
        _check_search_limit(experiment, sizes, hand)
    check_ladders(experiment)


def _check_search_limit(experiment: Experiment, sizes: Sizes, hand: dict[str, int]) -> None:
    part = experiment.search_part
    space, kind = find_space(part.space), experiment.task.kind
    smallest = space.smallest()
    if smallest.shape != judge_of(kind).shape:
        raise UserError(
            f"search.space: expected one of models that are {judge_of(kind).shape} for task {experiment.task.name}, got "
            f"{part.space!r}, whose are {smallest.shape}; choose another"
        )
    limit, least = part.mac_limit, counts_of(smallest, sizes, experiment.task.counted_tokens).macs_paper
    for key, given in (("search.mac_limit", limit), ("search.limits.macs", part.limits.get("macs", limit))):
        if least > given:
            raise UserError(
                f"{key}: expected at least {least:,} MACs, the smallest architecture of space {part.space!r}, "
                f"got {given:,}; raise the limit"
            )
    if min(hand.values()) > limit:
        raise UserError(
            f"search.mac_limit: expected a hand design within it, got {limit:,} MACs where the smallest, "
            f"{min(hand, key=lambda name: hand[name])}, has {min(hand.values()):,}; raise the limit or add a smaller design"
        )
    check_strategy(plan_of(experiment, sizes, 0.0))


def _nominal_sizes(experiment: Experiment) -> Sizes:
    """Sizes before the corpus was read: the counted MACs leave the vocabulary out."""
    vocabulary = experiment.task.vocabulary_size
    return Sizes(source_vocabulary=vocabulary, target_vocabulary=vocabulary)


def carry_out(shop: Workshop) -> None:
    """Every phase of a run; the records are complete when it returns."""
    shop.book.restore()
    shop.book.add_references()
    if shop.experiment.search is None:
        _compare_by_hand(shop)
    else:
        _compare_with_search(shop)
    carry_out_ladders(shop)
    shop.book.finish()


def introduce(shop: Workshop) -> None:
    """Says what was found: corpus, folder, meter."""
    corpus = shop.task.describe()
    rows = ", ".join(f"{count:,} {name}" for name, count in corpus["sentences"].items())
    what = metric_of(shop.experiment.task.kind).rows
    shop.terminal.line(f"corpus {corpus['name']}: {rows} {what}; {corpus['vocabulary_size']:,} BPE tokens")
    shop.terminal.line(f"energy is {shop.source.provenance}: {shop.source.note or shop.source.name}")
    shop.terminal.line(f"run folder: {shop.run.path}")


def _hand_designs(shop: Workshop) -> list[Design]:
    return [find_design(name) for name in shop.experiment.hand.designs]


def _compare_by_hand(shop: Workshop) -> None:
    designs, experiment = _hand_designs(shop), shop.experiment
    with shop.phase("hand", "hand designs"), shop.executor(shop.task) as executor:
        if experiment.recipe.swept_learning_rates:
            chosen = shop.choose(executor, "hand", designs)
            through = {one.design for one in chosen}
            designs = [one for one in designs if one.name in through]
            shop.evaluate(executor, "hand", designs, experiment.final.seeds, chosen)
        else:
            first = (0,) if experiment.hand.with_seed_0 else ()
            shop.evaluate(executor, experiment.hand.role, designs, (*first, *experiment.final.seeds))


def _compare_with_search(shop: Workshop) -> None:
    champions = []
    if not shop.experiment.hand.elsewhere:
        with shop.phase("hand", "hand designs"), shop.executor(shop.task) as executor:
            chosen = shop.choose(executor, "hand", _hand_designs(shop))
        champions.append(_champion(shop, chosen, "hand design"))
    champions.append(_champion(shop, SearchPhase(shop).run(), "searched design"))
    designs = [Design.from_plain(shop.book.design(one.record_id)) for one in champions]
    with shop.phase("finals", "finals"), shop.executor(shop.task) as executor:
        finals = shop.trainings("final", designs, shop.experiment.final.seeds, champions)
        pace = shop.trainings("hand", _hand_designs(shop), shop.experiment.hand.pace_seeds)
        # Beside the champion's training with the same seed, so that both meet the machine in the same minutes.
        shop.train(executor, sorted([*pace, *finals], key=lambda one: one.seed) if pace else finals)


def _champion(shop: Workshop, records: list[Record], what: str) -> Record:
    """The best on validation with seed 0 among those within the MAC limit."""
    limit = shop.experiment.search_part.mac_limit
    within = [one for one in records if one.counts is not None and one.counts.macs_paper <= limit]
    if not within:
        raise Fruitless(f"expected a {what} that was trained within {limit:,} MACs, got none; see the records for why")
    metric = metric_of(shop.experiment.task.kind)
    best = max(within, key=lambda one: one.metrics[metric.valid])
    shop.terminal.line(f"champion, {what}: {best.design}, valid {metric.text(best.metrics[metric.valid])} with seed 0")
    return best
