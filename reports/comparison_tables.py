"""Tables of a comparison of hand designs: rows ready to show, the best first."""

from nas.units import MICROJOULES_PER_WH, kwh
from reports.assumptions import provenance_note
from reports.comparison import Compared, Rival
from reports.design_costs import mean_training_uj
from reports.models import Model
from reports.tables import NOT_RUN, Table, kept_rates, per_thousand
from reports.words import (
    UNKNOWN,
    duration,
    energy,
    energy_between,
    mass,
    mass_between,
    millions,
    optional,
    signed,
    significant,
)


def designs_table(compared: Compared) -> Table:
    """Every design that was planned, by quality."""
    name = compared.metric.title
    heads = (
        "Design",
        "Verdict",
        f"Test {name}",
        "95 % interval",
        "Difference to the best",
        "95 % interval of the difference",
        "MACs, M",
        "Params, M",
        "Training, Wh",
        "J per 1,000 outputs",
        "Paper",
    )
    rows = [_design_row(compared, model) for model in compared.ranked]
    without = [one.design for one in compared.gaps if one.design not in {model.design for model in compared.ranked}]
    rows += [(design, "no result", *[NOT_RUN] * 9) for design in dict.fromkeys(without)]
    count = compared.num_pairs
    corrected = f" after Holm's correction for all {count} pairs" if count > 1 else ""
    note = (
        f"Test {name} is mean ± standard deviation over seeds; intervals are over seeds and test data. “Worse” is a "
        f"difference to the best that is significant at 5 %{corrected}; the interval beside it is of that difference alone, "
        "uncorrected. MACs by the convention of Lite Transformer's tables (linear layers and attention, of "
        f"{compared.metric.counted}), parameters without embeddings. Training is of one seed, the mean; it and the outputs are "
        "fully loaded, "
        f"{compared.source.provenance}.{kept_rates(compared.ranked)}"
    )
    marked = frozenset((0,)) if compared.ranked and not compared.too_weak else frozenset[int]()
    return Table("Designs by quality", heads, tuple(rows), frozenset(range(2, 10)), note, marked)


def _design_row(compared: Compared, model: Model) -> tuple[str, ...]:
    counts, places = model.counts, compared.metric.places
    interval = compared.intervals[model.design]
    spread = "" if model.test_spread is None else f" ± {model.test_spread:.{places}f}"
    training = mean_training_uj(model, "loaded")
    return (
        model.design,
        "too weak" if compared.too_weak else compared.standing(model),
        optional(compared.score(model), places) + spread,
        f"{optional(interval.low, places)} to {optional(interval.high, places)}",
        *_beside_the_best(next((one for one in compared.rivals if one.model is model), None), places),
        millions(counts.macs_paper if counts else None),
        millions(counts.params_paper if counts else None),
        UNKNOWN if training is None else significant(training / MICROJOULES_PER_WH),
        per_thousand(model, "loaded"),
        paper(model),
    )


def _beside_the_best(rival: Rival | None, places: int) -> tuple[str, str]:
    if rival is None:
        return NOT_RUN, NOT_RUN
    difference = rival.difference
    low, high = signed(difference.interval.low, places), signed(difference.interval.high, places)
    return signed(difference.difference, places), f"{low} to {high}"


def paper(model: Model) -> str:
    """Where the design was published."""
    return next((record.paper for record in model.runs if record.paper), NOT_RUN)


def energies_table(compared: Compared) -> Table:
    """What each design costs to train and to use, and the whole run."""
    heads = (
        "Design",
        "Training time",
        "Training, one seed",
        "Training CO2e",
        "J per 1,000 outputs, loaded",
        "J per 1,000 outputs, dynamic",
        "CO2e per 1,000 outputs",
    )
    rows = [_energy_row(compared, model) for model in compared.ranked]
    total = compared.cost_uj
    grams = mass_between(compared.settings.searched_range_g(total))
    rows.append(("whole run", NOT_RUN, energy_between(total), grams, *[NOT_RUN] * 3))
    if compared.embodied_g is not None:
        rows.append(("making of the hardware", NOT_RUN, NOT_RUN, mass_between(compared.embodied_g), *[NOT_RUN] * 3))
    note = (
        f"{provenance_note(compared.source)} Training and CO2e are fully loaded (with a share of idle power and "
        "overhead), the mean over seeds; the whole run has every training and test, failed ones too, and the idle power "
        f"meanwhile. Training CO2e in {compared.settings.searched_in.name}, CO2e of outputs in {compared.settings.used_in.name}."
    )
    return Table("What each design costs", heads, tuple(rows), frozenset(range(1, len(heads))), note)


def _energy_row(compared: Compared, model: Model) -> tuple[str, ...]:
    settings, training, output = compared.settings, mean_training_uj(model, "loaded"), model.mean_output_uj("loaded")
    seconds = [phase.duration_s for record in model.runs if (phase := record.phase("train")) is not None]
    return (
        model.design,
        duration(sum(seconds) / len(seconds)) if seconds else UNKNOWN,
        UNKNOWN if training is None else energy(kwh(training)),
        UNKNOWN if training is None else mass(settings.searched_g(training)),
        per_thousand(model, "loaded"),
        per_thousand(model, "dynamic"),
        UNKNOWN if output is None else mass(settings.used_g(1000 * output)),
    )


def seeds_table(compared: Compared) -> Table:
    """Every training: a row a design, its score with each seed."""
    seeds = sorted({record.seed for model in compared.ranked for record in model.runs} | {one.seed for one in compared.gaps})
    rows = []
    for model in compared.ranked:
        scores = {record.seed: record.metrics.get(compared.metric.test) for record in model.runs}
        cells = (scores.get(seed) for seed in seeds)
        rows.append((model.design, *(NOT_RUN if one is None else optional(one, compared.metric.places) for one in cells)))
    heads = ("Design", *(f"Seed {seed}" for seed in seeds))
    return Table(f"Test {compared.metric.title} of every training", heads, tuple(rows), frozenset(range(1, len(heads))))
