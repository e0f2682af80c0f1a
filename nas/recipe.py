"""The training recipe: one frozen value, the same for everybody in a comparison and part of each record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

DROPOUT_PLACES = ("embedding", "residual", "attention", "hidden", "kernel")
POSITIVE = (
    "peak_learning_rate",
    "batch_tokens",
    "epsilon",
    "gradient_clip",
    "beam",
    "max_output_tokens",
    "decoding_batch_tokens",
)
BELOW_ONE = ("label_smoothing", "beta1", "beta2")

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def check_dropout(rates: dict[str, float]) -> None:
    """Raises ValueError unless every name is a dropout place and every rate lies in [0, 1)."""
    for name, rate in rates.items():
        if name not in DROPOUT_PLACES or not 0 <= rate < 1:
            places = ", ".join(DROPOUT_PLACES)
            raise ValueError(f"recipe.dropout: expected rates in [0, 1) for {places}; got {name} = {rate!r}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How every design is trained and decoded.

    Adam with a linear warm-up and a cosine decay to zero over the token budget, label smoothing as in Vaswani et al. 2017,
    section 5. `batch_tokens` bounds a batch with padding. `dropout` maps the names of the dropout places that ops declare
    (embedding, residual, attention, hidden, kernel) to rates; a place that is not named has none.
    `length_penalty` is the exponent by which the length divides a hypothesis' log-probability.

    `precision` is that of matrix products in teacher-forced passes, in training and in losses: float32; bfloat16, as slow as it
    may be; or auto, bfloat16 where the processor multiplies it in hardware, so that machines of two kinds train unlike models.
    Outputs are decoded in float32.

    One learning rate does not suit every design. In an experiment, hand designs and finalists are trained with seed 0 once by
    each of `swept_learning_rates`, if there are any, and each keeps the one that was best on validation data. Search trials, and
    stages after training, go by `peak_learning_rate`.
    """

    peak_learning_rate: float = 3e-3
    swept_learning_rates: tuple[float, ...] = ()
    warmup_steps: int = 300
    batch_tokens: int = 1024
    label_smoothing: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-9
    gradient_clip: float = 1.0
    dropout: dict[str, float] = field(default_factory=dict)
    beam: int = 4
    length_penalty: float = 1.0
    max_output_tokens: int = 100
    decoding_batch_tokens: int = 2048
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        given = vars(self)
        for name in POSITIVE:
            if not given[name] > 0:
                raise ValueError(f"recipe.{name}: expected more than 0, got {given[name]!r}")
        for name in BELOW_ONE:
            if not 0 <= given[name] < 1:
                raise ValueError(f"recipe.{name}: expected 0 or more and less than 1, got {given[name]!r}")
        if self.warmup_steps < 0:
            raise ValueError(f"recipe.warmup_steps: expected 0 or more, got {self.warmup_steps}")
        swept = self.swept_learning_rates
        if swept and (len(set(swept)) < max(2, len(swept)) or min(swept) <= 0):
            raise ValueError(f"recipe.swept_learning_rates: expected none, or two or more different rates above 0, got {swept}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"recipe.precision: expected {', '.join(PRECISIONS)}; got {self.precision!r}")
        check_dropout(self.dropout)

    def describe(self) -> dict[str, Any]:
        """Plain data for a record."""
        return plain_recipe(asdict(self))

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Recipe":
        """The inverse of `describe`."""
        return cls(**{**plain, "swept_learning_rates": tuple(plain.get("swept_learning_rates", ()))})

    def at(self, peak_learning_rate: float | None) -> "Recipe":
        """The recipe with another peak learning rate, if one is given."""
        return self if peak_learning_rate is None else replace(self, peak_learning_rate=peak_learning_rate)


def plain_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's fields as plain data; a sweep and a precision only where given, so that older recipes stay what they are."""
    plain = dict(recipe)
    swept, precision = list(plain.pop("swept_learning_rates")), plain.pop("precision")
    return plain | ({"swept_learning_rates": swept} if swept else {}) | ({"precision": precision} if precision != "auto" else {})
