"""The questions of the checklist and how each is answered from the records, see `reports.checklist`."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from nas.records import Record
from reports.basis import Basis
from reports.cells import cells_of
from reports.energy import search_cost
from reports.load import FULL_BUDGET_ROLES, setting
from reports.models import SEARCHED as SEARCHED_FAMILY
from reports.models import Model, champion, collect_compared, collect_models, within
from reports.scenarios import Range
from reports.words import significant

Answer = Literal["yes", "partly", "no", "unknown"]
ANSWERS: tuple[Answer, ...] = ("yes", "partly", "no", "unknown")
SOFTWARE = "fact of the software: "

FEW, MANY = 2, 5
"""Repetitions from which a spread is known at all, and from which it is known well enough."""
BUSY = 0.05
"""Other people's share of the machines' energy up to which a measurement is called undisturbed."""


Found = tuple[Answer, str]
Question = tuple[str, Callable[[Basis], Found]]


def _full(basis: Basis) -> tuple[Record, ...]:
    return basis.records(*FULL_BUDGET_ROLES)


def _trained(basis: Basis) -> tuple[Record, ...]:
    return basis.records(*FULL_BUDGET_ROLES, "search", "control", "compressed")


def _share(records: Sequence[Record], has: Callable[[Record], Any], what: str) -> Found:
    """Yes where every record has something, partly where some do, unknown without records."""
    count = sum(bool(has(one)) for one in records)
    if not records:
        return "unknown", "there are no such records"
    answer: Answer = "yes" if count == len(records) else "partly" if count else "no"
    return answer, f"{what} in {count} of {len(records)} records"


def _several(count: int, what: str) -> Found:
    if not count:
        return "unknown", f"no {what} in the records"
    return ("yes" if count >= MANY else "partly" if count >= FEW else "no"), f"{count} {what}; {MANY} or more count as yes"


# Can it be done again?


def _code(basis: Basis) -> Found:
    own = sorted({str(one.versions.get("carbon-nas", "")) for one in _trained(basis)} - {""})
    if not own:
        return "unknown", "the records name no version of carbon-nas"
    return "yes", f"{SOFTWARE}carbon-nas is released under Apache-2.0; the records are of version {', '.join(own)}"


def _versions(basis: Basis) -> Found:
    return _share(_trained(basis), lambda one: len(one.versions) > 1, "versions of the libraries")


def _recipe(basis: Basis) -> Found:
    return _share(_trained(basis), lambda one: one.recipe, "hyperparameters of training")


def _seed(basis: Basis) -> Found:
    seeds = sorted({one.seed for one in _trained(basis)})
    return ("yes", f"seeds {', '.join(map(str, seeds))}; every record has one") if seeds else ("unknown", "there are no records")


def _data(basis: Basis) -> Found:
    return _share(
        _trained(basis), lambda one: one.corpus.get("version") and one.corpus.get("sha256"), "pinned version and hash of the data"
    )


def _machine(basis: Basis) -> Found:
    return _share(_trained(basis), lambda one: one.machine.get("cpu") and one.machine.get("cores"), "processor and cores")


REPEATABLE: tuple[Question, ...] = (
    ("Is the code of training and search released, and which version was it?", _code),
    ("Are the versions of the libraries recorded?", _versions),
    ("Are all hyperparameters of training recorded?", _recipe),
    ("Are the random seeds recorded?", _seed),
    ("Can exactly these data be had again?", _data),
    ("Is the hardware recorded?", _machine),
)


# Is it fair?


def _same(name: str, words: str) -> Callable[[Basis], Found]:
    def answer(basis: Basis) -> Found:
        settings = [setting(one)[name] for one in _full(basis)]
        kinds = [one for index, one in enumerate(settings) if one not in settings[:index]]
        if not kinds:
            return "unknown", "there are no models at the full budget"
        return ("yes" if len(kinds) == 1 else "no"), f"{len(kinds)} {words} among {len(settings)} models at the full budget"

    return answer


def _champions(basis: Basis) -> tuple[Model, ...]:
    """The models that a conclusion is about: champions with fresh seeds, or every hand design where nothing was searched."""
    if not basis.run.searched:
        return collect_compared(basis.runs)
    models = collect_models(basis.runs)
    limits = {cell.key.mac_limit for cell in cells_of(basis.runs)}
    hand = (champion(within(models, limit), searched=False) for limit in limits)
    return (*(one for one in models if one.searched and one.finals), *(one for one in hand if one is not None))


def _seeds_of_models(basis: Basis) -> Found:
    if not _full(basis):
        return "unknown", "there are no models at the full budget"
    seeds = {one.design: len(one.finals) for one in _champions(basis)}
    if not seeds:
        return "no", "no model has a fresh seed"
    fewest = [name for name, count in sorted(seeds.items()) if count == min(seeds.values())]
    what = f"fresh seed(s) of {', '.join(fewest[:3])}{' and others' if len(fewest) > 3 else ''}"
    return _several(min(seeds.values()), f"{what}, the fewest of what is compared")


def _tuned(basis: Basis) -> Found:
    rates = {str(one.recipe.get("peak_learning_rate")) for one in _full(basis)} - {"None"}
    if not rates:
        return "unknown", "the recipes name no learning rate"
    return ("yes" if len(rates) > 1 else "no"), f"{len(rates)} learning rate(s) among the models at the full budget"


def _held_back(basis: Basis) -> Found:
    # Hand designs that were trained longer are controls too, and have a score on the test set to be compared by.
    searched = [one for one in basis.records("search", "control") if one.family == SEARCHED_FAMILY]
    seen = [one.record_id for one in searched if any(name.startswith("test_") for name in one.metrics)]
    if not searched:
        return "unknown", "there are no trials"
    return ("no" if seen else "yes"), f"{len(seen)} of {len(searched)} records of the search have a score on the test set"


def _undisturbed(basis: Basis) -> Found:
    if not basis.split.from_ledger or not basis.split.total_uj:
        return "unknown", "there is no energy ledger"
    foreign = dict(basis.split.parts).get("foreign", 0) / basis.split.total_uj
    return (
        "yes" if foreign <= BUSY else "partly"
    ), f"other work drew {foreign:.1%} of the machines' energy; it is charged to nobody"


FAIR: tuple[Question, ...] = (
    ("Were all compared models trained by the same recipe?", _same("recipe", "recipe(s)")),
    ("With the same budget?", _same("budget_tokens", "budget(s)")),
    ("On the same data?", _same("corpus", "description(s) of the data")),
    ("Were the compared models trained with several seeds?", _seeds_of_models),
    ("Was the recipe tuned for the designs?", _tuned),
    ("Was the machine free of other work?", _undisturbed),
)


# Is the search compared as it should be?


def _strategies(basis: Basis) -> set[str]:
    return {one.strategy for one in basis.records("search") if one.strategy}


def _random(basis: Basis) -> Found:
    found = _strategies(basis)
    if not found:
        return "unknown", "the records name no strategy"
    if not any(one.split("+")[0] == "random" for one in found):
        return "no", f"searched by {', '.join(sorted(found))} alone"
    alone = len(found) == 1
    return ("partly" if alone else "yes"), "random search is the search itself" if alone else f"of {', '.join(sorted(found))}"


def _searches(basis: Basis) -> Found:
    seeds: dict[tuple[str, int | None], set[int]] = {}
    for cell in cells_of(basis.runs):
        seeds.setdefault((cell.key.strategy, cell.key.mac_limit), set()).add(cell.key.search_seed)
    most = max(map(len, seeds.values()), default=0)
    return _several(most, "seed(s) of the search with one strategy and limit, the most that any has")


def _hand_tried(basis: Basis) -> Found:
    hand = {one.design: one.architecture for one in basis.records("hand")}
    tried = [one.architecture for one in basis.records("search")]
    if not hand:
        return "no", "there is no hand design"
    found = [name for name, one in hand.items() if one is not None and one in tried]
    answer: Answer = "yes" if len(found) == len(hand) else "partly" if found else "no"
    return answer, f"{len(found)} of {len(hand)} hand designs have the architecture of a trial"


def _fates(basis: Basis) -> Found:
    cost = search_cost(basis.runs)
    ends = sorted({one.status for one in basis.records("search")})
    if not cost.loaded_uj:
        return "unknown", "the search's energy is not known"
    if cost.from_ledger:
        return "yes", f"from the energy ledger, whatever became of a trial ({', '.join(ends)}), with idle power and overhead"
    return "partly", f"from the records alone; {cost.num_unattributed} of them have no energy"


SEARCHED: tuple[Question, ...] = (
    ("Is random search beside it, in the same space?", _random),
    ("Was the search itself repeated?", _searches),
    ("Could the search have found the hand designs, since they were tried?", _hand_tried),
    ("Was the test set held back from the search?", _held_back),
    ("Is everything counted that the search cost, failed trials too?", _fates),
)


# Are energy and carbon told in full?


def _provenance(basis: Basis) -> Found:
    answers: dict[str, Answer] = {"measured": "yes", "sampled": "partly", "estimated": "no", "unattributed": "unknown"}
    source = basis.source
    return answers[source.provenance], f"{source.provenance} by {source.name} {source.version}".strip()


def _range(basis: Basis) -> Found:
    cost: Range = basis.worlds.range(lambda runs: float(sum(one.machine_uj for run in runs for one in run.machines)))
    if not cost.central:
        return "unknown", "there is no energy ledger"
    ends = f"{significant(cost.low / cost.central)} and {significant(cost.high / cost.central)} times the figure"
    return ("yes" if cost.low < cost.high else "no"), f"the machines' energy lies between {ends}"


def _conserved(basis: Basis) -> Found:
    if not basis.split.from_ledger:
        return "unknown", "there is no energy ledger"
    return ("yes" if basis.split.exact else "no"), f"the parts of {basis.split.total_uj:,} µJ were summed and compared"


def _idle(basis: Basis) -> Found:
    if not basis.split.from_ledger:
        return "unknown", "there is no energy ledger"
    parts = dict(basis.split.parts)
    return "yes", f"idle power {parts.get('idle', 0) / max(1, basis.split.total_uj):.1%} of all, shared among what ran"


def _region(basis: Basis) -> Found:
    region = basis.settings.searched_in
    year = "no year" if region.year is None else str(region.year)
    return "yes", f"{SOFTWARE}no report without them; {region.name}, {region.g_per_kwh:g} g CO2e per kWh, {region.kind}, {year}"


def _pue(basis: Basis) -> Found:
    pue = basis.settings.pue
    return ("yes" if pue.high > 1 else "no"), f"power usage effectiveness {pue.central:g}"


def _embodied(basis: Basis) -> Found:
    counted = basis.settings.embodied is not None
    return ("yes" if counted else "no"), "given and told apart" if counted else "not given, so not counted"


def _apart(basis: Basis) -> Found:
    parts = [name for name in ("search", "training", "inference") if dict(basis.split.parts).get(name)]
    wanted = ["training", "inference", *(["search"] if basis.run.searched else [])]
    missing = [name for name in wanted if name not in parts]
    return ("yes" if not missing else "partly"), f"energy of {', '.join(parts) or 'nothing'} stands apart"


def _people(basis: Basis) -> Found:
    return "no", f"{SOFTWARE}what people spent on inventing the designs is not in any record"


CARBON: tuple[Question, ...] = (
    ("Was the energy measured by counters?", _provenance),
    ("Has it a range, carried into every figure?", _range),
    ("Do its parts sum to the whole?", _conserved),
    ("Are idle power and overhead counted?", _idle),
    ("Are search, training and use told apart?", _apart),
    ("Are region, intensity and year named?", _region),
    ("Is cooling of the data centre counted?", _pue),
    ("Is the making of the hardware counted?", _embodied),
    ("Is the work of people counted?", _people),
)
