"""The section on compression ladders: what can be had without a search, beside what the search cost."""

from collections.abc import Sequence
from dataclasses import replace

from nas.metric import ALL_METRICS
from nas.units import MICROJOULES_PER_JOULE
from reports.basis import Basis
from reports.cells import cells_of
from reports.content import Section
from reports.ladder import Ladder, Rung, ladders, stage_uj, training_uj
from reports.ladder_figure import compression_ladders, ladders_table
from reports.scenarios import Range
from reports.speedup_degradation import speedup_degradation_ratio
from reports.tables import NOT_RUN, Table
from reports.words import mass_between, optional, plural, shortest, significant, watt_hours_between

AS_TRAINED = "as trained"


def ladder_section(basis: Basis, search_uj: Range | None = None) -> Section | None:
    """The section; None where no model was compressed.

    Args:
        basis: the report's.
        search_uj: what the search cost, where there was one.
    """
    found = ladders(basis.runs)
    if not found:
        return None
    return Section(
        title="Smaller without searching",
        paragraphs=(_meaning(), *(_told(basis, one, search_uj) for one in found)),
        tables=ladder_tables(basis, found),
        drawings=(compression_ladders(ladders_table(found)),),
    )


def _meaning() -> str:
    return (
        "Trained models were made smaller stage by stage. Every step was scored on the same data as training's models, from the "
        "file that it leaves on the disk, loaded back and run as it is meant to be; its size is that of the file. What a stage "
        "cost is its own work; scoring it is left out, as it is for every model."
    )


def _told(basis: Basis, ladder: Ladder, search_uj: Range | None) -> str:
    foot, last = ladder.through[0], ladder.through[-1]
    size, faster = ladder.ratio(last, "stored_bytes"), ladder.ratio(last, "latency_ms")
    key, name, _ = ladder.quality
    before, after = foot.mean(key), last.mean(key)
    assert before is not None and after is not None
    seeds = _seeds(ladder, last) or plural(len(ladder.seeds), "seed")
    text = f"{ladder.design} after {' and '.join(last.stages)}: {name} {significant(before, 4)} became "
    text += f"{significant(after, 4)} ({seeds})"
    text += "" if size is None else f", its file {_times(size, 'smaller', 'larger')}"
    text += "." if faster is None else f", one output at batch 1 {_times(faster, 'faster', 'slower')}."
    text += _degradation(ladder)
    costs = [one for one in (stage_uj(basis, rung) for rung in ladder.through[1:]) if one is not None]
    if len(costs) < len(ladder.rungs) - 1:
        return text + " The energy of a stage is not known."
    total = sum(one.central for one in costs)
    trained = training_uj(basis, foot)
    if trained is not None and trained.central:
        whose = "all searches'" if len(cells_of(basis.runs)) > 1 else "the search's"
        text += f" All its stages together took {_share(total / trained.central)} of the energy of its training"
        a_seed, count = (", those of one seed," if len(last.records) > 1 else ""), len(last.records)
        known = search_uj is not None and search_uj.central
        text += f" and{a_seed} {_share(total / count / search_uj.central)} of {whose}." if search_uj and known else "."
    return text


def _seeds(ladder: Ladder, rung: Rung) -> str:
    """How many of a ladder's seeds came to a rung, where not all did."""
    came, all_of_it = len(rung.records), len(ladder.foot.records)
    return "" if came == all_of_it else f"{came} of {all_of_it} seeds"


def _degradation(ladder: Ladder) -> str:
    """LLM-Drop's ratio for what dropping alone did, where it made the model faster and quality is in points."""
    key, name, maximised = ladder.quality
    dropped = next((rung for rung in ladder.through[1:] if rung.stages[-1].startswith("drop")), None)
    if dropped is None or not maximised:
        return ""
    before = ladder.through[ladder.through.index(dropped) - 1]
    slow, fast = before.mean("latency_ms"), dropped.mean("latency_ms")
    whole, left = before.mean(key), dropped.mean(key)
    if slow is None or fast is None or whole is None or left is None or slow <= fast:
        return ""
    ratio = speedup_degradation_ratio(whole, left, slow / fast, "absolute points")
    return (
        f" Dropping lost {optional(ratio)} points of {name} for each per cent of speed (speed-up degradation ratio, absolute "
        "points)."
    )


def _times(ratio: float, more: str, less: str) -> str:
    return f"{shortest(ratio)} times {more}" if ratio >= 1 else f"{shortest(1 / ratio)} times {less}"


def _share(share: float) -> str:
    return f"{shortest(100 * share)} %"


def ladder_tables(basis: Basis, found: Sequence[Ladder]) -> tuple[Table, ...]:
    """Size, quality, speed and energy at each step, and what the step cost: a table a design, one note below all."""
    designs = list(dict.fromkeys((one.design, one.quality, one.foot.ids) for one in found))
    tables = [_table(basis, [one for one in found if (one.design, one.quality, one.foot.ids) == design]) for design in designs]
    several = any(len(one.foot.records) > 1 for one in found)
    note = "Means over seeds; quality ± standard deviation. " if several else ""
    if any(_seeds(one, rung) for one in found for rung in one.rungs):
        note += "Where a seed failed at a stage, the step is of those that came so far. "
    note += (
        "In brackets: how many times smaller and faster than the model as trained. Latency is of one output at batch 1. A step's "
        "energy, fully loaded, and its CO2e where it was searched are of all its seeds together."
    )
    return (*tables[:-1], replace(tables[-1], note=note))


def _table(basis: Basis, found: Sequence[Ladder]) -> Table:
    heads = ("Step", "File, MB", found[0].quality[1], "Latency, ms", "J per 1,000 outputs, loaded", "Step's Wh", "Step's CO2e")
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    above: tuple[str, ...] = ()
    for ladder in found:
        for rung in ladder.rungs:
            if rung.stages not in rows:
                rows[rung.stages] = (_step_name(rung.stages, above), *_row(basis, ladder, rung))
                above = rung.stages
    return Table(f"From {found[0].design}", heads, tuple(rows.values()), frozenset(range(1, len(heads))), widest=0)


def _row(basis: Basis, ladder: Ladder, rung: Rung) -> tuple[str, ...]:
    key = ladder.quality[0]
    places = next((one.places for one in ALL_METRICS if one.test == key), 2)
    size, latency, joules = rung.mean("stored_bytes"), rung.mean("latency_ms"), rung.output_uj
    value, spread = rung.mean(key), rung.spread(key)
    assert value is not None
    fewer = f" ({seeds})" if (seeds := _seeds(ladder, rung)) else ""
    cost = stage_uj(basis, rung) if rung.stages else None
    return (
        NOT_RUN if size is None else significant(size / 1e6) + _ratio(ladder, rung, "stored_bytes"),
        optional(value, places) + (f" ± {spread:.{places}f}" if spread is not None and len(rung.records) > 1 else "") + fewer,
        NOT_RUN if latency is None else significant(latency) + _ratio(ladder, rung, "latency_ms"),
        NOT_RUN if joules is None else significant(1000 * joules / MICROJOULES_PER_JOULE),
        NOT_RUN if cost is None else watt_hours_between(cost),
        NOT_RUN if cost is None else mass_between(basis.settings.searched_range_g(cost)),
    )


def _step_name(stages: tuple[str, ...], above: tuple[str, ...]) -> str:
    """What was done: the last stage behind the row above, or all of it where that row is of another ladder."""
    if not stages:
        return AS_TRAINED
    behind = len(stages) > 1 and stages[:-1] == above
    # Browsers break lines at a blank.
    return (f"then {stages[-1]}" if behind else " + ".join(stages)).replace(",", ", ")


def _ratio(ladder: Ladder, rung: Rung, metric: str) -> str:
    ratio = ladder.ratio(rung, metric)
    return "" if ratio is None or not rung.stages else f" ({ratio:.2f}x)"
