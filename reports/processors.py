"""The kinds of processors that a study's outputs were metered on: an energy of one is no measure beside that of another."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from reports.models import Model
from reports.pace_ratios import Processor, processor_of


def kinds_by_use(searches: Iterable[Collection[str]], models: Sequence[Model]) -> tuple[Processor, ...]:
    """The kinds, those first on which most searches ran, then those with most trainings.

    Args:
        searches: names of the runs of each search.
        models: all that was trained in full.
    """
    trainings = [one for model in models for one in model.trainings]
    counts = Counter(map(processor_of, trainings))
    ran = Counter(kind for names in searches for kind in {processor_of(one) for one in trainings if one.run_id in names})
    return tuple(sorted(counts, key=lambda kind: (-ran[kind], -counts[kind], kind)))


def on_kind(model: Model, kind: Processor) -> Model:
    """A model with the energies of outputs that were metered on one kind; without any, if it was metered on others alone."""
    return replace(model, apart=frozenset(one.run_id for one in model.trainings if processor_of(one) != kind))


def kind_words(kind: Processor) -> str:
    """A kind in words, such as AMD EPYC in float32."""
    return f"{kind[0]} in {kind[1]}"
