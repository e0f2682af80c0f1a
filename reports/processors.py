"""The kinds of processors that models were trained and metered on: an energy of one is no measure beside that of another."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from nas.records import Record
from nas.sweep import worked_in
from reports.load import Run
from reports.models import Model, key_of

Processor = tuple[str, str]
"""A kind: the processor's name, with what it has, and the precision of products."""


def processor_of(record: Record) -> Processor:
    """The kind of processor that a record was metered on, and the precision in which it worked."""
    has = " with bf16" if record.machine.get("bf16") else ""
    return f"{record.machine.get('cpu')}{has}", worked_in(record)


def kinds_by_use(searches: Iterable[Collection[str]], models: Sequence[Model]) -> tuple[Processor, ...]:
    """The kinds on which reported seeds were trained, those first on which most searches ran, then those with most trainings.

    Args:
        searches: names of the runs of each search.
        models: all that was trained in full.
    """
    trainings = [one for model in models for record in model.runs for one in model.of_seed(record)]
    counts = Counter(map(processor_of, trainings))
    ran = Counter(kind for names in searches for kind in {processor_of(one) for one in trainings if one.run_id in names})
    return tuple(sorted(counts, key=lambda kind: (-ran[kind], -counts[kind], kind)))


def kinds_in(runs: Iterable[Run]) -> frozenset[Processor]:
    """The kinds on which anything of runs was metered."""
    return frozenset(processor_of(record) for run in runs for record in run.records if record.phases)


def kinds_of(models: Sequence[Model], run_ids: Collection[str]) -> frozenset[Processor]:
    """The kinds on which models were trained in these runs."""
    return frozenset(processor_of(one) for model in models for one in model.trainings if one.run_id in run_ids)


def on_kind(model: Model, *kinds: Processor) -> Model:
    """A model with the energies that were metered on these kinds, if any are given; without any if it was on others alone."""
    return replace(model, apart=frozenset(key_of(one) for one in model.trainings if kinds and processor_of(one) not in kinds))


def on_first_kind(model: Model, kinds: Sequence[Processor]) -> tuple[Model, Processor | None]:
    """A model with the energies of the first kind on which a reported seed of it was trained, and that kind."""
    for kind in kinds:
        if (found := on_kind(model, kind)).counted:
            return found, kind
    return model, None


def kind_of(model: Model) -> Processor | None:
    """The kind of processor that a model's energies are of; None where they are of several, or there are none."""
    kinds = {processor_of(one) for seed in model.counted for one in seed}
    return kinds.pop() if len(kinds) == 1 else None


def kind_words(kind: Processor) -> str:
    """A kind in words, such as AMD EPYC in float32."""
    return f"{kind[0]} in {kind[1]}"
