"""What a comparison of strategies says in plain sentences, each made from its numbers and nothing else."""

from collections.abc import Sequence

from reports.assumptions import at_pue, region_words
from reports.basis import Basis
from reports.comparison_sentences import FEW, listed
from reports.conclusion import Conclusion, Sentence
from reports.energy import run_cost_uj
from reports.quality import metric_name
from reports.statistics import LEVEL
from reports.strategies import Strategies
from reports.strategies_energy import Energy
from reports.strategies_tests import Rival, Tests
from reports.strategies_words import (
    UNIT_WORDS,
    amount,
    baseline_words,
    gain_words,
    num_strategies,
    quality_words,
    speed_words,
    values_provenance,
)
from reports.words import energy_between, mass_between, plural, significant


def make_strategies_verdict(strategies: Strategies, basis: Basis | None, energy: Energy | None) -> Conclusion:
    """The verdict; `basis` and `energy` are None for a simulated comparison."""
    found = (
        _compared(strategies),
        _best(strategies),
        _standing(strategies, "better", "Better"),
        _standing(strategies, "worse", "Worse"),
        *_not_separable(strategies),
        _speed(strategies),
        _tested(strategies),
        _retrained(strategies),
        _unlike(strategies),
        _cost(basis, energy) if basis is not None and energy is not None else _simulated(),
        _missing(strategies),
    )
    compared = strategies.leaders and strategies.tests is not None and strategies.tests.rivals
    head = Sentence("Which is best", _headline(strategies), values_provenance(strategies.run) if compared else None)
    return Conclusion(head=(head,), sentences=tuple(one for one in found if one is not None))


def _headline(strategies: Strategies) -> str:
    tests, who, seeds = strategies.tests, baseline_words(strategies), plural(len(strategies.run.seeds), "seed")
    leaders = strategies.leaders
    if not leaders:
        return "No verdict: no strategy found anything within the limits with every seed."
    ahead = f"{leaders_words(strategies)} {'ends' if len(leaders) == 1 else 'end'} best"
    if strategies.run.baseline is None:
        return f"No verdict: {ahead}, but there is no baseline to tell that from chance."
    if tests is None or not tests.rivals:
        return f"No verdict: there is nothing to compare with {who}."
    if tests.powerless:
        leads = "" if strategies.run.baseline in [one.name for one in leaders] else f"{ahead}, but "
        return (
            f"No verdict: {leads}with {seeds} no difference from {who}, however large, could have been told from chance; it "
            f"takes {tests.seeds_needed}."
        )
    better, worse = tests.that_are("better"), tests.that_are("worse")
    level = tests.that_are("not separable")
    rest = f"; {_names(level)} cannot be told apart from it" if level else ""
    rest += f"; {_names(worse)} {'does' if len(worse) == 1 else 'do'} worse" if worse else ""
    if better:
        return f"{_names(better)} {'beats' if len(better) == 1 else 'beat'} {who} for the same budget{rest}."
    if worse:
        return f"No strategy beats {who} for the same budget{rest}."
    return f"No strategy can be told apart from {who} for the same budget."


def _names(rivals: Sequence[Rival]) -> str:
    return listed([one.name for one in rivals]) if len(rivals) <= FEW else f"{len(rivals)} strategies"


def _compared(strategies: Strategies) -> Sentence:
    run = strategies.run
    limits = listed([amount("elapsed_s" if unit == "wall_s" else unit, limit) for unit, limit in run.budget.items()])
    seeds = ", ".join(map(str, run.seeds))
    what = "on a benchmark, simulated" if run.simulated else f"on the space {run.experiment['search']['space']}"
    text = (
        f"{num_strategies(len(run.variants))} {what}, each with the same budget ({limits} "
        f"a search) and the same {plural(len(run.seeds), 'seed')} ({seeds}). Failed, stopped and lost trials are paid for."
    )
    if strategies.quality.how:
        text += f" They are compared by their {strategies.quality.name}: {strategies.quality.how}."
    return Sentence("What was compared", text, "configured")


def _best(strategies: Strategies) -> Sentence | None:
    leaders = strategies.leaders
    if not leaders:
        return None
    best, verb = leaders[0], "ends" if len(leaders) == 1 else "end"
    text = f"{leaders_words(strategies)} {verb} at a mean {strategies.quality.name} of {quality_words(best.mean)}"
    if best.interval is not None and len(leaders) == 1:
        text += f" (95 % interval over seeds {quality_words(best.interval.low)} to {quality_words(best.interval.high)})"
    if best.regret is not None:
        text += f", {significant(best.regret)} from the best there is" if best.regret else ", the best there is"
    beside = next((one for one in strategies.ranked if one.name == strategies.run.baseline), None)
    if beside is not None and beside.mean is not None and beside not in leaders:
        text += f"; {baseline_words(strategies)} at {quality_words(beside.mean)}"
    better = "Higher" if strategies.quality.maximised else "Lower"
    return Sentence("Best", f"{text}. {better} is better.", values_provenance(strategies.run))


def leaders_words(strategies: Strategies) -> str:
    """The names of those that end best."""
    names = [one.name for one in strategies.leaders]
    return listed(names) if len(names) <= FEW else f"{len(names)} strategies"


def _standing(strategies: Strategies, standing: str, topic: str) -> Sentence | None:
    if strategies.tests is None:
        return None
    found = [one for one in strategies.tests.rivals if one.standing == standing]
    if not found:
        return None
    parts = "; ".join(f"{one.name} by {gain_words(one)}" for one in found)
    return Sentence(
        topic, f"{topic} than {baseline_words(strategies)} at the end of the budget: {parts}.", values_provenance(strategies.run)
    )


def _not_separable(strategies: Strategies) -> list[Sentence]:
    """A sentence for each, with the difference that could have been found."""
    if strategies.tests is None:
        return []
    return [
        Sentence(
            "Not separable",
            f"{one.name} {_apart(strategies.tests, one, baseline_words(strategies))}",
            values_provenance(strategies.run),
        )
        for one in strategies.tests.that_are("not separable")
    ]


def _apart(tests: Tests, rival: Rival, who: str) -> str:
    seeds = plural(tests.num_seeds, "seed")
    text = f"cannot be told apart from {who} with {seeds}"
    if not any(rival.differences):
        return f"{text}: both came to the same with every one."
    if tests.num_seeds > 1:
        text += f": it gained {gain_words(rival)}"
    if tests.powerless:
        return f"{text}; so few can show no difference, however large."
    return f"{text}; a difference of {significant(tests.detectable(rival))} could have been found."


def _tested(strategies: Strategies) -> Sentence | None:
    tests = strategies.tests
    if tests is None or not tests.rivals:
        return None
    corrected = f", adjusted by Holm's method for {len(tests.rivals)} comparisons" if len(tests.rivals) > 1 else ""
    text = (
        f"p-values are two-sided, of an exact sign-flip test of the differences seed by seed{corrected}; below {LEVEL} counts. A "
        f"test of {num_strategies(len(tests.rivals))} needs {tests.seeds_needed} seeds to find anything at all."
    )
    return Sentence("How it was tested", text)


def _speed(strategies: Strategies) -> Sentence | None:
    if strategies.run.baseline is None:
        return None
    parts = []
    for unit in strategies.units:
        found = []
        for result in strategies.ranked:
            speed = strategies.speed(result.name, unit) if result.name != strategies.run.baseline else None
            if speed is not None:
                found.append(f"{result.name} {speed_words(speed, len(strategies.run.seeds))}")
        if found:
            parts.append(f"of its {UNIT_WORDS[unit]}: {', '.join(found)}")
    if not parts:
        return None
    who = baseline_words(strategies)
    between = " (95 % interval over seeds)" if len(strategies.run.seeds) > 1 else ""
    return Sentence(
        "How soon",
        f"To be as good on average as {who} at its end, a strategy needs this part of what {who} spent"
        f"{between}: {'; '.join(parts)}.",
        "simulated" if strategies.run.simulated else None,  # shares of what was counted, scored and metered
    )


def _retrained(strategies: Strategies) -> Sentence | None:
    found = strategies.retrained
    if found is None:
        return None
    name = metric_name(found.metric.name)
    if not found.means:
        return Sentence("Trained from scratch", "No strategy has a candidate that was trained from scratch with every seed.")
    order = sorted(found.means, key=lambda one: found.metric.loss(found.means[one]))
    parts = ", ".join(f"{one} {quality_words(found.means[one])}" for one in order)
    several = f"of {strategies.run.retrain} candidates" if strategies.run.retrain > 1 else "candidate"
    text = (
        f"The best {several} of each search, trained from scratch at the full budget, "
        f"which is what a user would keep, reaches a mean {name} of: {parts}."
    )
    for rival in found.tests.rivals if found.tests else ():
        words = "better than" if rival.standing == "better" else "worse than" if rival.standing == "worse" else None
        if words and found.tests:
            text += f" {rival.name} is {words} {baseline_words(strategies)} by {gain_words(rival)}."
        elif found.tests:
            text += f" {rival.name} {_apart(found.tests, rival, baseline_words(strategies))}"
    return Sentence("Trained from scratch", text, "scored")


def _unlike(strategies: Strategies) -> Sentence | None:
    """Variants whose objective is not that of a training from scratch."""
    ways: dict[str, list[str]] = {}
    for variant in strategies.run.variants:
        ways.setdefault(str(variant.settings.get("weights", "scratch")), []).append(variant.name)
    ways.pop("scratch", None)
    if not ways:
        return None
    named = "; ".join(f"{listed(names)} (weights: {way})" for way, names in ways.items())
    closing = "" if strategies.run.retrain else " Only training from scratch (compare.retrain) makes them comparable."
    return Sentence(
        "Not the same number",
        f"{named}: trials do not start from scratch, so their values during the search are of models with more or other training "
        f"than the others'.{closing}",
    )


def _cost(basis: Basis, energy: Energy) -> Sentence:
    total = basis.worlds.range(run_cost_uj)
    grams = basis.settings.searched_range_g(total)
    text = (
        f"All of it drew {basis.energy_words(total)} and so emitted {basis.mass_words(grams)} in "
        f"{region_words(basis.settings.searched_in)}{at_pue(basis.settings.pue)}, failed trials, idle power and supervision "
        "included."
    )
    if energy.retraining is not None:
        apart = energy.retraining.total_uj
        emitted = mass_between(basis.settings.searched_range_g(apart))
        text += f" Of it, training from scratch after the searches took {energy_between(apart)}, {emitted} CO2e."
    return Sentence("What it cost", text, basis.source.provenance)


def _simulated() -> Sentence:
    return Sentence("What it cost", "Nothing was trained: the benchmark is simulated, and no energy was metered.")


def _missing(strategies: Strategies) -> Sentence | None:
    left = [seed for seed in strategies.run.planned_seeds if seed not in strategies.run.seeds]
    if not left:
        return None
    names = ", ".join(map(str, left))
    return Sentence("Not done yet", f"{plural(len(left), 'planned seed')} not done by every strategy and left out here: {names}.")
