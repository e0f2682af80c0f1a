"""Tables of a comparison of strategies."""

from reports.assumptions import embodied_words, provenance_note, pue_words
from reports.basis import Basis
from reports.quality import metric_name
from reports.strategies import Result, Strategies
from reports.strategies_energy import Bill, Energy
from reports.strategies_words import (
    UNIT_WORDS,
    amount,
    gain,
    quality_words,
    settings_words,
    signed_words,
    speed_words,
)
from reports.tables import NOT_RUN, Table
from reports.words import UNKNOWN, duration, mass_between, shortest, significant, watt_hours_between

COUNTED = ("complete", "stopped", "paused", "failed", "lost", "infeasible", "duplicate")


def ranks_table(strategies: Strategies) -> Table:
    """Every strategy, the best first."""
    known = strategies.quality.optimum is not None
    heads = ["Strategy", "Mean rank", "At the end", *(["Regret"] if known else []), "Over the budget", "Gain", "p", "Standing"]
    rows = [_rank_row(strategies, result, known) for result in strategies.ranked]
    who = strategies.run.baseline or "a baseline"
    quality = strategies.quality
    note = (
        f"{'Higher' if quality.maximised else 'Lower'} {quality.name} is better. Mean rank over seeds (1 is best). At the end "
        "of the budget: mean and in brackets the 95 % interval over seeds. Over the budget: the mean of the best so far over "
        f"everything spent ({UNIT_WORDS[strategies.unit]}), the area under the curve below. Gain: over {who}, seed by seed, more "
        "is better. p: sign-flip test, adjusted by Holm's method."
        + (" Regret: how far the mean at the end is from the best there is." if known else "")
    )
    numeric = frozenset(range(1, len(heads) - 1))
    marked = frozenset(place for place, result in enumerate(strategies.ranked) if strategies.standing(result.name) == "better")
    return Table("Strategies by their end", tuple(heads), tuple(rows), numeric, note, marked)


def _rank_row(strategies: Strategies, result: Result, known: bool) -> tuple[str, ...]:
    rival = None if strategies.tests is None else strategies.tests.of(result.name)
    end = quality_words(result.mean)
    if result.interval is not None:
        end += f" ({quality_words(result.interval.low)}-{quality_words(result.interval.high)})"
    gained = p_value = NOT_RUN
    if rival is not None:
        mean, interval = gain(rival)
        gained = f"{signed_words(mean)} ({signed_words(interval.low)} to {signed_words(interval.high)})"
        p_value = f"{rival.holm_p_value:.3f}"
    regret = (UNKNOWN if result.regret is None else significant(result.regret),) if known else ()
    rank = UNKNOWN if result.mean_rank is None else f"{result.mean_rank:.2f}"
    area = quality_words(result.area)
    return (result.name, rank, end, *regret, area, gained, p_value, strategies.standing(result.name))


def speed_table(strategies: Strategies) -> Table | None:
    """How soon each strategy is as good as the baseline at its end; None without a baseline."""
    who = strategies.run.baseline
    if who is None:
        return None
    rows = []
    for result in strategies.ranked:
        cells = []
        for unit in strategies.units:
            speed = strategies.speed(result.name, unit)
            cells.append(UNKNOWN if speed is None else speed_words(speed, len(strategies.run.seeds)))
        rows.append((result.name, *cells))
    heads = ("Strategy", *(f"Part of {who}'s {UNIT_WORDS[unit]}" for unit in strategies.units))
    note = (
        f"What the strategy's mean curve spends until it is as good as {who}'s is at its end, as a part of all that {who} spent; "
        "in brackets the 95 % interval over seeds, drawn again together. Never: not within its own budget."
    )
    return Table("How soon as good as the baseline", heads, tuple(rows), frozenset(range(1, len(heads))), note)


def spent_table(strategies: Strategies) -> Table:
    """What a search of each strategy spent and trained, on average."""
    units = [unit for unit in UNIT_WORDS if any(result.spent.get(unit) for result in strategies.results)]
    statuses = [one for one in COUNTED if any(result.counts.get(one) for result in strategies.results)]
    seeds = len(strategies.run.seeds)
    rows = tuple(
        (
            result.name,
            *(amount(unit, result.spent[unit]).removesuffix(f" {unit}") for unit in units),
            *(shortest(result.counts.get(status, 0) / seeds) for status in statuses),
        )
        for result in strategies.ranked
    )
    heads = ("Strategy", *(f"{UNIT_WORDS[unit]}"[:1].upper() + UNIT_WORDS[unit][1:] for unit in units), *statuses)
    note = (
        "Means of a search. Trials are those whose training began; what became of all proposals stands to the right: stopped or "
        "paused at a hurdle, above a limit (infeasible), proposed before (duplicate). An attempt whose cost is not known pays "
        "what was reserved for it."
    )
    return Table("What a search spent", heads, rows, frozenset(range(1, len(heads))), note)


def finals_table(strategies: Strategies) -> Table:
    """The end of every single search."""
    heads = ("Strategy", *(f"Seed {seed}" for seed in strategies.run.seeds))
    rows = tuple((result.name, *(quality_words(one) for one in result.finals)) for result in strategies.ranked)
    return Table(
        "Every search", heads, rows, frozenset(range(1, len(heads))), f"The {strategies.quality.name} at the end of each search."
    )


def retrained_table(strategies: Strategies) -> Table | None:
    """The best retrained candidate of every search; None where nothing was retrained."""
    found = strategies.retrained
    if found is None:
        return None
    heads = ("Strategy", "Mean", *(f"Seed {seed}" for seed in strategies.run.seeds))
    order = sorted(found.values, key=lambda name: (name not in found.means, found.metric.loss(found.means.get(name, 0.0))))
    rows = tuple(
        (name, quality_words(found.means.get(name)), *(quality_words(one) for one in found.values[name])) for name in order
    )
    note = (
        f"{metric_name(found.metric.name)} on all validation data: the best of up to {strategies.run.retrain} "
        "candidates of each search, trained from scratch at the full budget. The energy of that is not the searches'."
    )
    return Table("Trained from scratch", heads, rows, frozenset(range(1, len(heads))), note)


def energy_table(basis: Basis, energy: Energy) -> Table:
    """Who drew what, down to the machine's total."""
    rows = [_bill_row(basis, bill) for bill in energy.bills]
    if energy.retraining is not None:
        rows.append(_bill_row(basis, energy.retraining))
    for name, drawn in (
        ("start, end and pauses", energy.nobodys_uj),
        ("foreign work", energy.foreign_uj),
        ("machines in all", energy.machine_uj),
    ):
        rows.append((name, NOT_RUN, NOT_RUN, watt_hours_between(drawn), mass_between(basis.settings.searched_range_g(drawn))))
    summed = (
        "The last column of energies sums to the machines' total, to the microjoule."
        if energy.exact
        else "The parts do not sum to the machines' total, so the energy ledger is damaged."
    )
    note = (
        f"{summed} By trials: fully loaded energy that the meter charged to trials, failed ones included. Beside them: idle "
        f"power and overhead that no trial paid while the strategy searched. {provenance_note(basis.source)}"
    )
    heads = ("Who", "By trials, Wh", "Beside them, Wh", "In all, Wh", "CO2e")
    return Table("Where the energy went", heads, tuple(rows), frozenset(range(1, 5)), note)


def _bill_row(basis: Basis, bill: Bill) -> tuple[str, ...]:
    grams = mass_between(basis.settings.searched_range_g(bill.total_uj))
    parts = (watt_hours_between(one) for one in (bill.trials_uj, bill.unpaid_uj, bill.total_uj))
    return (bill.name, *parts, grams)


def variants_table(strategies: Strategies) -> Table:
    """What each strategy is."""
    rows = tuple((one.name, settings_words(one.settings)) for one in strategies.run.variants)
    note = "What stands in the place of the keys of [search]; everything else is the same for all."
    return Table("What was compared", ("Strategy", "Settings"), rows, frozenset(), note, widest=1)


def strategies_setup_table(strategies: Strategies, basis: Basis | None) -> Table:
    """How it was done."""
    run = strategies.run
    info, search = run.info, run.experiment.get("search")
    times = ", ".join(f"{one.get('name')} {duration(float(one.get('seconds', 0)))}" for one in info.get("phases") or ())
    rows = [
        ("Run", run.run_id),
        ("Started", str(info.get("created_at", UNKNOWN))),
        ("Configuration", str(info.get("fingerprint", UNKNOWN))[:16]),
        ("Machine", settings_words(info.get("machine") or {})),
        ("Versions", settings_words(info.get("versions") or {})),
        ("Search", settings_words(search or {})),
        ("Time", times or UNKNOWN),
    ]
    if basis is not None:
        source = basis.source
        rows += [
            ("Energy source", f"{source.name} {source.version}, {source.provenance}. {source.note}".strip()),
            ("PUE", pue_words(basis.settings.pue)),
            ("Making of the hardware", embodied_words(basis.settings.embodied)),
            ("Corpus", settings_words(info.get("corpus") or {})),
            ("Recipe", settings_words(run.experiment.get("recipe") or {})),
        ]
    return Table("How it was done", ("", ""), tuple(rows), frozenset())
