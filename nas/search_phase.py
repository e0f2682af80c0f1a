"""The search of a run: a supernet where there is one, the trials, the finalists, and the controls of cheap scores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from manual_designs.all_designs import find_design
from nas.errors import Fruitless, UserError
from nas.evaluation import Assignment, sizes_of
from nas.execution.executor import Answer, Arrays, Executor, Job
from nas.ledger import read_events
from nas.objectives import find_objective
from nas.records import Record, merged
from nas.rung_store import RungStore
from nas.search.budget import Cost
from nas.search.coordinator import search
from nas.search.dominance import best_first, losses_of
from nas.search.jobs import run_jobs
from nas.search.plan import SearchOutcome, SearchPlan, Trial
from nas.search_parts import SearchPart
from nas.search_plan import cost_of, plan_of, searched_design
from nas.search_progress import SearchTeller
from nas.supernet import Sandwich
from nas.tasks.encoding import EncodedTask
from nas.units import emissions_g_co2e
from nas.worker import supernet_payload
from nas.workshop import Workshop
from search_spaces.architecture import Architecture
from search_spaces.design import Design
from search_spaces.spaces.all_spaces import find_space

STORE_BYTES = 2 * 2**30


@dataclass
class SearchPhase:
    """Everything between the hand designs and the champions. Workers never hold test data here.

    `name` is the search's in the ledger, which the ids of its jobs begin with; a run may hold several searches.
    """

    shop: Workshop
    name: str = "search"

    def run(self) -> list[Record]:
        """The records of the finalists that came through."""
        shop, part = self.shop, self.shop.experiment.search_part
        task = shop.task.without_test()
        shop.run.update(genes=[gene.name for gene in find_space(part.space).genes()])  # for reports, which know no spaces
        weights, paid = self.prepare(task)
        with shop.executor(task, weights) as executor:
            with shop.phase("search", "search"):
                outcome = self.search(executor, paid)
            with shop.phase("finalists", "finalists"):
                finalists = shop.choose(executor, "finalist", self._finalists(outcome))
            if part.supernet is not None and part.supernet.correlation_trials:
                with shop.phase("controls", "controls of the supernet's ranking"):
                    self._train_controls(executor, outcome, part.supernet.correlation_trials)
        return finalists

    def prepare(self, task: EncodedTask) -> tuple[Arrays | None, Cost]:
        """The supernet's tensors, None where the search has none, and what training them cost.

        Legs that an earlier start finished are not trained again.
        """
        shop, part = self.shop, self.shop.experiment.search_part
        if part.supernet is None:
            return None, Cost()
        legs = part.supernet.legs
        store = RungStore(self.folder("supernet"), STORE_BYTES)
        records = []
        with shop.phase("supernet", "supernet"), shop.executor(task) as executor:
            for leg in range(1, legs + 1):
                job = self._supernet_job(part, leg, store)

                def keep(answer: Answer, leg: int = leg) -> None:
                    store.keep(0, leg, (answer.result or {}).pop("state", {}), answer.arrays)

                (answer,) = run_jobs([job], executor, shop.ledger, keep=keep)
                store.drop_before(0, leg)
                if answer.result is None:
                    raise Fruitless(f"expected to train a supernet, got: {answer.reason}; mend that, then resume")
                records.append(Record.from_plain(answer.result["record"]))
                loss = records[-1].metrics["valid_loss_largest"]
                shop.terminal.line(f"  leg {leg} of {legs}: validation loss {loss:.3f} nats (a largest member), {shop.spent()}")
        shop.book.add(merged(records))
        held = store.load(0, legs)
        if held is None:
            raise UserError(f"expected the supernet that was trained in {self.folder('supernet')}, got none; start a new run")
        return held[1], self._paid(records)

    def _paid(self, records: list[Record]) -> Cost:
        """What legs of a supernet's training cost; one whose energy is not known at the dearest rate of the others."""
        g_per_kwh, pue = self.shop.intensity.g_per_kwh, self.shop.experiment.carbon.pue
        known = [cost_of(one, g_per_kwh, pue) for one in records]
        rates = (one.energy_uj / one.tokens for one in known if one is not None and one.tokens)
        uj_per_token, total = max(rates, default=self._uj_per_token()), Cost()
        for record, cost in zip(records, known, strict=True):
            train = record.phase("train")
            tokens = train.tokens if train else 0
            likely = round(uj_per_token * tokens)
            guess = Cost(tokens=tokens, energy_uj=likely, emissions_g_co2e=emissions_g_co2e(likely, g_per_kwh, pue))
            total += guess if cost is None else cost
        return total

    def _supernet_job(self, part: SearchPart, leg: int, store: RungStore) -> Job:
        assert part.supernet is not None
        tokens, legs = part.supernet.tokens, part.supernet.legs
        assignment = Assignment(record_id=f"{self.name}/supernet", role="search", strategy="supernet")
        tokens_a_side = self.shop.task.counted_tokens
        sandwich = Sandwich(num_random=part.supernet.drawn, mac_limit=part.mac_limit, tokens=tokens_a_side)
        state, arrays = (store.load(0, leg - 1) if leg > 1 else None) or (None, {})
        given = supernet_payload(
            part.space,
            tokens,
            part.seed,
            assignment,
            sandwich,
            until_tokens=tokens * leg // legs if leg < legs else None,
            keep_state=leg < legs,
            keep_weights=leg == legs,
            state=state,
            valid_sentences=part.valid_sentences,
        )
        return Job(f"{self.name}/supernet/leg{leg}", 1, given, arrays)

    def folder(self, what: str) -> Path:
        """Where states of this search lie; the only search of a run has the folder to itself."""
        base = self.shop.run.path / what
        return base if self.name == "search" else base / self.name.removeprefix("search/").replace("/", "-")

    def search(self, executor: Executor, paid: Cost) -> SearchOutcome:
        """Searches, or finishes what a stopped run left; `paid` is what was spent before."""
        shop = self.shop
        plan = self.plan(paid)
        teller = SearchTeller(shop.terminal, shop.experiment.search_part, plan, shop.ledger, shop.spent)
        store = RungStore(self.folder("rungs"), STORE_BYTES)
        others = [name for name in shop.run.info.get("ended_searches", ()) if name != self.name]
        shop.run.update(ended_searches=others)
        outcome = search(plan, executor, shop.ledger, teller.told, store=store)
        shop.book.add_trials(outcome)
        shop.run.update(ended_searches=[*others, self.name])  # what waits for a promotion now gets none
        if outcome.wall_s >= 1:
            share = outcome.overhead_s / outcome.wall_s
            shop.run.update(engine={"overhead_share": share, "overhead_s": outcome.overhead_s, "wall_s": outcome.wall_s})
        teller.ended(outcome)
        return outcome

    def _finalists(self, outcome: SearchOutcome) -> list[Design]:
        """The best searched candidates that are not hand designs themselves; of several objectives, of the first fronts."""
        part = self.shop.experiment.search_part
        hand = {find_design(name).architecture for name in self.shop.experiment.hand.designs}
        ranked = self.ranked(outcome)
        designs: dict[Architecture, Design] = {}
        for trial in ranked:  # repeated candidates are one design
            design = self._design(trial)
            designs.setdefault(design.architecture, design)
        chosen = [design for architecture, design in designs.items() if architecture not in hand][: part.finalists]
        if not chosen:
            raise Fruitless(
                f"expected the search to find a candidate within all limits that is not a hand design, got {len(ranked)} within; "
                f"see {self.shop.run.records} for why, or start a run with a larger budget"
            )
        return chosen

    def _design(self, trial: Trial) -> Design:
        return searched_design(find_space(self.shop.experiment.search_part.space), trial.number, trial.candidate)

    def ranked(self, outcome: SearchOutcome) -> list[Trial]:
        """Trials that were trained, or scored, and are within limits, best first."""
        directions = tuple(find_objective(one).direction for one in self.shop.experiment.search_part.objectives)
        scored = [one for one in outcome.trials if one.results and one.values and one.feasible and one.status != "failed"]
        return [scored[index] for index in best_first([losses_of(one.values or (), directions) for one in scored])]

    def plan(self, paid: Cost) -> SearchPlan:
        """The plan that is carried out."""
        shop, uj_per_token = self.shop, self._uj_per_token()
        plan = plan_of(shop.experiment, sizes_of(shop.task), shop.intensity.g_per_kwh, self.name, paid, uj_per_token)
        # Defaults that suit the number of trials stay what they were when the search began, whatever the budget is now.
        began = {**plan.options, **self._recorded_options(), **shop.experiment.search_part.options}
        return replace(plan, options={name: began[name] for name in plan.options})

    def _recorded_options(self) -> Mapping[str, Any]:
        """The options that the ledger has of an earlier start of this search."""
        for event in read_events(self.shop.ledger.path):
            if event["kind"] == "opened" and event.get("search") == self.name:
                return dict(event["identity"]["options"])
        return {}

    def _uj_per_token(self) -> float:
        """What training took of the hand design that took most: no trial has been seen yet when the first are admitted."""
        phases = [record.phase("train") for record in self.shop.book.all() if record.role == "hand"]
        return max((one.loaded_uj / one.tokens for one in phases if one and one.loaded_uj and one.tokens), default=0.0)

    def _train_controls(self, executor: Executor, outcome: SearchOutcome, number: int) -> None:
        """Trains members from scratch that are spread evenly over the ranks, beside the finalists, which are at their top.

        The report tells how their ranking agrees with that by inherited weights.
        """
        ranked = self.ranked(outcome)
        places = sorted({round(place * (len(ranked) - 1) / max(1, number - 1)) for place in range(number)})
        trained = {design.name for design in self._finalists(outcome)}
        designs = [self._design(ranked[place]) for place in places]
        if chosen := [design for design in designs if design.name not in trained]:
            self.shop.evaluate(executor, "control", chosen)
