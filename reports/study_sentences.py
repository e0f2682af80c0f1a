"""What a study says in plain sentences, each made from its numbers and nothing else."""

from collections import Counter
from dataclasses import dataclass

from nas.metric import Metric
from reports.answer_words import FROM_THE_FIRST_USE, nothing_to_pay
from reports.assumptions import at_pue, region_words
from reports.break_even import Outcome
from reports.comparison_sentences import listed
from reports.conclusion import Conclusion, Sentence, StudyOutcome, Verdict, paid_provenance
from reports.pace_page import pace_sentence
from reports.sentences import make_verdict, not_counted, references_sentence, sweep_sentence
from reports.statistics import Comparison
from reports.study import Cell, Study
from reports.trend import Trend
from reports.words import mass, mass_range, number, plural, rows_words, signed


def make_study_verdict(study: Study) -> Verdict:
    """The verdict of a study."""
    found = (
        _compared(study),
        sweep_sentence(study.evidence.models),
        _won(study),
        _costs(study),
        _paying(study),
        _tightest(study),
        _tighter(study),
        references_sentence(study),
        _missing(study),
        not_counted(study, repeated=study.trend is not None and study.trend.repeated),
    )
    return Verdict(
        outcome=outcome_of(study),
        head=_head(study),
        sentences=tuple(one for one in found if one is not None),
    )


def _head(study: Study) -> tuple[Sentence, ...]:
    """Who won how often, by scores, and how many searches paid, by energies."""
    weak = len(study.cells_that_are("models too weak")) == len(study.cells) > 0
    won = Sentence("Who won", _headline(study), "scored" if study.judged or weak else None)
    paying = _paying_words(study)
    return (won, Sentence("Whether they paid", paying, _paying_provenance(study))) if paying else (won,)


def outcome_of(study: Study) -> StudyOutcome:
    """What the study came to, in a word or two."""
    standings = {cell.standing for cell in study.cells}
    judged = {cell.standing for cell in study.judged}
    if not judged:
        return "models too weak for a verdict" if "models too weak" in standings else "unknown"
    if judged == {"search won"}:
        return "search won"
    if judged == {"hand design won"}:
        return "hand design won"
    return "not separable" if judged == {"not separable"} else "mixed"


def _headline(study: Study) -> str:
    """Who won how often; cells without a verdict are said to have none."""
    judged, total = study.judged, len(study.cells)
    if total and len(study.cells_that_are("models too weak")) == total:
        every = "the one search" if total == 1 else f"all {total} searches"
        return f"Models too weak for a verdict in {every}."
    if not judged:
        return f"No verdict yet: of {_searches(total)}, none has one."
    won, lost, open_ = (len(study.cells_that_are(one)) for one in ("search won", "hand design won", "not separable"))
    rest = total - len(judged)
    more = "" if not rest else " One more search has no verdict." if rest == 1 else f" {rest} more searches have no verdict."
    if len(judged) in (won, lost, open_):
        every = {1: "the one search", 2: "both searches"}.get(len(judged), f"all {len(judged)} searches")
        who = "the search won" if won else "the hand design won" if lost else "it could not be told apart from the hand design"
        return f"In {every} with a verdict, {who}.{more}"
    by_search, by_hand, by_nobody = (count or "none" for count in (won, lost, open_))
    counts = f"the search won {by_search}, the hand design won {by_hand}, and {by_nobody} could not be told apart"
    return f"Of {len(judged)} searches with a verdict, {counts}.{more}"


def _searches(count: int) -> str:
    return "one search" if count == 1 else f"{count} searches"


def _outcomes(study: Study) -> Counter[Outcome]:
    """How often the finished searches came to each answer."""
    return Counter(cell.analysis.findings.answer.outcome for cell in study.cells if cell.standing != "unfinished")


def _paying_provenance(study: Study) -> str | None:
    return paid_provenance(_outcomes(study), study.source.provenance)


def _paying_words(study: Study) -> str:
    """How many searches pay back their carbon, and what is known of the others."""
    counts = _outcomes(study)
    total = sum(counts.values())
    if not total or counts["models too weak for a verdict"] == total:
        return ""
    paid = counts["number"]
    others: dict[Outcome, tuple[str, str]] = {
        "never": ("never does", "never do"),
        "not separable": ("cannot be told", "cannot be told"),
        "outside the measured curve": ("lies outside the measured curve", "lie outside the measured curve"),
        "models too weak for a verdict": ("has models too weak for a verdict", "have models too weak for a verdict"),
        "unknown": ("lacks a number", "lack a number"),
    }
    told = [
        f"{counts[word] if total > 1 else 'it'} {one if counts[word] == 1 else many}"
        for word, (one, many) in others.items()
        if counts[word]
    ]
    rest = listed(told) if told else ""
    if not paid:
        nobody = f"None of {total} searches is" if total > 1 else "The search is not"
        return f"{nobody} shown to pay back its carbon: {rest}."
    some = f"{paid} of {total} searches {'is' if paid == 1 else 'are'}" if total > 1 else "The search is"
    return f"{some} shown to pay back {'its' if paid == 1 else 'their'} carbon{f'; {rest}' if rest else ''}."


def _compared(study: Study) -> Sentence:
    models = study.evidence.models
    hands = [one for one in models if not one.searched]
    families = sorted({one.family.replace("_", " ") for one in hands})
    limits = list(dict.fromkeys(cell.key.limit_words for cell in study.cells))
    strategies = list(dict.fromkeys(cell.key.strategy for cell in study.cells))
    tokens = next((one.runs[0].budget_tokens for one in models if one.runs), 0)
    return Sentence(
        "What was compared",
        f"{plural(len(hands), 'hand design')} of {listed(families) if families else 'no family'} "
        f"{'was' if len(hands) == 1 else 'were'} compared with the champions of "
        f"{_searches(len(study.cells))} ({listed(strategies)}; {listed(limits)}), on the same task, corpus, recipe and budget "
        f"({number(tokens)} {study.metric.budget}). In each, the hand champion is the best hand design within the limit on "
        f"validation data with seed 0; both champions are judged by their fresh seeds on the same "
        f"{rows_words(study.findings.num_sentences, study.findings.num_groups, study.metric.rows)}.",
        "configured",
    )


def difference_words(found: Comparison, metric: Metric) -> str:
    """A difference of test scores with its interval."""
    low, high, difference = (signed(one, metric.places) for one in (found.interval.low, found.interval.high, found.difference))
    return f"{difference} {metric.unit} (95 % interval {low} to {high})"


def _won(study: Study) -> Sentence | None:
    """Every cell's standing, with the widest and the least certain difference."""
    if not study.judged:
        return None
    told = [
        f"{words}: {'; '.join(cell.label for cell in found)}"
        for words, standing in (("Search won", "search won"), ("Hand design won", "hand design won"))
        for found in [[cell for cell in study.judged if cell.standing == standing]]
        if found
    ]
    open_ = study.cells_that_are("not separable")
    if open_:
        told.append(f"Not separable: {'; '.join(cell.label for cell in open_)}")
    least = max(one.minimum_detectable for cell in study.judged if (one := cell.analysis.findings.comparison))
    count = next(one.num_comparisons for cell in study.judged if (one := cell.analysis.findings.comparison))
    correction = f", after Holm's correction for {count} comparisons," if count > 1 else ""
    return Sentence(
        "Better on the test set",
        f"{'. '.join(told)}. A difference counts{correction} where p is below 0.05 (bootstrap over seeds and the same test "
        f"{study.metric.rows}); a true difference of {study.metric.text(least)} or more would be found in four of five such "
        "studies.",
        "scored",
    )


def _costs(study: Study) -> Sentence:
    cost, topic = study.evidence.cost, "Cost of the searches"
    if not cost.known:
        return Sentence(topic, "What the searches drew is not known.", study.source.provenance)
    return Sentence(
        topic,
        f"Together the searches drew {cost.bound}{study.energy_words(study.search_uj)} and so emitted {cost.bound}"
        f"{study.mass_words(study.search_g)} in {region_words(study.settings.searched_in)}{at_pue(study.settings.pue)}. This "
        "counts all trials whatever became of them, finalists, supervision, and the idle power meanwhile.",
        study.source.provenance,
    )


def _paying(study: Study) -> Sentence | None:
    """Break-even and carbon per point gained, cell by cell where there is a number."""
    told = []
    for cell in (one for one in study.cells if one.standing != "unfinished"):
        findings = cell.analysis.findings
        if nothing_to_pay(findings.answer):
            told.append(f"{cell.label}: {FROM_THE_FIRST_USE}")
        elif findings.answer.uses is not None and findings.answer.interval is not None:
            ends = findings.answer.interval
            told.append(f"{cell.label}: after {number(findings.answer.uses)} uses ({number(ends.low)} to {number(ends.high)})")
        if findings.per_point_g is not None and findings.per_point_interval is not None and cell.judged:
            told.append(
                f"{cell.label}: {mass(findings.per_point_g)} CO2e per {study.metric.gain} gained "
                f"({mass_range(findings.per_point_interval)})"
            )
    words = _paying_words(study)
    if not words:
        return None
    text = f"{words} With 95 % intervals: {'; '.join(told)}." if told else words
    return Sentence("Paying back", text, _paying_provenance(study))


def _tightest(study: Study) -> Sentence | None:
    """The differences at the tightest limit that has a verdict."""
    limits = [cell.key.mac_limit for cell in study.judged if cell.key.mac_limit is not None]
    if not limits:
        return None
    found = [cell for cell in study.judged if cell.key.mac_limit == min(limits)]
    told = [
        f"{cell.key.strategy} (seed {cell.key.search_seed}) {difference_words(one, study.metric)}, {cell.standing}"
        for cell in found
        if (one := cell.analysis.findings.comparison)
    ]
    text = f"Within {found[0].key.limit_words}, search less hand design: {'; '.join(told)}."
    return Sentence("Tightest budget", text, "scored")


def _tighter(study: Study) -> Sentence:
    """Whether the claim holds that hand designs gain on searches as the budget tightens."""
    claim = "“The tighter the budget, the bigger the hand design's advantage”"
    trend = study.trend
    if trend is None:
        text = f"{claim} was not tested: that takes verdicts of one strategy at two MAC limits or more."
        return Sentence("The tighter, the better by hand?", text)
    slope = trend.per_halving
    low, high = (signed(one, study.metric.places) for one in (slope.interval.low, slope.interval.high))
    gains = f"gains {study.metric.text(slope.difference)} on the search"
    if slope.difference < 0:
        gains = f"loses {study.metric.text(-slope.difference)} to the search"
    text = (
        f"{claim} is {trend_words(trend)} by {_searches(trend.num_cells)} at {trend.num_limits} limits: each time the limit is "
        f"halved, the hand design {gains} (95 % interval of its gain {low} to {high}, over "
        f"seeds and test {study.metric.rows}"
    )
    text += " and searches)." if trend.repeated else "). How much another search would differ is not in that interval."
    return Sentence("The tighter, the better by hand?", text, "scored")


def trend_words(trend: Trend) -> str:
    """What a trend says of the claim."""
    return {1: "supported", -1: "contradicted", 0: "neither supported nor contradicted"}[trend.per_halving.sign]


def trend_limit(trend: Trend) -> str:
    """How far what a trend says of the claim reaches; nothing where its interval holds how searches differ."""
    return "" if trend.repeated else " for these searches; other searches may differ"


def _missing(study: Study) -> Sentence | None:
    """Cells without a verdict, places of the grid without a run, runs that have recorded nothing."""
    told = [f"{cell.label}: {cell.gap or 'no score'}" for cell in study.cells if cell.standing == "unfinished"]
    told += [f"{one}: no run" for one in study.absent]
    told += [f"{one}: begun, nothing recorded yet" for one in study.unstarted]
    return Sentence("Missing", f"{'; '.join(told)}.") if told else None


@dataclass(frozen=True, kw_only=True)
class Paragraph(Conclusion):
    """What is said of one cell."""

    label: str


def cell_paragraph(cell: Cell) -> Paragraph:
    """As a report of its search alone would have it, without what the study has said for all of them."""
    verdict = make_verdict(cell.analysis)
    if cell.standing == "unfinished":
        known = tuple(one for one in verdict.sentences if one.topic == "Cost of the search")
        head = Sentence("Who won", f"No verdict yet: {cell.gap or 'no score'}.")
        return Paragraph(label=cell.label, head=(head,), sentences=known)
    common = ("What was compared", "Strength", "Not counted")
    told = [one for one in verdict.sentences if one.topic not in common]
    if pace := pace_sentence(cell):
        told.append(pace)
    return Paragraph(label=cell.label, head=verdict.head, sentences=tuple(told))
