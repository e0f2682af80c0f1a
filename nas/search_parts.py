"""The tables of an experiment that say how it searches, as frozen models."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nas.search.halving import AsynchronousHalving, SuccessiveHalving
from nas.search.hurdles import Hurdles, NoHurdles, ProgressiveDynamicHurdles
from nas.search.screening import Screened

Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Proxy = Literal["params", "macs", "gradient_norm", "synflow"]
ObjectiveName = Literal[
    "valid_bits_per_character",
    "valid_loss",
    "valid_perplexity",
    "valid_bleu",
    "valid_chrf",
    "valid_rougeL",
    "valid_log_likelihood",
    "macs",
    "params",
    "latency_ms",
    "joules_per_1000_outputs",
]


class Part(BaseModel):
    """A table: frozen, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HurdlesPart(Part):
    """Which trials go on. The last rung is always `search.trial_tokens`.

    Rungs of `pdh` are equally far apart, those of `successive_halving` and `asha` a factor of `eta`. With a `proxy`, of every
    `among` candidates the `keep` best by it are trained at all.
    """

    kind: Literal["none", "pdh", "successive_halving", "asha"] = "none"
    rungs: int = Field(default=3, ge=2, le=100)
    eta: int = Field(default=3, ge=2)
    every: Positive = 10
    population: Positive = 20
    cohort: Positive = 9
    proxy: Proxy | None = None
    keep: Positive = 2
    among: Positive = 8

    @model_validator(mode="after")
    def _fits(self) -> "HurdlesPart":
        if self.keep > self.among:
            raise ValueError(f"search.hurdles.keep: expected at most among = {self.among}, got {self.keep}; lower it")
        if self.kind == "successive_halving" and self.cohort < self.eta:
            raise ValueError(f"search.hurdles.cohort: expected eta = {self.eta} or more, got {self.cohort}; raise it")
        return self

    def rung_tokens(self, tokens: int) -> tuple[int, ...]:
        """The rungs that train, of trials that are trained for `tokens` at most."""
        if self.kind == "none":
            return (tokens,)
        if self.kind == "pdh":
            return tuple(tokens * (rung + 1) // self.rungs for rung in range(self.rungs))
        return tuple(tokens // self.eta ** (self.rungs - 1 - rung) for rung in range(self.rungs))

    def build(self, tokens: int) -> Hurdles:
        """The hurdles, as they are at the start of a search."""
        rungs = self.rung_tokens(tokens)
        inner: Hurdles
        if self.kind == "pdh":
            inner = ProgressiveDynamicHurdles(rungs, self.every, self.population)
        elif self.kind == "successive_halving":
            inner = SuccessiveHalving(rungs, self.cohort, self.eta)
        elif self.kind == "asha":
            inner = AsynchronousHalving(rungs, self.eta)
        else:
            inner = NoHurdles(tokens)
        return Screened(inner, self.keep, self.among) if self.proxy else inner


class SupernetPart(Part):
    """A one-shot supernet: how long it is trained, in how many legs, and how many members are drawn a step.

    `correlation_trials` members, spread over the ranks, are trained from scratch at the end, so that the rank correlation
    between inherited and trained quality can be told; their energy is booked apart from the search's.
    """

    tokens: Positive
    legs: Positive = 4
    drawn: Positive = 2
    correlation_trials: int = Field(default=0, ge=0)


class StopPart(Part):
    """Stop when the last `emissions_g_co2e` grams bought less than `gain` of the first objective."""

    emissions_g_co2e: float = Field(gt=0)
    gain: float = Field(gt=0)


class SearchPart(Part):
    """The search. `mac_limit` bounds both champions: linear + attention MACs at 30 and 30 tokens.

    `objective` is one or several; `limits` bound figures of that kind, from above or, where more is better, from below.
    `weights`: trials start from scratch, from their parent's weights (they then train for `child_tokens`), or are members of
    a supernet, which are not trained at all.
    """

    space: str = "lite"
    strategy: str = "aging_evolution"
    options: dict[str, int | float | str | bool] = {}
    seed: Seed = 0
    mac_limit: Positive
    trial_tokens: Positive
    trials: Positive | None = None
    tokens: Positive | None = None
    wall_minutes: float | None = Field(default=None, gt=0)
    energy_kwh: float | None = Field(default=None, gt=0)
    emissions_g_co2e: float | None = Field(default=None, gt=0)
    objective: ObjectiveName | Annotated[tuple[ObjectiveName, ...], Field(min_length=1)] = "valid_bits_per_character"
    limits: dict[ObjectiveName, float] = {}
    valid_sentences: Positive = 400
    first: tuple[str, ...] = ()
    finalists: Positive = 2
    hurdles: HurdlesPart = HurdlesPart()
    weights: Literal["scratch", "parent", "supernet"] = "scratch"
    child_tokens: Positive | None = None
    supernet: SupernetPart | None = None
    stop: StopPart | None = None
    repeat_duplicates: bool = False

    @property
    def objectives(self) -> tuple[ObjectiveName, ...]:
        """All objectives, the first first."""
        return self.objective if isinstance(self.objective, tuple) else (self.objective,)

    @field_validator("limits")
    @classmethod
    def _limits_are_not_zero(cls, given: dict[str, float]) -> dict[str, float]:
        for name, limit in given.items():
            if not limit > 0:
                raise ValueError(f"search.limits.{name}: expected more than 0, got {limit}; raise it or leave it out")
        return given

    @model_validator(mode="after")
    def _weights_fit(self) -> "SearchPart":
        if (self.supernet is not None) != (self.weights == "supernet"):
            raise ValueError('search.supernet: expected with search.weights = "supernet" and only then; add or remove one')
        if self.supernet is not None and self.supernet.tokens < self.supernet.legs:
            raise ValueError(f"search.supernet.tokens: expected as many as legs or more, got {self.supernet.tokens}; raise it")
        if self.weights == "supernet" and self.hurdles != HurdlesPart():
            raise ValueError("search.hurdles: expected none with a supernet, whose members are not trained; leave them out")
        if self.child_tokens is not None and (self.weights != "parent" or self.child_tokens > self.trial_tokens):
            raise ValueError(
                f'search.child_tokens: expected at most search.trial_tokens, with search.weights = "parent", '
                f"got {self.child_tokens}; mend one"
            )
        last = len(self.hurdles.rung_tokens(self.trial_tokens)) + bool(self.hurdles.proxy)
        for inherits in (False, True):
            rungs = [self.tokens_at(rung, inherits) for rung in range(bool(self.hurdles.proxy), last)]
            if not all(before < after for before, after in zip((0, *rungs), rungs, strict=False)):
                raise ValueError(
                    f"search.hurdles: expected rungs of ever more tokens, got {', '.join(map(str, rungs))}; "
                    "take fewer rungs, a smaller eta, or more trial_tokens or child_tokens"
                )
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"search.objective: expected each once, got {', '.join(self.objectives)}; remove one")
        return self

    def tokens_at(self, rung: int, inherits: bool) -> int:
        """Cumulative training tokens at a rung; a trial that inherits weights trains for less, at every rung alike."""
        rungs = (0,) * bool(self.hurdles.proxy) + self.hurdles.rung_tokens(self.trial_tokens)
        if not inherits or self.child_tokens is None:
            return rungs[rung]
        return max(min(1, rungs[rung]), rungs[rung] * self.child_tokens // self.trial_tokens)


# Keys that came later: at their default they are left out of what describes an experiment, so that older runs stay the same.
LATER: dict[str, object] = {
    name: SearchPart.model_fields[name].default
    for name in ("limits", "hurdles", "weights", "child_tokens", "supernet", "stop", "repeat_duplicates")
}
