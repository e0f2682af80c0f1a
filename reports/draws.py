"""Bootstrap draws of models: rows of test data jointly for all, seeds for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from nas.metric import Metric
from nas.records import Record
from reports.models import Model, View, metric_of_models
from reports.row_counts import ROW_COUNTS, resampled, same_rows
from reports.statistics import (
    NUM_DRAWS,
    Comparison,
    FloatArray,
    IntArray,
    Interval,
    SeedSpread,
    compare,
    mean_over_seeds,
    percentile_interval,
    pick_seeds,
    spread_of,
    with_tails,
)

BOOTSTRAP_SEED = 20260101


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws of each model's mean test score and of its energy per output in either view, by design name.

    `picks` [draws, seeds] are the seeds drawn for each design, `spreads` how much its mean score varies with them. `groups` are
    those of the rows of test data that were drawn together; empty where each was drawn by itself.
    """

    scores: Mapping[str, FloatArray]
    output_uj: Mapping[View, Mapping[str, FloatArray]]
    picks: Mapping[str, IntArray]
    spreads: Mapping[str, SeedSpread]
    num_sentences: int
    warnings: tuple[str, ...]
    groups: tuple[int, ...] = ()

    @property
    def num_draws(self) -> int:
        """How often was drawn; none where nothing has a score."""
        return len(next(iter(self.scores.values()), ()))

    def spreads_of(self, *designs: str) -> tuple[SeedSpread, ...]:
        """Those of designs."""
        return tuple(self.spreads[one] for one in designs)

    def intervals(self) -> dict[str, Interval]:
        """95 % of each design's mean score."""
        return {name: percentile_interval(with_tails(drawn, self.spreads_of(name))) for name, drawn in self.scores.items()}


def draw(models: Sequence[Model], num_draws: int = NUM_DRAWS, groups: tuple[int, ...] = ()) -> Draws:
    """Resamples test sentences jointly for all models, whole groups of them where these are known, and each model's seeds."""
    rng, metric = np.random.default_rng(BOOTSTRAP_SEED), metric_of_models(models)
    trained = (one for model in models for record in model.runs for one in model.of_seed(record))
    records = {_key(record): record for record in trained if metric.test in record.metrics}
    tables, warnings = _count_tables(records, metric)
    num_rows = len(next(iter(tables.values()), ()))
    if groups and len(groups) != num_rows:
        warnings.append(f"groups of {len(groups)} rows of test data were given, and records have {num_rows}; each is drawn alone")
        groups = ()
    drawn_rows = resampled(list(tables.values()), ROW_COUNTS[metric.key], num_draws, rng, groups)
    columns = dict(zip(tables, drawn_rows.T, strict=True))
    scores: dict[str, FloatArray] = {}
    picked: dict[str, IntArray] = {}
    spreads: dict[str, SeedSpread] = {}
    for model in models:
        trainings = [[_key(one) for one in model.of_seed(record) if _key(one) in records] for record in model.runs]
        scored = [keys for keys in trainings if keys]
        if not scored:
            continue
        picks = pick_seeds(len(scored), num_draws, rng)
        fixed = {key: np.full(num_draws, records[key].metrics[metric.test]) for keys in scored for key in keys}
        drawn = [np.mean([columns.get(key, fixed[key]) for key in keys], axis=0) for keys in scored]
        scores[model.design] = mean_over_seeds(np.stack(drawn, axis=1), picks)
        picked[model.design] = picks
        spreads[model.design] = spread_of(model.test_scores)
    return Draws(scores, _output_draws(models, picked), picked, spreads, num_rows, tuple(warnings), groups)


def compare_models(search: Model, hand: Model, draws: Draws) -> Comparison | None:
    """The first model's mean test score less the second's; None where one of them has none."""
    if search.test_score is None or hand.test_score is None:
        return None
    drawn = draws.scores[search.design] - draws.scores[hand.design]
    return compare(search.test_score - hand.test_score, drawn, draws.spreads_of(search.design, hand.design))


def redrawn(draws: Draws, models: Sequence[Model]) -> Draws:
    """The same draws of the same models whose energies are those of another scenario."""
    return replace(draws, output_uj=_output_draws(models, draws.picks))


def _output_draws(models: Sequence[Model], picked: Mapping[str, IntArray]) -> dict[View, dict[str, FloatArray]]:
    """Energy per output of every model that has one, for its drawn seeds; where some have none that counts, among the others."""
    output: dict[View, dict[str, FloatArray]] = {"loaded": {}, "dynamic": {}}
    for view, drawn in output.items():
        for model in models:
            picks, energies = picked.get(model.design), model.output_uj(view)
            if picks is None or energies is None:
                continue
            if len(energies) != picks.shape[1]:
                picks = pick_seeds(
                    len(energies), len(picks), np.random.default_rng([BOOTSTRAP_SEED, crc32(model.design.encode())])
                )
            drawn[model.design] = mean_over_seeds(np.tile(np.asarray(energies), (len(picks), 1)), picks)
    return output


def _key(record: Record) -> str:
    return f"{record.run_id}/{record.record_id}"


def _count_tables(records: Mapping[str, Record], metric: Metric) -> tuple[dict[str, IntArray], list[str]]:
    """Count tables about the same sentences, and a warning for every record that has none."""
    found: dict[str, IntArray] = {}
    for name, record in records.items():
        rows = record.sentence_counts.get(metric.test, ())
        if rows and len({len(row) for row in rows}) == 1:
            found[name] = np.asarray(rows, dtype=np.int64)
    told = ROW_COUNTS[metric.key]
    kept = same_rows(found, told)
    warnings = [
        f"{name}: no counts of the same test {metric.rows}, so its score is held fixed when {metric.rows} are resampled"
        for name in sorted(set(records) - set(kept))
    ]
    for name, table in kept.items():
        recomputed = float(told.score(told.summable(table).sum(axis=0)))
        stored = records[name].metrics[metric.test]
        if abs(recomputed - stored) > told.tolerance:
            counted = f"the counts of its {metric.rows} give {metric.text(recomputed)}"
            warnings.append(f"{name}: stored test {metric.text(stored)}, but {counted}")
    return kept, warnings
