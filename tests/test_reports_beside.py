"""The champions by chrF, which decides nothing: on the synthetic run, with counts of characters added to its records."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nas.metric import CHRF as CHRF_METRIC
from nas.metric import ROUGE_1, Metric
from nas.records import Record
from nas.testing import module_at
from reports.analysis import Analysis, analyse
from reports.beside import Beside, beside_words, corrected_beside
from reports.export import search_results
from reports.load import load_runs
from reports.row_counts import ROW_COUNTS
from reports.sentences import make_verdict
from reports.settings import make_settings
from reports.statistics import Comparison, Interval
from reports.study_export import study_results
from reports.study_sentences import make_study_verdict

RECORDS = Path(__file__).parent / "records"
STUDY: Any = module_at(RECORDS / "study.py")
SCHEMA = json.loads((RECORDS.parent.parent / "reports" / "results.schema.json").read_text(encoding="utf-8"))
CHRF = ROW_COUNTS["chrf"]
SHARES = {"lite_transformer-m": 0.7, "search-trial7": 0.6}


def with_characters(record: Record) -> Record:
    """A record with counts behind chrF: five characters a word, a share of them and of their n-grams right."""
    share = SHARES.get(record.design)
    return record if share is None else lettered(record, share)


def lettered(record: Record, share: float) -> Record:
    """A record with counts behind chrF where it has those behind BLEU."""
    words = record.sentence_counts.get("test_bleu")
    if words is None:
        return record
    rows = tuple(
        (5 * found, 5 * wanted, *(int(min(5 * found, 5 * wanted) * share ** (1 + order / 4)) - order for order in range(6)))
        for found, wanted, *_ in words
    )
    score = float(CHRF.score(CHRF.summable(np.array(rows)).sum(axis=0)))
    counts, metrics = {**record.sentence_counts, "test_chrf": rows}, {**record.metrics, "test_chrf": score}
    return replace(record, metrics=metrics, sentence_counts=counts)


def analysed(edit: Callable[[Record], Record] = with_characters) -> Analysis:
    runs = [replace(run, records=tuple(map(edit, run.records))) for run in load_runs([RECORDS])]
    return analyse(runs, make_settings("DEU", "FRA"))


def text(analysis: Analysis) -> str:
    return next(one.text for one in make_verdict(analysis).sentences if one.topic == "By another metric")


def test_the_champions_are_compared_by_chrf_too() -> None:
    analysis = analysed()
    (found,) = analysis.findings.beside
    search, hand = (
        np.mean([one.metrics["test_chrf"] for one in model.finals])
        for model in (analysis.evidence.search, analysis.evidence.hand)
        if model is not None
    )
    assert found.metric.key == "chrf" and found.difference == pytest.approx(search - hand)
    comparison = found.comparison
    assert comparison is not None and comparison.difference == found.difference
    assert comparison.interval.low < found.difference < comparison.interval.high < 0
    assert (comparison.holm_p_value, comparison.num_comparisons) == (None, 1) and comparison.p_value < 0.01
    said = text(analysis)
    assert said.startswith(
        f"By chrF, which decides nothing here, the difference is \N{MINUS SIGN}{-found.difference:.2f} chrF (95 %"
    )
    assert "over seeds and test sentences" in said


def test_it_does_not_move_what_decides() -> None:
    analysis, without = analysed(), analysed(lambda record: record)
    assert without.findings.beside == ()
    assert analysis.findings.comparison == without.findings.comparison
    assert analysis.findings.answer == without.findings.answer
    assert "By another metric" not in [one.topic for one in make_verdict(without).sentences]


def test_results_say_it() -> None:
    analysis = analysed()
    results = search_results(analysis, make_verdict(analysis))
    jsonschema.validate(results, SCHEMA)
    (found,) = results["beside"]
    assert (found["metric"], found["difference"]) == ("chrf", analysis.findings.beside[0].difference)
    assert found["comparison"]["interval"]["low"] < found["difference"]


def damaged(*change: tuple[int, ...]) -> Callable[[Record], Record]:
    """With other counts in the hand champion's training with seed 2, none where none are given."""

    def edit(record: Record) -> Record:
        whole = with_characters(record)
        if (record.role, record.design, record.seed) != ("final", "lite_transformer-m", 2):
            return whole
        rows = whole.sentence_counts["test_chrf"]
        return replace(whole, sentence_counts={**whole.sentence_counts, "test_chrf": (*change, *rows[1:]) if change else ()})

    return edit


@pytest.mark.parametrize(
    ("change", "why", "warning"),
    [
        ((), "not all records have the counts behind it.", ""),
        (((10, 999, 1, 1, 1, 1, 1, 1),), "the counts behind it contradict the records.", "no counts of the same test sentences"),
        (((9_999, 25, 9_999, 9, 8, 7, 6, 5),), "the counts behind it contradict the records.", "no counts of the same test"),
    ],
    ids=str,
)
def test_without_the_counts_behind_it_there_is_no_interval(change: tuple[tuple[int, ...], ...], why: str, warning: str) -> None:
    analysis = analysed(damaged(*change))
    (found,) = analysis.findings.beside
    assert found.comparison is None and found.difference < 0
    assert text(analysis).endswith(f"it has no interval, since {why}")
    assert not warning or any(warning in one for one in analysis.warnings)
    jsonschema.validate(search_results(analysis, make_verdict(analysis)), SCHEMA)


def test_a_study_corrects_it_for_the_number_of_its_searches(study_folder: Path, tmp_path: Path) -> None:
    copy = STUDY.copied(study_folder, tmp_path)
    for path in copy.glob("*/records.jsonl"):
        records = [Record.from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
        told = [lettered(one, 0.6 if one.family == "searched" else 0.7) for one in records]
        path.write_text("".join(f"{one.to_json()}\n" for one in told), encoding="utf-8")
    study = STUDY.analysed(copy)
    results = study_results(study, make_study_verdict(study))
    jsonschema.validate(results, SCHEMA)
    judged = [one for one in results["cells"] if one["standing"] in ("search won", "hand design won", "not separable")]
    assert len(judged) > 1
    assert [one["beside"][0]["comparison"]["num_comparisons"] for one in judged] == [len(judged)] * len(judged)
    assert all(one["beside"][0]["comparison"]["holm_p_value"] >= one["beside"][0]["comparison"]["p_value"] for one in judged)


def like(p_value: float) -> Comparison:
    return Comparison(difference=-1.0, interval=Interval(-1.5, -0.5), standard_error=0.25, p_value=p_value)


def beside(metric: Metric, p_value: float | None) -> Beside:
    found = None if p_value is None else like(p_value)
    return Beside(metric=metric, difference=-1.0, comparison=found)


def test_of_several_searches_each_metric_is_corrected_for_those_with_a_verdict() -> None:
    """Without counts, or without a verdict, a search is no part of the correction and keeps what stands alone."""
    found = [
        (beside(CHRF_METRIC, 0.03), beside(ROUGE_1, 0.04)),
        (beside(CHRF_METRIC, 0.01),),
        (beside(CHRF_METRIC, None),),
        (beside(CHRF_METRIC, 0.02),),
    ]
    result = corrected_beside(found, [True, True, True, False])
    told = [[one.comparison and (one.comparison.holm_p_value, one.comparison.num_comparisons) for one in own] for own in result]
    assert told == [[(0.03, 2), (0.04, 1)], [(0.02, 2)], [None], [(None, 1)]]
    assert "p = 0.020 by bootstrap, Holm's correction included)" in beside_words(result[1])
    assert "p = 0.040 by bootstrap, alone)" in beside_words(result[0]) and "p = 0.020 by bootstrap, alone)" in beside_words(
        result[3]
    )
