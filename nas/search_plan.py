"""From an experiment to the plan that the search engine carries out."""

from collections.abc import Mapping
from dataclasses import dataclass

from manual_designs.all_designs import find_design
from nas.errors import UserError
from nas.evaluation import Assignment, counts_of
from nas.execution.executor import Job, Result
from nas.experiment_parts import Experiment
from nas.objectives import Objective, find_objective
from nas.proxies import ALL_PROXIES
from nas.records import Counts, Record
from nas.search.budget import Budget, Cost
from nas.search.plan import Measured, SearchPlan, Start, StopRule, Trial
from nas.search.strategies import resolve_options
from nas.search_parts import SearchPart
from nas.units import emissions_g_co2e, microjoules_from_kwh
from nas.worker import Wishes, payload
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.space import Genome, OutsideSpace, Space
from search_spaces.spaces.all_spaces import find_space

# The two figures that are known without training, under the names that records have for them.
COUNTED = {"macs": "macs_paper", "params": "params_paper"}


def searched_design(space: Space, number: int, genome: Genome) -> Design:
    """The Design that a trial stands for."""
    return Design(name=f"searched-{number}", family="searched", architecture=space.decode(genome))


def plan_of(
    experiment: Experiment,
    sizes: Sizes,
    g_per_kwh: float,
    name: str = "search",
    paid: Cost | None = None,
    uj_per_token: float = 0.0,
) -> SearchPlan:
    """The plan of an experiment's search.

    Args:
        experiment: with a search.
        sizes: of the task's vocabularies.
        g_per_kwh: carbon intensity where it is searched.
        name: of the search in its ledger; with a slash behind it, what the ids of its jobs begin with.
        paid: what was spent for it before its first trial.
        uj_per_token: fully loaded microjoules that training is expected to draw, until a trial was seen.

    Raises:
        UserError: a first design does not fit the space or the limit.
    """
    part = experiment.search_part
    space, tokens = find_space(part.space), experiment.task.counted_tokens
    objectives = tuple(find_objective(one) for one in part.objectives)
    pue = experiment.carbon.pue
    jobs = _Jobs(part=part, space=space, objectives=objectives, uj_per_token=uj_per_token, g_per_kwh=g_per_kwh, pue=pue)
    return SearchPlan(
        name=name,
        space=space,
        strategy=part.strategy,
        options=resolve_options(part.strategy, part.options, part.trials),
        seed=part.seed,
        directions=tuple(one.direction for one in objectives),
        budget=_budget(part),
        paid=paid or Cost(),
        hurdles=lambda: part.hurdles.build(part.trial_tokens),
        hurdle_options=part.hurdles.model_dump(exclude_defaults=True),
        planned=jobs.planned,
        measure=lambda genome: _measure(part, counts_of(space.decode(genome), sizes, tokens)),
        make_job=jobs.make,
        value_of=lambda result: _values(objectives, result),
        screen_of=lambda result: -float(result["record"]["metrics"][f"proxy_{part.hurdles.proxy}"]),
        limits_of=lambda result: _violations(part, result),
        cost_of=lambda result: cost_of(Record.from_plain(result["record"]), g_per_kwh, pue),
        seeds=tuple(_first(space, one, part.mac_limit, sizes, tokens) for one in part.first),
        inherit=part.weights == "parent",
        repeat=part.repeat_duplicates,
        stop_rule=None if part.stop is None else StopRule("emissions_g_co2e", part.stop.emissions_g_co2e, part.stop.gain),
    )


@dataclass(frozen=True, kw_only=True)
class _Jobs:
    """The jobs of a search's trials."""

    part: SearchPart
    space: Space
    objectives: tuple[Objective, ...]
    uj_per_token: float
    g_per_kwh: float
    pue: float

    @property
    def last(self) -> int:
        """The last rung."""
        return len(self.part.hurdles.rung_tokens(self.part.trial_tokens)) - 1 + bool(self.part.hurdles.proxy)

    def planned(self, rung: int, inherits: bool) -> Cost:
        """What a leg is expected to cost. Members of a supernet are not trained."""
        if self.part.weights == "supernet":
            return Cost()
        tokens = self.part.tokens_at(rung, inherits) - (self.part.tokens_at(rung - 1, inherits) if rung else 0)
        energy_uj = round(self.uj_per_token * tokens)
        grams = emissions_g_co2e(energy_uj, self.g_per_kwh, self.pue)
        return Cost(tokens=tokens, energy_uj=energy_uj, emissions_g_co2e=grams)

    def make(self, trial: Trial, rung: int, start: Start | None) -> Job:
        """The job of a leg; where it goes on from a state, or from a parent's weights, these are its arrays."""
        part = self.part
        # With no weights left to go on from, a trial is trained as any that starts from scratch.
        inherits = start is not None and (trial.inherited or start.trial is not trial)
        supernet = part.weights == "supernet"
        budget = 0 if supernet else part.tokens_at(self.last, inherits)
        assignment = Assignment(
            record_id=trial.job_id, role="search", genome=trial.candidate, strategy=part.strategy, trial=trial.number
        )
        wishes = self._wishes(rung)
        if rung < self.last:
            wishes["until_tokens"] = part.tokens_at(rung, inherits)
        if start is not None and start.trial is trial:
            wishes["state"] = start.state
        elif start is not None or supernet:
            wishes["inherit"] = "supernet" if supernet else "arrays"
        given = payload(searched_design(self.space, trial.number, trial.candidate), budget, part.seed, assignment, **wishes)
        return Job(trial.job_id, 1, given, {} if start is None else start.arrays)

    def _wishes(self, rung: int) -> Wishes:
        """What is measured: outputs at the end of training or where an objective needs them, proxies before it."""
        part = self.part
        needs = {one.need for one in self.objectives} | {find_objective(name).need for name in part.limits}
        proxies = [one.name for one in ALL_PROXIES] if part.hurdles.proxy and rung == 0 else []
        return Wishes(
            valid_sentences=part.valid_sentences,
            keep_state=self.last > 0,
            keep_weights=part.weights == "parent",
            outputs="outputs" in needs or (rung == self.last and part.weights != "supernet"),
            latency="latency" in needs and not proxies,
            proxies=proxies,
        )


def _measure(part: SearchPart, counts: Counts) -> Measured:
    figures = {"macs_paper": counts.macs_paper, "params_paper": counts.params_paper}
    limits = {COUNTED[name]: limit for name, limit in part.limits.items() if name in COUNTED}
    limits["macs_paper"] = min(part.mac_limit, limits.get("macs_paper", part.mac_limit))
    return Measured(figures, limits)


def _values(objectives: tuple[Objective, ...], result: Result) -> tuple[float, ...]:
    record = Record.from_plain(result["record"])
    values = (one.of(record) for one in objectives)
    return tuple(float("nan") if value is None else float(value) for value in values)


def _violations(part: SearchPart, result: Result) -> Mapping[str, float]:
    """Of the limits on what has to be measured; those on counts were looked at before."""
    names = [name for name in part.limits if not find_objective(name).untrained]
    record = Record.from_plain(result["record"]) if names else None
    return {
        name: find_objective(name).violation(find_objective(name).of(record), part.limits[name])
        for name in names
        if record is not None
    }


def _budget(part: SearchPart) -> Budget:
    return Budget(
        trials=part.trials,
        tokens=part.tokens,
        wall_s=None if part.wall_minutes is None else part.wall_minutes * 60,
        energy_uj=None if part.energy_kwh is None else microjoules_from_kwh(part.energy_kwh),
        emissions_g_co2e=part.emissions_g_co2e,
    )


def _first(space: Space, name: str, mac_limit: int, sizes: Sizes, tokens: int) -> Genome:
    architecture = find_design(name).architecture
    if (macs := counts_of(architecture, sizes, tokens).macs_paper) > mac_limit:
        raise UserError(
            f"search.first: expected designs within {mac_limit:,} MACs, got {name} with {macs:,}; leave it out or raise the limit"
        )
    try:
        return space.encode(architecture)
    except OutsideSpace as error:
        raise UserError(f"search.first: {name} is not in the space: {error}; leave it out") from error


def cost_of(record: Record, g_per_kwh: float, pue: float) -> Cost | None:
    """What a leg cost: tokens trained on, and fully loaded energy. None where the meter does not know it."""
    energy_uj = record.total("loaded_uj")
    if energy_uj is None:
        return None
    train = record.phase("train")
    return Cost(
        tokens=train.tokens if train else 0,
        energy_uj=energy_uj,
        emissions_g_co2e=emissions_g_co2e(energy_uj, g_per_kwh, pue),
    )
