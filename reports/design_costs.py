"""What every design drew to be trained, evaluated and used, dynamic and fully loaded, with ranges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from nas.records import Scenario
from reports.load import Run
from reports.models import Model, View, collect_compared, collect_models, phase_energy
from reports.processors import Processor, on_first_kind
from reports.scenarios import Range, Worlds, range_of


@dataclass(frozen=True, kw_only=True)
class DesignCost:
    """Energies of one design in microjoules, each the mean over its trainings and None where any of them is unknown.

    `output_*` are of one output, measured over `num_outputs` of them in all; `times_least` is the loaded one over that of the
    design that needs least, both of the same scenario. `model` holds the records; `kind` is the kind of processor that they are
    of, where these are told apart.
    """

    model: Model
    kind: Processor | None
    num_outputs: int
    training_dynamic_uj: Range | None
    training_loaded_uj: Range | None
    evaluation_dynamic_uj: Range | None
    evaluation_loaded_uj: Range | None
    output_dynamic_uj: Range | None
    output_loaded_uj: Range | None
    times_least: Range | None


def design_costs(everywhere: Worlds, kinds: Sequence[Processor] = ()) -> tuple[DesignCost, ...]:
    """Every design trained at the full budget, in the order of the models.

    Energies of a design are those of the first of `kinds` of processors on which it was trained, if any are given; how many times
    the least it needs is known on the first of them alone.
    """
    models = {scenario: _models(runs, kinds) for scenario, runs in everywhere.runs.items()}
    central, first = models["central"], kinds[0] if kinds else None
    known = {design: uj for design, (one, kind) in central.items() if kind == first and (uj := one.mean_output_uj("loaded"))}
    least = min(known, key=lambda design: known[design], default=None)

    def of(design: tuple[str, str]) -> dict[Scenario, Model]:
        return {scenario: one[design][0] for scenario, one in models.items()}

    return tuple(_cost(of(design), kind, of(least) if least and kind == first else None) for design, (_, kind) in central.items())


def mean_training_uj(model: Model, view: View) -> float | None:
    """Microjoules of training a model once, the mean over its seeds; None when unknown."""
    energy_uj = model.training_uj(view)
    return None if energy_uj is None else energy_uj / len(model.runs)


def _models(runs: Sequence[Run], kinds: Sequence[Processor]) -> dict[tuple[str, str], tuple[Model, Processor | None]]:
    """Models by family and design, of runs with a search or without, each with the kind of processor that it is told on."""
    found = collect_models(runs) if runs[0].searched else collect_compared(runs)
    return {(one.family, one.design): on_first_kind(one, kinds) for one in found}


def _cost(models: Mapping[Scenario, Model], kind: Processor | None, least: Mapping[Scenario, Model] | None) -> DesignCost:
    central = models["central"]
    trained = [one for seed in central.counted for one in seed]
    used = [phase for record in trained if (phase := record.phase("inference")) is not None]
    return DesignCost(
        model=central,
        kind=kind,
        num_outputs=sum(phase.sentences for phase in used),
        training_dynamic_uj=_range(models, lambda model: mean_training_uj(model, "dynamic")),
        training_loaded_uj=_range(models, lambda model: mean_training_uj(model, "loaded")),
        evaluation_dynamic_uj=_range(models, lambda model: _mean_evaluation_uj(model, "dynamic")),
        evaluation_loaded_uj=_range(models, lambda model: _mean_evaluation_uj(model, "loaded")),
        output_dynamic_uj=_range(models, lambda model: model.mean_output_uj("dynamic")),
        output_loaded_uj=_range(models, lambda model: model.mean_output_uj("loaded")),
        times_least=None if least is None else _times(models, least),
    )


def _times(models: Mapping[Scenario, Model], least: Mapping[Scenario, Model]) -> Range | None:
    """Loaded energy of an output over that of another design, scenario by scenario."""
    pairs = {
        scenario: (model.mean_output_uj("loaded"), least[scenario].mean_output_uj("loaded")) for scenario, model in models.items()
    }
    found = {scenario: own / other for scenario, (own, other) in pairs.items() if own is not None and other}
    return range_of(found) if len(found) == len(pairs) else None


def _range(models: Mapping[Scenario, Model], quantity: Callable[[Model], float | None]) -> Range | None:
    found = {scenario: quantity(model) for scenario, model in models.items()}
    known = {scenario: value for scenario, value in found.items() if value is not None}
    return range_of(known) if len(known) == len(found) else None


def _mean_evaluation_uj(model: Model, view: View) -> float | None:
    """Mean over a model's seeds of what validation drew, each seed's over its trainings; None where a seed has none."""
    seeds = [[phase_energy(one.phase("validate"), view) for one in seed] for seed in model.counted]
    known = [mean(found) for seed in seeds if (found := [one for one in seed if one is not None])]
    return mean(known) if known and len(known) == len(seeds) else None
