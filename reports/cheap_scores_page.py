"""The section on what cheap scores told: sentences, a table, and a small figure."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis import Analysis
from reports.cheap_scores import MOST_PAIRS, Agreement, Source, screening_proxy
from reports.content import Section
from reports.drawing import SEARCHED_COLOUR, SURFACE, Paper, Sketch, render
from reports.marks import readable, scale_x
from reports.quality import WORDS
from reports.rank_correlation import LEAST_PAIRS, MOST_ORDERED
from reports.tables import NOT_RUN, Table
from reports.trials import Kind, named, numbers
from reports.words import optional, percent, plural, watt_hours_between


def cheap_scores_section(analysis: Analysis) -> Section | None:
    """The section; None for a search whose scores were all from training to the end."""
    found = analysis.agreements
    if not found:
        return None
    sketch = scatter(analysis)
    return Section(
        title="What cheap scores told",
        paragraphs=(_meaning(found, num_searches=sum(run.searched for run in analysis.runs)), *_selection(analysis)),
        tables=(agreements_table(analysis),),
        drawings=() if sketch is None else (render(sketch),),
    )


def _meaning(found: Sequence[Agreement], num_searches: int) -> str:
    kinds = {
        "proxy": "proxies before training",
        "rung": "scores at rungs on the way",
        "supernet": "the weights of a supernet",
    }
    sources = [words for kind, words in kinds.items() if any(one.source == kind for one in found)]
    trained = " and ".join(dict.fromkeys(WORDS[one.quality.name] for one in found))
    who = "This search" if num_searches == 1 else f"{len({one.run_id for one in found})} of {num_searches} runs with a search"
    return (
        f"{who} judged candidates by {' and '.join(sources)} as well, which cost less than training them to the end. "
        f"Whether they rank candidates as training does ({trained} at its end) was measured on those that got both: Kendall's "
        "tau-b is 1 for the same order, 0 for no relation and −1 for the reverse order."
    )


SELECTED: dict[Kind, tuple[str, str]] = {
    "screened": (
        "was screened out and never trained, so the proxy that screened is judged on those that it let through, which are more "
        "alike by it than all were.",
        "were screened out and never trained, so the proxy that screened is judged on those that it let through, which are more "
        "alike by it than all were.",
    ),
    "stopped": (
        "was stopped on the way, and how it would have ended is not known: rungs are judged on those that were let through.",
        "were stopped on the way, and how they would have ended is not known: rungs are judged on those that were let through.",
    ),
    "inherited": (
        "began with its parent's weights and is not compared with proxies, which know nothing of its ancestors' training.",
        "began with their parents' weights and are not compared with proxies, which know nothing of their ancestors' training.",
    ),
}
"""Why candidates are not among those compared, for one and for several."""


def _selection(analysis: Analysis) -> list[str]:
    """Which candidates were compared, and how that shifts the figures."""
    sources = {one.source for one in analysis.agreements}
    apply: dict[Kind, Source] = {"screened": "proxy", "stopped": "rung", "inherited": "proxy"}
    words: dict[Kind, tuple[str, str]] = {kind: SELECTED[kind] for kind, source in apply.items() if source in sources}
    told = named(numbers(analysis.trials), words)
    texts = [f"Of the candidates, {' '.join(told)}"] if told else []
    if "supernet" in sources:
        texts.append(_controls_words(len(analysis.ranking_controls), watt_hours_between(analysis.controls_uj)))
    return texts


def _controls_words(count: int, watt_hours: str) -> str:
    if not count:
        return "No controls were trained, so only the finalists tell, which are those that scored best."
    were, they = ("control was", "it") if count == 1 else ("controls were", "they")
    return (
        f"Beside the finalists, which scored best, {count} {were} trained from scratch for this comparison, spread over the "
        f"ranks; {they} drew {watt_hours} Wh, which is no part of the search's cost. A design that is both counts once."
    )


def agreements_table(analysis: Analysis) -> Table:
    """Every cheap score with its rank correlation, and what that tells."""
    found, several = analysis.agreements, len(analysis.runs) > 1
    rows = tuple(
        (
            (f"{one.run_id}: " if several else "") + one.name,
            told_words(one),
            f"{one.num_pairs:,}",
            _tau_words(one),
        )
        for one in found
    )
    note = (
        "Both sides are turned so that more is better; of proxies more counts as better. 95 % percentile bootstrap of 2,000 "
        f"draws, each row by itself. Nothing is told by fewer than {LEAST_PAIRS} candidates or where the interval holds 0, and "
        f"up to {MOST_ORDERED} candidates only what fewer than 5 % of all their orders would show."
    )
    if any(one.num_pairs > MOST_PAIRS for one in found):
        note += f" Of more than {MOST_PAIRS:,} candidates, {MOST_PAIRS:,} drawn at random were compared."
    heads = ("Cheap score", "What it tells", "Candidates", "Tau, 95 % interval")
    return Table("Rank correlation", heads, rows, frozenset((2, 3)), note)


def _tau_words(one: Agreement) -> str:
    if one.tau is None or one.interval is None:
        return NOT_RUN
    return f"{optional(one.tau)} ({optional(one.interval[0])} to {optional(one.interval[1])})"


def told_words(one: Agreement) -> str:
    """What an agreement tells, in a sentence."""
    if not one.told or one.concordant is None:
        return f"Cannot be told with {plural(one.num_pairs, 'candidate')}: {one.why_not}."
    share = percent(one.concordant)
    if one.concordant < 0.5:
        return f"It misleads: of two candidates, the one that it puts first was the better one in only {share} of all pairs."
    return f"It helps: of two candidates, the one that it puts first was the better one in {share} of all pairs."


def scatter(analysis: Analysis) -> Sketch | None:
    """Cheap scores beside trained quality; None where no score has enough candidates."""
    chosen = _chosen(analysis)
    if not chosen:
        return None

    def draw(paper: Paper) -> Figure:
        figure, panels = paper.figure(250 if paper.narrow else 300, panels=len(chosen))
        for axes, one in zip(panels, chosen, strict=True):
            _draw(axes, one)
            axes.set_title(readable(one.run_id) if len(analysis.runs) > 1 else "")
        return figure

    less = list(dict.fromkeys(WORDS[one.quality.name] for one in chosen if not one.quality.maximised))
    told = "; ".join(f"{one.name}, tau {optional(one.tau)}, {one.num_pairs} candidates" for one in chosen)
    return Sketch(
        name="cheap-scores",
        title="Cheap scores beside trained quality",
        caption="Every point is a candidate that got both. The more the points lie on a rising or a falling line, the better "
        "the cheap score ranks; how steep or how straight it is does not matter."
        + (f" Of {' and '.join(less)}, less is better." if less else ""),
        alt=f"Cheap scores against quality after training: {told}.",
        draw=draw,
    )


def _chosen(analysis: Analysis) -> list[Agreement]:
    """One a kind: the proxy that screened (else the first), the first rung, the supernet."""
    enough = [one for one in analysis.agreements if one.num_pairs >= LEAST_PAIRS]
    screening = {run.run_id: screening_proxy(run) for run in analysis.runs}
    enough.sort(key=lambda one: one.key != screening[one.run_id])
    first = {one.source: one for one in reversed(enough)}
    return [first[kind] for kind in ("proxy", "rung", "supernet") if kind in first]


def _draw(axes: Axes, one: Agreement) -> None:
    size, unit = (1e6, ", millions") if one.key in ("params", "macs") else (1.0, "")
    cheap = [value / size for value in one.cheap]
    axes.plot(cheap, one.trained, "o", color=SEARCHED_COLOUR, markeredgecolor=SURFACE, markersize=7, alpha=0.8)
    axes.set_xlabel(one.name + unit)
    axes.set_ylabel(WORDS[one.quality.name])
    axes.margins(0.1, 0.12)
    scale_x(axes, cheap)
