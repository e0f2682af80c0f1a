"""The tables of an experiment as frozen models. `nas.configuration` reads them from TOML."""

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, ValidationInfo, create_model, field_validator, model_validator

from nas.errors import UserError
from nas.metric import BLEU, LOG_LIKELIHOOD, ROUGE_L
from nas.phases import Repetition
from nas.recipe import Recipe, plain_recipe
from nas.search_parts import LATER, Part, Positive, SearchPart
from nas.stages.words import parse_stage
from nas.tasks.text import LanguageModelTask
from nas.tasks.translation import SummarisationTask, TranslationTask


class HandPart(Part):
    """The hand-made designs: compared with each other, or beside a search's champion. `mac_limit` bounds each of them.

    In a study, runs share their hand designs: one without a search trains them with seed 0 as well where `with_seed_0` is set,
    for champions are chosen by that; one with a search does not train those that are trained `elsewhere`, but with `pace_seeds`,
    which tell how fast the machine is beside the run that trained them: energies of both are compared at one pace. With role
    "control" they are trained, for a budget of their own, to tell what longer training buys, and are compared with nothing else.
    """

    designs: tuple[str, ...] = Field(min_length=1)
    mac_limit: Positive | None = None
    with_seed_0: bool = False
    elsewhere: bool = False
    pace_seeds: tuple[Positive, ...] = ()
    role: Literal["hand", "control"] = "hand"


class FinalPart(Part):
    """Training of hand designs, finalists and champions: one budget for all. Champions run once a fresh seed.

    Seed 0 is the one that champions are chosen with, so it is not fresh. Without a search, every hand design runs once a seed.
    Nothing is concluded of models that do not beat what needs no model by the margin, of the metric that decides the task.
    """

    tokens: Positive
    seeds: tuple[Positive, ...] = Field(default=(1, 2, 3), min_length=1)
    margin_bleu: float = Field(default=BLEU.margin, ge=0)
    margin_rouge: float = Field(default=ROUGE_L.margin, ge=0)
    margin_bits_per_byte: float = Field(default=LOG_LIKELIHOOD.margin, ge=0)


class ExecutionPart(Part):
    """Where it runs and how it is metered; nothing here changes what is found.

    `power_source` is one of `carbon-nas power`, auto the best there is. Inference on test data is repeated until
    `inference_seconds` have passed or `inference_outputs` were made.

    Each of the `workers` has `worker_cpus` cores, as many threads, and `worker_gpus` GPUs: a whole number, or a part of one.
    On a cluster that was joined, it is an error when none of them is ready within `start_minutes`. With `ship_package` its
    nodes run our code as it is installed here, by Ray's runtime_env, instead of what is installed there.
    """

    executor: Literal["ray", "local"] = "ray"
    workers: Positive = 2
    worker_cpus: float = 1
    worker_gpus: float = 0
    start_minutes: float = Field(default=10, gt=0)
    ship_package: bool = False
    power_source: str = "auto"
    inference_seconds: float = Field(default=10.0, ge=0)
    inference_outputs: Positive = 1000

    @field_validator("worker_cpus", "worker_gpus")
    @classmethod
    def _whole_or_part(cls, given: float, info: ValidationInfo) -> float:
        cores = info.field_name == "worker_cpus"
        if not (0.01 <= given <= 1 or given == int(given) >= cores):
            what = "cores" if cores else "GPUs"
            raise ValueError(
                f"execution.{info.field_name}: expected a whole number of {what}, or a part of one of 0.01 or more, "
                f"got {given:g}; mend it"
            )
        return given

    @property
    def repetition(self) -> Repetition:
        """How much inference is measured."""
        return Repetition(seconds=self.inference_seconds, outputs=self.inference_outputs)


class CompressPart(Part):
    """Stages after training, one after the other, of each of these designs; "champions" are those that met on test data.

    A stage is what the command line takes: drop:share=0.25, quantise, prune:share=0.5,tokens=100000.
    """

    designs: tuple[str, ...] = Field(default=("champions",), min_length=1)
    stages: tuple[str, ...] = Field(min_length=1)

    @field_validator("stages")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for one in given:
                parse_stage(one)
        except UserError as error:
            raise ValueError(f"compress.stages: {error}") from error
        return given


class EmbodiedPart(Part):
    """The making of the machine, to be shared by all it ever does: one number of kg CO2e, or low, central and high.

    `machine_share` is the part of the machine that the run has to itself: for a virtual machine, its cores over its host's.
    """

    machine_kg_co2e: float | tuple[float, float, float]
    lifetime_years: float = Field(gt=0)
    machine_share: float = Field(default=1.0, gt=0, le=1)

    @field_validator("machine_kg_co2e")
    @classmethod
    def _ordered(cls, given: float | tuple[float, float, float]) -> float | tuple[float, float, float]:
        low, central, high = given if isinstance(given, tuple) else (given, given, given)
        if not 0 <= low <= central <= high:
            raise ValueError(
                f"carbon.embodied.machine_kg_co2e: expected kilograms of 0 or more, low, central and high in that order, "
                f"got {given}; mend them"
            )
        return given


class CarbonPart(Part):
    """Where it was searched and where its result is used: an ISO code, a state or province, "123 g/kWh" or "100-150 g/kWh".

    Embodied carbon, the making of the machine, is not counted unless it is given.
    """

    searched_in: str
    used_in: str
    pue: float = Field(default=1.0, ge=1.0)
    pue_range: tuple[float, float] | None = None
    embodied: EmbodiedPart | None = None

    @model_validator(mode="after")
    def _range_holds_pue(self) -> "CarbonPart":
        if self.pue_range is not None and not 1 <= self.pue_range[0] <= self.pue <= self.pue_range[1]:
            low, high = self.pue_range
            raise ValueError(
                f"carbon.pue_range: expected 1 or more that holds carbon.pue {self.pue}, got {low} to {high}; mend one"
            )
        return self


class Experiment(Part):
    """One experiment, complete. Without a search it compares the hand designs with each other.

    `EXPERIMENTS` are the models by kind of task, each with its own table [task].
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    description: str = ""
    task: TranslationTask | SummarisationTask | LanguageModelTask
    recipe: Recipe = Recipe()
    hand: HandPart
    search: SearchPart | None = None
    final: FinalPart
    compress: tuple[CompressPart, ...] = ()
    execution: ExecutionPart = ExecutionPart()
    carbon: CarbonPart

    @model_validator(mode="after")
    def _hand_designs_fit(self) -> "Experiment":
        if self.hand.elsewhere and self.search is None:
            raise ValueError(
                "hand.elsewhere: expected with a [search] table, got none; without a search nothing would be trained"
            )
        if self.hand.pace_seeds and (not self.hand.elsewhere or self.recipe.swept_learning_rates):
            raise ValueError(
                "hand.pace_seeds: expected with hand.elsewhere, without which hand designs are trained here, and without "
                "recipe.swept_learning_rates, which give each a rate elsewhere; leave them out"
            )
        if extra := sorted(set(self.hand.pace_seeds) - set(self.final.seeds)):
            raise ValueError(f"hand.pace_seeds: expected seeds of final.seeds, got {extra[0]}, which nobody else is trained with")
        if self.hand.with_seed_0 and self.search is not None:
            raise ValueError(
                "hand.with_seed_0: expected without a [search] table, which trains hand designs with it; leave it out"
            )
        if self.hand.role == "control" and (self.search is not None or self.hand.with_seed_0 or self.recipe.swept_learning_rates):
            raise ValueError(
                'hand.role: expected "control" without a [search] table, hand.with_seed_0 and recipe.swept_learning_rates, since '
                "nobody is chosen among controls; leave them out"
            )
        return self

    @property
    def search_part(self) -> SearchPart:
        """The search. Raises ValueError where there is none."""
        if self.search is None:
            raise ValueError(f"expected {self.name} to have a search, got a comparison of hand designs")
        return self.search

    def describe(self) -> dict[str, Any]:
        """Plain JSON data of everything, defaults included; a search or a limit of hand designs only where there is one."""
        plain = self.model_dump(mode="json")
        plain["recipe"] = plain_recipe(plain["recipe"])
        if self.search is None:
            del plain["search"]
        else:
            for name, default in LATER.items():
                if getattr(self.search, name) == default:
                    del plain["search"][name]
        for name in ("mac_limit", "with_seed_0", "elsewhere", "pace_seeds", "role"):  # came later: older runs stay the same
            if not plain["hand"][name] or plain["hand"][name] == HandPart.model_fields[name].default:
                del plain["hand"][name]
        for metric in (ROUGE_L, LOG_LIKELIHOOD):  # came later, as these
            if plain["final"][metric.margin_key] == metric.margin:
                del plain["final"][metric.margin_key]
        if not self.compress:
            del plain["compress"]
        return plain

    def fingerprint(self) -> str:
        """SHA-256 of what decides the results; where it runs and which regions are looked at do not."""
        decisive = {name: part for name, part in self.describe().items() if name not in ("execution", "carbon", "description")}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


EXPERIMENTS: dict[str, type[Experiment]] = {
    task.kind: create_model("Experiment", __base__=Experiment, task=(task, ...))
    for task in (TranslationTask, SummarisationTask, LanguageModelTask)
}
