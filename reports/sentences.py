"""The verdict in plain sentences, each made from numbers of the analysis and nothing else."""

from collections.abc import Sequence

from nas.sweep import swept_rates
from reports.analysis import Analysis
from reports.answer_words import closing_words, dynamic_words, left_words, paid_words, saving_words
from reports.assumptions import at_pue, region_words
from reports.beside import beside_words
from reports.conclusion import Sentence, Verdict, paid_provenance
from reports.models import Model
from reports.statistics import Comparison
from reports.trials import Kind, is_supernet, named, numbers
from reports.verdict import NOT_WHOLE
from reports.words import (
    energy_between,
    mass,
    mass_between,
    mass_range,
    number,
    p_words,
    percent,
    plural,
    rows_words,
    shortest,
    signed,
)

COMPARED = {1: "beat", -1: "lost to", 0: "cannot be told apart from"}


def make_verdict(analysis: Analysis) -> Verdict:
    """The verdict of an analysis."""
    found = (
        _compared(analysis),
        sweep_sentence(analysis.evidence.models),
        _quality(analysis),
        _beside(analysis),
        references_sentence(analysis),
        _cost(analysis),
        _per_point(analysis),
        _break_even(analysis),
        _dynamic(analysis),
        not_counted(analysis),
    )
    return Verdict(
        outcome=analysis.findings.answer.outcome,
        head=_head(analysis),
        sentences=tuple(one for one in found if one is not None),
    )


def _head(analysis: Analysis) -> tuple[Sentence, ...]:
    """Who was better, by scores, and whether the search paid, by energies."""
    winner, answer = winner_words(analysis), analysis.findings.answer
    known = paid_provenance([answer.outcome], analysis.source.provenance)
    paid = Sentence("Whether it paid", paid_words(answer, bool(winner)), known)
    return (Sentence("Who won", winner.strip(), "scored"), paid) if winner else (paid,)


def winner_words(analysis: Analysis) -> str:
    """Who was better, in front of whether it paid; nothing where models are too weak or one is missing."""
    comparison = analysis.findings.comparison
    if comparison is None or analysis.findings.too_weak:
        return ""
    corrected = corrected_words(comparison)
    if comparison.sign == 0:
        return f"These runs cannot tell whether the search or the hand design is better{corrected}. "
    winner = "search" if comparison.sign > 0 else "hand design"
    return f"The {winner} won by {analysis.metric.text(abs(comparison.difference))}{corrected}. "


def corrected_words(comparison: Comparison) -> str:
    """After which correction a difference counts; nothing of one that stands alone."""
    count = comparison.num_comparisons
    return f" after the correction for {count} comparisons" if count > 1 else ""


def _compared(analysis: Analysis) -> Sentence:
    models = analysis.evidence.models
    hands = [model for model in models if not model.searched]
    families = sorted({model.family.replace("_", " ") for model in hands})
    tokens = next((model.runs[0].budget_tokens for model in models if model.runs), 0)
    text = (
        f"{plural(len(hands), 'hand design')} of {plural(len(families), 'family', 'families')} ({', '.join(families)}) "
        f"{'was' if len(hands) == 1 else 'were'} compared with the best of {_searched_words(analysis)} on the same task, recipe, "
        f"budget ({number(tokens)} {analysis.metric.budget}) and meter."
    )
    limit = analysis.lookup("search", "mac_limit")
    within = f"within {shortest(limit / 1e6)} million MACs, " if isinstance(limit, int | float) and limit else ""
    pair = [one for one in (analysis.evidence.search, analysis.evidence.hand) if one is not None]
    if len(pair) == 2:
        seeds = sorted({len(one.finals) for one in pair})
        text += (
            f" One champion each, {within}chosen on validation data with seed 0, was retrained with "
            f"{plural(seeds[0], 'fresh seed') if len(seeds) == 1 else 'fresh seeds'} and scored on "
            f"{rows_words(analysis.findings.num_sentences, analysis.findings.num_groups, analysis.metric.rows)}."
        )
    return Sentence("What was compared", text, "configured")


def _searched_words(analysis: Analysis) -> str:
    """The trials that the search could choose from, and those that it gave less."""
    count = numbers(analysis.trials)
    trained = count["complete"] + count["inherited"]
    found = [plural(trained, "searched trial")] if trained or not count["scored"] else []
    if count["scored"]:
        found.append(plural(count["scored"], "member") + " of a supernet, scored without training of their own,")
    words: dict[Kind, tuple[str, str]] = {
        "inherited": ("of them begun with its parent's weights", "of them begun with their parents' weights"),
        "stopped": ("more was stopped early", "more were stopped early"),
        "screened": ("more was screened out untrained", "more were screened out untrained"),
    }
    more = named(count, words)
    return " and ".join(found) + (f" ({', '.join(more)})" if more else "")


def sweep_sentence(models: Sequence[Model]) -> Sentence | None:
    """How learning rates were chosen; None where everybody had one and the same."""
    swept = next((rates for one in models if one.runs and (rates := swept_rates(one.runs[0]))), ())
    if not swept:
        return None
    return Sentence(
        "Learning rates",
        "Each design has the peak learning rate that was best for it on validation data with seed 0, of "
        f"{', '.join(f'{rate:g}' for rate in swept)}. What trying them cost stands with who tried them.",
        "configured",
    )


def _quality(analysis: Analysis) -> Sentence | None:
    comparison, search, hand = analysis.findings.comparison, analysis.evidence.search, analysis.evidence.hand
    if comparison is None or search is None or hand is None or search.test_score is None or hand.test_score is None:
        return None
    metric = analysis.metric
    ends = (comparison.interval.low, comparison.interval.high, comparison.difference)
    low, high, away = (signed(one, metric.places) for one in ends)
    chance = f"{p_words(comparison.deciding_p_value)} by bootstrap"
    chance += ", Holm's correction included" if comparison.num_comparisons > 1 else ""
    difference = (
        f"a difference of {away} {metric.unit} (95 % interval {low} to {high}, over seeds and test {metric.rows}; {chance})"
    )
    if analysis.findings.too_weak:
        return Sentence(
            "Quality",
            f"The search champion ({search.design}) scored {metric.text(search.test_score)}, the hand champion ({hand.design}) "
            f"{metric.text(hand.test_score)}: {difference}. Both are only described, since models are too weak.",
            "scored",
        )
    return Sentence(
        "Quality",
        f"The search champion ({search.design}, {metric.text(search.test_score)}) {COMPARED[comparison.sign]} the hand champion "
        f"({hand.design}, {metric.text(hand.test_score)}){corrected_words(comparison)}: {difference}. A true difference of "
        f"{metric.text(comparison.minimum_detectable)} or more would be found in four of five such comparisons; smaller ones are "
        "found less often.",
        "scored",
    )


def _beside(analysis: Analysis) -> Sentence | None:
    text = beside_words(analysis.findings.beside)
    return Sentence("By another metric", text, "scored") if text else None


def references_sentence(analysis: Analysis) -> Sentence | None:
    """How strong a model has to be to count; None where no answer without a model was scored."""
    best, margin, metric = analysis.findings.best_reference, analysis.evidence.margin, analysis.metric
    if best is None or best.test_score is None:
        return None
    scored = f"{metric.text(best.test_score)} on the same {metric.rows}"
    without, needed = f"Without any model, {best.design.replace('_', ' ')} scores {scored}", f"{shortest(margin)} {metric.unit}"
    told = f"a champion must beat that by {needed} to count."
    if weak := analysis.findings.too_weak:
        told = f"{' and '.join(weak)} did not beat that by {needed}, so nothing is concluded."
    return Sentence("Strength", f"{without}; {told}", "scored")


def _cost(analysis: Analysis) -> Sentence:
    cost, provenance = analysis.evidence.cost, analysis.source.provenance
    if not cost.known:
        return Sentence("Cost of the search", "What the search drew is not known.", provenance)
    return Sentence(
        "Cost of the search",
        f"The search drew {cost.bound}{analysis.energy_words(analysis.search_uj)} and so emitted {cost.bound}"
        f"{analysis.mass_words(analysis.search_g)} in {region_words(analysis.settings.searched_in)}"
        f"{at_pue(analysis.settings.pue)}. This counts {_paid_words(analysis)}, finalists, supervision, and "
        f"the idle power meanwhile.{_controls(analysis)}{_embodied(analysis)}",
        provenance,
    )


def _paid_words(analysis: Analysis) -> str:
    """What is paid for beside trials that came to a result."""
    count = numbers(analysis.trials)
    more = [*["stopped"] * bool(count["stopped"]), *["screened-out"] * bool(count["screened"])]
    supernet = "the training of the supernet, " if any(map(is_supernet, analysis.records("search"))) else ""
    return f"{supernet}all trials, {', '.join((*more, 'failed'))} and lost ones included"


def _controls(analysis: Analysis) -> str:
    """What trainings drew that are no part of the search; nothing where there are none."""
    count = len(analysis.ranking_controls)
    if not count:
        return ""
    return (
        f" {plural(count, 'control')}, trained only to tell how far inherited weights rank rightly, drew "
        f"{energy_between(analysis.controls_uj)} more, which no search would need and which is not in its cost."
    )


def _embodied(analysis: Analysis) -> str:
    grams = analysis.search_embodied_g
    if grams is None:
        return ""
    return f" Making the hardware adds {mass_between(grams)} CO2e for that time, in no other figure."


def _per_point(analysis: Analysis) -> Sentence | None:
    findings = analysis.findings
    if findings.comparison is None:
        return None
    if findings.per_point_g is None or findings.per_point_interval is None:
        why = "no gain over the hand champion could be told from zero"
        if findings.too_weak:
            why = "the models are too weak to conclude anything"
        elif findings.comparison.sign:
            why = "the search lost quality" if findings.comparison.sign < 0 else NOT_WHOLE
        return Sentence("Carbon per gain", f"There is no figure of CO2e per {analysis.metric.gain} gained, since {why}.")
    return Sentence(
        "Carbon per gain",
        f"That is {mass(findings.per_point_g)} CO2e per {analysis.metric.gain} gained over the hand champion "
        f"(95 % interval {mass_range(findings.per_point_interval)}).",
        analysis.source.provenance,
    )


def _break_even(analysis: Analysis) -> Sentence | None:
    answer = analysis.findings.answer
    if answer.outcome in ("unknown", "models too weak for a verdict") or answer.net_g is None:
        return None
    if answer.saving_uj is None or answer.saving is None:
        end = "The searched model's quality lies beyond the worst or the best hand design, where no saving was measured."
        if answer.saving_uj is not None:
            share = percent(answer.outside_share or 0.0)
            end = f"In {share} of the bootstrap draws its quality lies beyond the hand designs', where no saving was measured."
    else:
        saves = saving_words(answer.saving_uj, answer.saving, analysis.metric.rows, bool(analysis.evidence.paces))
        end = f"{saves}, used in {region_words(analysis.settings.used_in)}: {closing_words(answer)}."
    return Sentence("Break-even", f"{left_words(answer.net_g, answer.net_interval_g)} {end}", analysis.source.provenance)


def _dynamic(analysis: Analysis) -> Sentence | None:
    if analysis.findings.answer.outcome in ("unknown", "models too weak for a verdict"):
        return None
    return Sentence("Dynamic energy alone", dynamic_words(analysis.findings.answer_dynamic), analysis.source.provenance)


def not_counted(analysis: Analysis, repeated: bool = False) -> Sentence:
    """What no figure of the report holds.

    Args:
        analysis: the report's.
        repeated: whether an interval of the report holds how much searches differ that differ in their seed alone.
    """
    making = " The making of the hardware is not counted." if analysis.settings.embodied is None else ""
    text = (
        f"What it took people to invent the hand designs is not counted.{making} "
        "Re-using one search for k deployments divides its cost by k."
    )
    if not repeated:
        text += " How much a repeated search would differ is in no interval."
    if analysis.source.high_factor > analysis.source.low_factor:
        text += (
            " The power model's error is common to all that is compared: it moves the totals together and largely cancels in "
            "the break-even."
        )
    return Sentence("Not counted", text)
