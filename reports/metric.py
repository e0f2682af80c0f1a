"""The metric that hand designs are compared by: where records hold it, its name, and which way is better."""

from dataclasses import dataclass

from reports.models import Model


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the test set. `sign` is 1 where more is better, -1 where less is; `places` are decimals to show."""

    key: str
    name: str
    sign: int
    places: int = 2

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise ValueError(f"{self.name}: expected a sign of 1 (more is better) or -1 (less is better), got {self.sign}")

    def of(self, model: Model) -> float | None:
        """A model's mean over its runs; None where none was scored."""
        return model.mean(self.key)

    def lead(self, value: float, other: float) -> float:
        """How much better `value` is than `other`: below zero where it is worse."""
        return self.sign * (value - other)

    def text(self, value: float) -> str:
        """A value with the metric's decimals and name."""
        return f"{value:.{self.places}f} {self.name}"


TEST_BLEU = Metric(key="test_bleu", name="BLEU", sign=1)
