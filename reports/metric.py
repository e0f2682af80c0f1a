"""The metric that hand designs are compared by: where records hold it and its name. More of it is better."""

from dataclasses import dataclass

from reports.models import Model


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of the test set; `places` are decimals to show."""

    key: str
    name: str
    places: int = 2

    def of(self, model: Model) -> float | None:
        """A model's mean over its runs; None where none was scored."""
        return model.mean(self.key)

    def text(self, value: float) -> str:
        """A value with the metric's decimals and name."""
        return f"{value:.{self.places}f} {self.name}"


TEST_BLEU = Metric(key="test_bleu", name="BLEU")
