"""Which assumption moves the answer most: each varied alone between its ends, all others central.

Everything is a point figure. The uncertainty of seeds and sentences is one of the bars, so that the others stand beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from nas.records import EnergySource, Record
from reports.break_even import Investment, Rates, saving_per_use, uses_to_pay_back
from reports.energy import search_cost
from reports.load import Run
from reports.models import Model, View, collect_models
from reports.pace import models_beside
from reports.scenarios import Range, Worlds, at
from reports.settings import grid
from reports.statistics import Interval
from reports.study import Cell
from reports.verdict import champions_training_uj, envelope_of


@dataclass(frozen=True)
class Answer:
    """Grams to earn back, grams saved per use, and what follows; `uses` is infinite where nothing is saved."""

    net_g: float
    saved_g: float

    @property
    def uses(self) -> float:
        """Uses until the search has paid back."""
        return uses_to_pay_back(self.net_g, self.saved_g, 1.0)

    def after(self, uses: int) -> float:
        """Net g CO2e after so many uses; below zero the search has paid back more than it cost."""
        return self.net_g - uses * self.saved_g


@dataclass(frozen=True, kw_only=True)
class Bar:
    """An assumption, its two ends in words, and the answer at each; None where that cannot be told from the records."""

    name: str
    ends: tuple[str, str]
    answers: tuple[Answer | None, Answer | None]
    note: str = ""

    def swing(self, uses: int) -> float:
        """How far it moves the net emissions after so many uses."""
        known = [one.after(uses) for one in self.answers if one is not None]
        return max(known) - min(known) if len(known) == 2 else 0.0


@dataclass(frozen=True, kw_only=True)
class Tornado:
    """All bars of a cell, the one that moves the net emissions after `uses` uses most first."""

    label: str
    central: Answer
    uses: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class _Joules:
    """Microjoules that the answer is made of."""

    net_uj: float
    saved_uj: float

    def at(self, rates: Rates) -> Answer:
        return Answer(self.net_uj * rates.searched_g_per_uj, self.saved_uj * rates.used_g_per_uj)


@dataclass(frozen=True, kw_only=True)
class Varied:
    """Runs as they were metered, and as if another thing had been assumed of their energies, for all searches of a study.

    `no_idle` and `whole_idle` are None where the idle part of an energy is not known.
    """

    metered: tuple[Run, ...]
    low: tuple[Run, ...]
    high: tuple[Run, ...]
    no_idle: tuple[Run, ...] | None
    whole_idle: tuple[Run, ...] | None


def varied(everywhere: Worlds) -> Varied:
    """Runs under everything that a tornado assumes of their energies."""
    metered = everywhere.runs["central"]
    known = all(_idle_known(run) for run in metered)
    return Varied(
        metered=metered,
        low=everywhere.runs["low"],
        high=everywhere.runs["high"],
        no_idle=tuple(map(without_idle, metered)) if known else None,
        whole_idle=tuple(map(with_whole_idle, metered)) if known else None,
    )


def tornado_of(cell: Cell, runs: Varied) -> Tornado | None:
    """The bars of a cell; None where its break-even has no saving to start from.

    Args:
        cell: the search.
        runs: all runs that its hand designs are from.
    """
    analysis = cell.analysis
    settings, rates = analysis.settings, analysis.settings.rates
    answer = analysis.findings.answer
    central = _joules(cell, runs.metered, "loaded")
    if central is None or answer.saving is None:
        return None
    bars = (
        _meter_bar(cell, runs),
        *_grid_bars(cell, central),
        _pue_bar(cell, central),
        _bootstrap_bar(central, rates, analysis.findings.assumed[0][0].saving, bool(analysis.evidence.paces)),
        Bar(
            name="view of energy",
            ends=("dynamic energy alone", "fully loaded"),
            answers=(_answer(_joules(cell, runs.metered, "dynamic"), rates), central.at(rates)),
        ),
        _idle_bar(cell, runs),
        *_embodied_bars(cell, central),
    )
    uses = min(settings.uses)
    ordered = sorted(bars, key=lambda one: -one.swing(uses))
    return Tornado(label=cell.label, central=central.at(rates), uses=uses, bars=tuple(ordered))


def _joules(cell: Cell, runs: tuple[Run, ...], view: View) -> _Joules | None:
    """What the point figures rest on, of runs that may have been changed."""
    ids = {run.run_id for run in cell.analysis.runs}
    models = {one.design: one for one in models_beside(collect_models(runs), ids)[0]}
    search, hand = (_same(models, one) for one in (cell.analysis.evidence.search, cell.analysis.evidence.hand))
    if search is None or hand is None or search.test_score is None:
        return None
    final_uj, hand_uj = champions_training_uj(search, hand, view)
    used = search.mean_output_uj(view)
    saved = None if used is None else saving_per_use(envelope_of(tuple(models.values()), view), search.test_score, used)
    if saved is None or final_uj is None or hand_uj is None:
        return None
    cost = search_cost(run for run in runs if run.run_id in ids)
    spent = cost.loaded_uj if view == "loaded" else cost.dynamic_uj
    return _Joules(Investment(search_uj=spent, final_uj=final_uj, hand_uj=hand_uj).net_uj, saved)


def _same(models: dict[str, Model], one: Model | None) -> Model | None:
    return None if one is None else models.get(one.design)


def _answer(joules: _Joules | None, rates: Rates) -> Answer | None:
    return None if joules is None else joules.at(rates)


def _meter_bar(cell: Cell, runs: Varied) -> Bar:
    rates = cell.analysis.settings.rates
    low, high = (_joules(cell, one, "loaded") for one in (runs.low, runs.high))
    return Bar(name="power model", ends=("low scenario", "high scenario"), answers=(_answer(low, rates), _answer(high, rates)))


def _grid_bars(cell: Cell, central: _Joules) -> tuple[Bar, ...]:
    """The grid where it was searched and where it is used; of one region for both, the two move together."""
    settings = cell.analysis.settings
    searched, used = grid(settings.searched_in), grid(settings.used_in)

    def rates_at(searched_g: float, used_g: float) -> Answer:
        given = settings.rates
        return central.at(
            Rates(
                searched_g_per_uj=_scaled(given.searched_g_per_uj, searched_g, searched.central),
                used_g_per_uj=_scaled(given.used_g_per_uj, used_g, used.central),
            )
        )

    if settings.searched_in == settings.used_in:
        both = (rates_at(searched.low, used.low), rates_at(searched.high, used.high))
        return (Bar(name="grid, searched and used", ends=_grid_ends(searched), answers=both),)
    return (
        Bar(
            name="grid where it was searched",
            ends=_grid_ends(searched),
            answers=(rates_at(searched.low, used.central), rates_at(searched.high, used.central)),
        ),
        Bar(
            name="grid where it is used",
            ends=_grid_ends(used),
            answers=(rates_at(searched.central, used.low), rates_at(searched.central, used.high)),
        ),
    )


def _scaled(rate: float, given: float, central: float) -> float:
    return rate * given / central if central else rate


def _grid_ends(region: Range) -> tuple[str, str]:
    return f"{region.low:.4g} g/kWh", f"{region.high:.4g} g/kWh"


def _pue_bar(cell: Cell, central: _Joules) -> Bar:
    settings = cell.analysis.settings
    pue = settings.pue
    ends = [replace(settings, pue=Range(one, one, one)).rates for one in (pue.low, pue.high)]
    note = "" if pue.low < pue.high else "no range was given"
    return Bar(name="PUE", ends=(f"{pue.low:g}", f"{pue.high:g}"), answers=(central.at(ends[0]), central.at(ends[1])), note=note)


def _bootstrap_bar(central: _Joules, rates: Rates, saving: Interval | None, paced: bool) -> Bar:
    """The saving at the ends of its 95 % interval in the central scenario."""
    found: list[Answer | None] = [None, None]
    if saving is not None:
        found = [replace(central, saved_uj=one).at(rates) for one in (saving.high, saving.low)]
    name = "seeds, test data and pace of other runs" if paced else "seeds and test data"
    return Bar(name=name, ends=("most saved (97.5 %)", "least saved (2.5 %)"), answers=(found[0], found[1]))


def _idle_bar(cell: Cell, runs: Varied) -> Bar:
    """Idle power charged to nobody, or all of a machine's to whichever training or use runs on it."""
    rates = cell.analysis.settings.rates
    none, whole = (None if one is None else _joules(cell, one, "loaded") for one in (runs.no_idle, runs.whole_idle))
    return Bar(
        name="share of idle power",
        ends=("none of it charged", "all of the machine's"),
        answers=(_answer(none, rates), _answer(whole, rates)),
        note="" if runs.no_idle is not None else "the idle part of an energy is not known",
    )


def _idle_known(run: Run) -> bool:
    return all(phase.idle_uj is not None or phase.loaded_uj is None for record in run.records for phase in record.phases)


def without_idle(run: Run) -> Run:
    """The run as if idle power were charged to nobody; the idle power of GPUs stays, which its records do not tell apart."""
    return _idle_times(run, lambda _: 0.0, machines=True)


def with_whole_idle(run: Run) -> Run:
    """The run as if each training and use had its machine to itself; a search pays for all idle power of its time anyway."""
    # The meter charges each trial that holds cores the idle power of one, however many it holds.
    return _idle_times(run, lambda record: max(1.0, float(record.machine.get("cores") or 1)), machines=False)


def _idle_times(run: Run, factor: Callable[[Record], float], machines: bool) -> Run:
    """A run whose idle energies are multiplied: a scenario of its own, in which nothing else moves."""
    found = tuple(one for record in run.records for one in at(_under(run, (record,), factor(record)), "low").records)
    ticks = at(_under(run, (), 0.0), "low").machines if machines else run.machines
    return replace(run, records=found, machines=ticks)


def _under(run: Run, records: tuple[Record, ...], idle: float) -> Run:
    source = EnergySource(name="idle varied", provenance="estimated", version="", low={"idle": idle, "busy": 1.0, "gpu": 1.0})
    own = tuple(replace(one, energy=source) for one in records)
    machines = tuple(replace(one, source=source) for one in run.machines) if not records else ()
    return replace(run, records=own, machines=machines, source=source)


def _embodied_bars(cell: Cell, central: _Joules) -> tuple[Bar, ...]:
    """What making the hardware adds for the time of the search; nothing where no figure was given."""
    grams, rates = cell.analysis.search_embodied_g, cell.analysis.settings.rates
    base = central.at(rates)
    if grams is None:
        return (
            Bar(name="making of the hardware", ends=("not counted", "not counted"), answers=(None, None), note="no figure given"),
        )
    ends = tuple(replace(base, net_g=base.net_g + one) for one in (0.0, grams.high))
    return (Bar(name="making of the hardware", ends=("not counted", f"{grams.high:.3g} g"), answers=(ends[0], ends[1])),)
