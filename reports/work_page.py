"""Where the multiplications are, by length: counted for published designs and for those of the runs whose work was counted."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from manual_designs.published_macs import WorkByLength
from reports.basis import Basis
from reports.content import Section
from reports.drawing import FAMILY_COLOURS, MUTED, SEARCHED_COLOUR, SURFACE, Drawing, Paper, Sketch, render
from reports.marks import legend, readable
from reports.tables import Table
from reports.words import shortest, significant
from reports.work import PUBLISHED_BASE, READ_AT, Crossing, all_work, overtakes, run_work, shares

PART_LOOKS = {
    "feed_forward": ("feed-forward", FAMILY_COLOURS[0]),
    "projections": ("attention's linear layers", FAMILY_COLOURS[1]),
    "convolution": ("convolution", FAMILY_COLOURS[3]),
    "inputs": ("linear layers at the input", FAMILY_COLOURS[5]),
    "ranking": ("ranking of tokens", MUTED),
    "products": ("attention's products", SEARCHED_COLOUR),
}
REST = ("feed_forward", "projections", "convolution", "inputs", "ranking")


def work_section(basis: Basis) -> Section:
    """The section, which every report has: published designs need no run."""
    found = all_work(basis.runs)
    own = run_work(basis.runs)
    base = next(one for one in found if one.design == PUBLISHED_BASE)
    chosen = [*own[:1], base]
    return Section(
        title="Where the work is",
        paragraphs=(_words(base, own),),
        tables=(work_table(found),),
        drawings=(draw_work(chosen),),
    )


def _words(base: WorkByLength, own: Sequence[WorkByLength]) -> str:
    at = shares(base, READ_AT)
    text = (
        f"Is attention the cost of a transformer, or the feed-forward? Counted for {base.design} at {READ_AT} tokens a "
        f"side, without the vocabulary: feed-forward {at['feed_forward']:.0%}, attention's linear layers "
        f"{at['projections']:.0%}, its products of tokens with tokens {at['products']:.1%}. The products need as much as "
        f"feed-forward {_from(overtakes(base, ('feed_forward',)))}, and more than all else together "
        f"{_from(overtakes(base, REST))}."
    )
    if not own:
        return f"{text} The work of this run's designs has not been counted; carbon-nas probe does."
    here = shares(own[0], READ_AT)
    largest = max(here, key=lambda part: here[part])
    return (
        f"{text} Of {own[0].design}, trained here, the largest part at {READ_AT} tokens is {PART_LOOKS[largest][0]} "
        f"({here[largest]:.0%}); products are {here['products']:.1%} and more than all else together "
        f"{_from(overtakes(own[0], REST))}."
    )


def _from(crossing: Crossing | None) -> str:
    if crossing is None:
        return "at no length that was counted"
    if crossing.exact:
        return f"from {shortest(crossing.low)} tokens on"
    return f"from a length between {shortest(crossing.low)} and {shortest(crossing.high)} tokens on"


def work_table(found: Sequence[WorkByLength]) -> Table:
    """Shares of the parts at 30 tokens, and from where on products are the most, a design a row."""
    heads = (
        "Design",
        "Million MACs",
        *(name.capitalize() for name in _short().values()),
        "Products pass feed-forward",
        "Pass all else",
    )
    rows = []
    for one in found:
        if READ_AT not in one.macs:
            continue
        parts = shares(one, READ_AT)
        total = sum(macs for part, macs in one.macs[READ_AT].items() if part != "vocabulary")
        cells = (f"{100 * parts[part]:.1f} %" for part in _short())
        crossings = (_cell(overtakes(one, others)) for others in (("feed_forward",), REST))
        rows.append((one.design, significant(total / 1e6), *cells, *crossings))
    note = (
        f"Counted from the architectures, not measured: one teacher-forced pass of {READ_AT} source and {READ_AT} target tokens, "
        "batch 1, without vocabulary projection and elementwise work; no saving from causal masks. The last two columns are "
        "tokens a side. Lengths beyond those that a design was published for are counted as if its positions went on; a dash: at "
        "no length up to 65,536 tokens, or the most that it takes. Linformer's linear layers hold its projections along the "
        "sequence."
    )
    return Table("MACs by part", heads, tuple(rows), frozenset(range(1, len(heads))), note)


def _short() -> dict[str, str]:
    return {"feed_forward": "feed-forward", "projections": "linear layers", "convolution": "convolution", "products": "products"}


def _cell(crossing: Crossing | None) -> str:
    if crossing is None:
        return "–"
    return shortest(crossing.low) if crossing.exact else f"{shortest(crossing.low)}-{shortest(crossing.high)}"


def draw_work(chosen: Sequence[WorkByLength]) -> Drawing:
    """Shares of the parts against length, one panel a design."""

    def draw(paper: Paper) -> Figure:
        figure, panels = paper.figure(270 if paper.narrow else 320, panels=len(chosen))
        for axes, one in zip(panels, chosen, strict=True):
            lengths = sorted(one.macs)
            by_part = {part: [shares(one, tokens)[part] for tokens in lengths] for part in PART_LOOKS}
            there = [part for part, values in by_part.items() if any(values)]
            labels, colours = zip(*(PART_LOOKS[part] for part in there), strict=True)
            axes.stackplot(lengths, [by_part[part] for part in there], labels=labels, colors=colours, linewidth=0)
            axes.axvline(READ_AT, color=SURFACE, linewidth=1.6)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(LogLocator(base=2, numticks=7))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
            axes.set_xlim(lengths[0], lengths[-1])
            axes.set_ylim(0, 1)
            axes.grid(visible=False)
            axes.set_title(readable(one.design), fontsize=11)
            axes.set_xlabel("tokens a side (log)")
        panels[0].set_ylabel("share of MACs")
        legend(figure, panels, paper)
        return figure

    told = "; ".join(
        f"{one.design} from {shares(one, min(one.macs))['products']:.1%} to {shares(one, max(one.macs))['products']:.1%}"
        for one in chosen
    )
    return render(
        Sketch(
            name="work-length",
            title="What a model multiplies, by length",
            caption=f"Shares of multiply-accumulates without the vocabulary projection, counted. The upright line is at "
            f"{READ_AT} tokens, where papers of this field count.",
            alt=f"Shares of work against length; attention's products: {told}.",
            draw=draw,
        )
    )
