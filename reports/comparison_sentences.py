"""What a comparison of hand designs says in plain sentences, each made from its numbers and nothing else."""

from collections.abc import Sequence

from nas.units import MICROJOULES_PER_JOULE, kwh
from reports.assumptions import at_pue, region_words
from reports.comparison import Compared, Rival
from reports.conclusion import Sentence, Verdict
from reports.design_costs import mean_training_uj
from reports.models import Model
from reports.processors import kind_words
from reports.sentences import sweep_sentence
from reports.statistics import Interval
from reports.words import (
    energy,
    mass,
    mass_between,
    mass_range,
    number,
    optional,
    p_words,
    plural,
    rows_words,
    shortest,
    signed,
    significant,
)

FEW = 4
"""Names that a headline has room for."""


def make_comparison_verdict(compared: Compared) -> Verdict:
    """The verdict of a comparison."""
    found = (
        _compared(compared),
        _best(compared),
        _not_separable(compared),
        _worse(compared),
        _detectable(compared),
        _references(compared),
        _costs(compared),
        _missing(compared),
    )
    return Verdict(
        outcome=compared.outcome,
        head=(Sentence("Which is best", _headline(compared), "scored" if compared.rivals else None),),
        sentences=tuple(one for one in found if one is not None),
    )


def listed(names: Sequence[str]) -> str:
    """Names as a list in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def seeds_words(models: Sequence[Model]) -> str:
    """How many seeds the designs have, a range where they differ."""
    counts = sorted({len(model.runs) for model in models})
    return plural(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def output_energy(model: Model) -> float | None:
    """Loaded joules of 1,000 outputs; None when unknown."""
    energy_uj = model.mean_output_uj("loaded")
    return None if energy_uj is None else energy_uj * 1000 / MICROJOULES_PER_JOULE


def _headline(compared: Compared) -> str:
    best, level = compared.best, compared.rivals_that_are("not separable")
    if best is None:
        return "No verdict yet: no design has a score."
    if not compared.rivals:
        return f"No verdict: {best.design} is the only design with a score, so there is nothing to compare it with."
    if compared.too_weak:
        return "Models too weak for a verdict: no design clearly beats answers that need no model at all."
    others = len(compared.rivals)
    if not level:
        lead = compared.metric.text(abs(compared.rivals[0].difference.difference))
        every = "the other one" if others == 1 else f"every one of the other {others}"
        real = f"{best.design} is the best design, and the difference is real: it is ahead of {every}"
        return f"{real}; its smallest measured lead is {lead}."
    if len(level) == others:
        rest = level[0].model.design if others == 1 else f"none of the other {others}"
        can = "cannot" if others == 1 else "can"
        return f"No design is shown to be the best: {best.design} scores highest, but {rest} {can} be told apart from it."
    names = listed([one.model.design for one in level]) if len(level) <= FEW else f"{len(level)} designs"
    worse = others - len(level)
    is_worse = "is worse" if worse == 1 else "are worse"
    return f"{best.design} scores best, but {names} cannot be told apart from it; {worse} of {others + 1} {is_worse}."


def _compared(compared: Compared) -> Sentence | None:
    if not compared.ranked:
        return None
    runs = compared.ranked[0].runs
    budget = number(runs[0].budget_tokens)
    rates = ", each with a learning rate of its own," if sweep_sentence(compared.ranked) else ""
    return Sentence(
        "What was compared",
        f"{plural(len(compared.ranked), 'hand design')}, trained on the same corpus by the same recipe{rates} for {budget} "
        f"{compared.metric.budget} with {seeds_words(compared.ranked)} each, scored on "
        f"{rows_words(compared.num_sentences, compared.num_groups, compared.metric.rows)}{_where(compared)}.",
        "configured",
    )


def _where(compared: Compared) -> str:
    if len(compared.processors) < 2:
        return ", on one meter"
    return f", on several kinds of processors; energies are those of {kind_words(compared.processors[0])} alone"


def _best(compared: Compared) -> Sentence | None:
    best = compared.best
    if best is None:
        return None
    mean, interval, places = compared.metric.text(compared.score(best)), compared.intervals[best.design], compared.metric.places
    low, high = (optional(one, places) for one in (interval.low, interval.high))
    text = f"{best.design} scores {mean} on average (95 % interval {low} to {high}, over {drawn_again(compared)})"
    if compared.rivals:
        after = compared.rivals[0]
        ends = after.difference.interval
        low, high = signed(-ends.high, places), signed(-ends.low, places)
        lead = optional(-after.difference.difference, places)
        text += f", {lead} more than {after.model.design}, which comes next (95 % interval {low} to {high})"
    return Sentence("Best", f"{text}.", "scored")


def _rival_words(compared: Compared, rival: Rival) -> str:
    away = signed(rival.difference.difference, compared.metric.places)
    return f"{rival.model.design} ({away}, {p_words(rival.holm_p_value)})"


def _not_separable(compared: Compared) -> Sentence | None:
    found = compared.rivals_that_are("not separable")
    if not found or compared.too_weak:
        return None
    names = listed([_rival_words(compared, one) for one in found])
    text = f"These runs cannot tell {names} apart from {found_best(compared)}. {correction(compared)}"
    return Sentence("Not separable", text, "scored")


def _worse(compared: Compared) -> Sentence | None:
    found = compared.rivals_that_are("worse")
    if not found or compared.too_weak:
        return None
    names = listed([_rival_words(compared, one) for one in found])
    said = "" if compared.rivals_that_are("not separable") else f" {correction(compared)}"
    verb = "is" if len(found) == 1 else "are"
    return Sentence("Worse", f"{names} {verb} worse than {found_best(compared)}.{said}", "scored")


def found_best(compared: Compared) -> str:
    """The best design's name."""
    if compared.best is None:
        raise ValueError("expected a design with a score")
    return compared.best.design


def drawn_again(compared: Compared) -> str:
    """What intervals are over."""
    return f"{'seeds and ' if compared.seeds_vary else ''}test {compared.metric.rows}"


def correction(compared: Compared) -> str:
    """How the words "worse" and "not separable" were come by."""
    count = compared.num_pairs
    corrected = f", corrected by Holm's method for all {count} pairs of designs" if count > 1 else ""
    return (
        f"p-values are two-sided, by a paired bootstrap ({compared.num_draws:,} draws) over the same test {compared.metric.rows}"
        f"{' and over seeds' if compared.seeds_vary else ''}{corrected}; below 0.05 counts."
    )


def _detectable(compared: Compared) -> Sentence | None:
    if compared.detectable is None:
        return None
    least = compared.metric.text(compared.detectable)
    included = ", whichever the design, the correction included" if len(compared.rivals) > 1 else ""
    return Sentence(
        "What could be found",
        f"A true difference of {least} or more from the best would be found in four of five such runs{included}; smaller ones "
        "may go unseen.",
        "scored",
    )


def _references(compared: Compared) -> Sentence | None:
    best = compared.best_reference
    if best is None or not compared.ranked:
        return None
    name, value = best
    margin = f"{shortest(compared.margin)} {compared.metric.unit}"
    scored = f"{compared.metric.text(value)} on the same {compared.metric.rows}"
    told = f"every design beats that by {margin} or more."
    if compared.too_weak:
        told = f"no design beats that by {margin}, so nothing is concluded."
    elif compared.weak:
        names = listed([model.design for model in compared.weak])
        told = f"{names} did not beat that by {margin}, so little can be said of their order."
    return Sentence("Strength", f"Without any model, {name.replace('_', ' ')} scores {scored}; {told}", "scored")


def _costs(compared: Compared) -> Sentence | None:
    if not compared.ranked:
        return None
    text = (
        f"All of it drew {compared.energy_words(compared.cost_uj)} and so emitted "
        f"{compared.mass_words(compared.settings.searched_range_g(compared.cost_uj))} in "
        f"{region_words(compared.settings.searched_in)}{at_pue(compared.settings.pue)}, failed trainings, idle power and "
        "supervision included."
    )
    if (embodied := compared.embodied_g) is not None:
        text += f" Making the hardware adds {mass_between(embodied)} CO2e for that time, in no other figure."
    text += _training_words(compared) + _use_words(compared)
    return Sentence("What it costs", text, compared.source.provenance)


def _training_words(compared: Compared) -> str:
    known = [(uj, model.design) for model in compared.ranked if (uj := mean_training_uj(model, "loaded")) is not None]
    if not known:
        return " What a training drew is not known."
    (least, thrifty), (most, hungry) = min(known), max(known)
    if len(known) == 1:
        return f" Training {thrifty} once took {energy(kwh(least))}."
    return f" Training once took from {energy(kwh(least))} ({thrifty}) to {energy(kwh(most))} ({hungry})."


def _use_words(compared: Compared) -> str:
    known = [(joules, model.design) for model in compared.ranked if (joules := output_energy(model)) is not None]
    if not known:
        return " What an output draws is not known."
    grams = [compared.settings.used_g(joules * MICROJOULES_PER_JOULE) for joules in (min(known)[0], max(known)[0])]
    where = region_words(compared.settings.used_in)
    if len(known) == 1:
        return f" 1,000 outputs take {significant(known[0][0])} J, {mass(grams[0])} CO2e in {where}."
    return (
        f" 1,000 outputs take from {significant(min(known)[0])} J ({min(known)[1]}) to {significant(max(known)[0])} J "
        f"({max(known)[1]}), {mass_range(Interval(*grams))} CO2e in {where}."
    )


def _missing(compared: Compared) -> Sentence | None:
    if not compared.gaps:
        return None
    named = "; ".join(f"{one.design} with seed {one.seed} ({one.reason})" for one in compared.gaps)
    return Sentence("Without a result", f"{plural(len(compared.gaps), 'training')} gave no score: {named}.")
