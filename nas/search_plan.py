"""From an experiment to the plan that the search engine carries out."""

from manual_designs.all_designs import find_design
from nas.errors import UserError
from nas.evaluation import Assignment
from nas.execution.executor import Job, Result
from nas.experiment_parts import Experiment, SearchPart
from nas.records import Record
from nas.search.budget import Budget, Cost
from nas.search.hurdles import NoHurdles
from nas.search.plan import Measured, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.units import emissions_g_co2e, microjoules_from_kwh
from nas.worker import payload
from search_spaces.counting import size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.space import Genome, OutsideSpace, Space
from search_spaces.spaces.all_spaces import find_space

MAXIMISED = ("valid_bleu", "valid_chrf")


def searched_design(space: Space, number: int, genome: Genome) -> Design:
    """The Design that a trial stands for."""
    return Design(name=f"searched-{number}", family="searched", architecture=space.decode(genome))


def plan_of(experiment: Experiment, sizes: Sizes, g_per_kwh: float) -> SearchPlan:
    """The plan of an experiment's search. Raises UserError when a first design does not fit the space or the limit."""
    part = experiment.search_part
    space = find_space(part.space)

    def measure(genome: Genome) -> Measured:
        counted = size(space.decode(genome), sizes)
        figures = {"macs_paper": counted.macs.paper, "params_paper": counted.params_paper}
        return Measured(figures, {"macs_paper": part.mac_limit})

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        assignment = Assignment(
            record_id=trial.job_id, role="search", genome=trial.candidate, strategy=part.strategy, trial=trial.number
        )
        design = searched_design(space, trial.number, trial.candidate)
        given = payload(design, part.trial_tokens, part.seed, assignment, valid_sentences=part.valid_sentences)
        return Job(trial.job_id, 1, given)

    return SearchPlan(
        space=space,
        strategy=part.strategy,
        options=resolve_options(part.strategy, part.options, part.trials),
        seed=part.seed,
        directions=("maximize" if part.objective in MAXIMISED else "minimize",),
        budget=_budget(part),
        hurdles=lambda: NoHurdles(part.trial_tokens),
        planned=lambda rung, inherits: Cost(tokens=part.trial_tokens),
        measure=measure,
        make_job=make_job,
        value_of=lambda result: (float(result["record"]["metrics"][part.objective]),),
        cost_of=lambda result: cost_of(result, g_per_kwh, experiment.carbon.pue),
        seeds=tuple(_first(space, name, part.mac_limit, sizes) for name in part.first),
    )


def _budget(part: SearchPart) -> Budget:
    return Budget(
        trials=part.trials,
        tokens=part.tokens,
        wall_s=None if part.wall_minutes is None else part.wall_minutes * 60,
        energy_uj=None if part.energy_kwh is None else microjoules_from_kwh(part.energy_kwh),
        emissions_g_co2e=part.emissions_g_co2e,
    )


def _first(space: Space, name: str, mac_limit: int, sizes: Sizes) -> Genome:
    architecture = find_design(name).architecture
    if size(architecture, sizes).macs.paper > mac_limit:
        raise UserError(
            f"search.first: expected designs within {mac_limit:,} MACs, got {name} with "
            f"{size(architecture, sizes).macs.paper:,}; leave it out or raise the limit"
        )
    try:
        return space.encode(architecture)
    except OutsideSpace as error:
        raise UserError(f"search.first: {name} is not in the space: {error}; leave it out") from error


def cost_of(result: Result, g_per_kwh: float, pue: float) -> Cost | None:
    """What a finished trial cost: target tokens trained on, and fully loaded energy. None where the meter does not know it."""
    record = Record.from_plain(result["record"])
    loaded = [phase.loaded_uj for phase in record.phases]
    if not loaded or None in loaded:
        return None
    energy_uj = sum(one for one in loaded if one is not None)
    train = record.phase("train")
    return Cost(
        tokens=train.tokens if train else 0,
        energy_uj=energy_uj,
        emissions_g_co2e=emissions_g_co2e(energy_uj, g_per_kwh, pue),
    )
