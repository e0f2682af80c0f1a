"""The report of searches with hurdles, proxies, inheritance, a supernet or several objectives: edited copies of the small run."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.ledger import encode_line
from nas.records import Phase, Record
from reports.analysis import Analysis, analyse
from reports.cheap_scores_page import agreements_table, cheap_scores_section, scatter, told_words
from reports.drawing import render
from reports.energy import search_cost, split_energy
from reports.export import search_results
from reports.glossary import COMPARISON_GLOSSARY, GLOSSARY, search_glossary
from reports.load import Run, load_run
from reports.outcomes import spending
from reports.page import write_report
from reports.pareto import undominated, within_limits
from reports.payers import accounts, payer_of
from reports.scenarios import worlds
from reports.search_page import axes_of
from reports.sentences import make_verdict
from reports.settings import make_settings
from reports.spending_page import spending_table
from reports.trial_tables import front_tables, trials_table
from reports.trials import Outcome, numbers, trials_of

RECORDS = Path(__file__).parent / "records"
BITS = {0: 3.0, 1: 2.9, 2: 2.5, 4: 2.95, 6: 2.7, 7: 2.4, 9: 2.8, 10: 2.6, 11: 2.75}
"""What trials that came to a result are given as validation bits per character."""
Edit = Callable[[Record], Record | Iterable[Record]]


def with_metrics(record: Record, **metrics: float) -> Record:
    return replace(record, metrics={**record.metrics, **metrics})


def at_rung(record: Record, bits: float, tokens: int) -> Record:
    """The record of a leg that ends at a rung."""
    train = replace(record.phases[0], tokens=tokens)
    leg = replace(record, phases=(train,), metrics={"valid_bits_per_character": bits, "train_tokens": float(tokens)})
    return leg


def halved(record: Record) -> Record:
    """Trials 0 and 1 are stopped at rung 1, 4 is screened out by its parameters, the others go to the end."""
    if record.role != "search" or record.trial not in BITS:
        return record
    number = record.trial
    proxies = {f"proxy_{name}": float(number) ** power for power, name in enumerate(("synflow", "params", "macs"))}
    if number == 4:
        seen = Phase(name="proxy", duration_s=0.1, cpu_s=0.1, energy_uj=5, loaded_uj=9)
        return replace(record, status="stopped", phases=(seen,), metrics=proxies)
    if number < 2:
        return replace(at_rung(record, BITS[number] + 1, 10_000), status="stopped")
    return with_metrics(record, valid_bits_per_character=BITS[number], **proxies)


def ledger_of(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Events of a search whose trials have one rung before the end, at which they stand in the same order but for two."""
    events: list[dict[str, Any]] = [{"kind": "finished", "job": "hand/a/seed0", "result": {"record": {}}}]
    for record in records:
        if record.role != "search" or record.trial not in BITS or record.trial == 4:
            continue
        bits = BITS[record.trial] + (1.12 if record.trial == 10 else 1)
        leg = at_rung(record, bits, 10_000)
        events.append({"kind": "rung", "search": "search", "rung": 0, "result": {"record": json.loads(leg.to_json())}})
        if record.status == "complete":
            events.append({"kind": "finished", "search": "search", "result": {"record": json.loads(record.to_json())}})
    return [*events, {"kind": "duplicate", "search": "search", "trial": 12, "of": 2}]


def edited(folder: Path, edit: Edit, search: dict[str, Any], ledger: bool = True, **info: Any) -> Path:
    """The small run with its records edited, and parts of its description replaced."""
    shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    described = json.loads((folder / "run.json").read_text()) | info
    described["experiment"]["search"] |= search
    (folder / "run.json").write_text(json.dumps(described))
    found: list[Record] = []
    for record in load_run(RECORDS).records:
        made = edit(record)
        found += [made] if isinstance(made, Record) else made
    (folder / "records.jsonl").write_text("".join(one.to_json() + "\n" for one in found))
    if ledger:
        lines = [encode_line({"seq": seq, **event}) for seq, event in enumerate(ledger_of(found))]
        (folder / "ledger.jsonl").write_bytes(b"".join(lines))
    return folder


HALVING = {"objective": "valid_bits_per_character", "hurdles": {"kind": "asha", "rungs": 2, "eta": 2, "proxy": "params"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return edited(tmp_path_factory.mktemp("axes") / "halved", halved, HALVING)


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analyse([load_run(folder)], make_settings("DEU", "FRA"))


def supernet(record: Record) -> Iterable[Record]:
    """Trials are scored with inherited weights; a supernet is before them, controls are behind the finalists."""
    if record.role == "search" and record.trial in BITS:
        metrics = {"valid_bits_per_character": BITS[record.trial], "inherited_share": 1.0}
        yield replace(record, budget_tokens=0, phases=record.phases[1:], metrics=metrics)
    elif record.record_id == "search/trial3":
        whole = {"architecture": None, "counts": None, "genome": None, "trial": None, "error": None, "status": "complete"}
        phase = Phase(name="train", duration_s=1.0, cpu_s=1.0, tokens=50_000, energy_uj=1, loaded_uj=2)
        named = {"record_id": "search/supernet", "strategy": "supernet", "design": "supernet-lite", "family": "supernet"}
        yield replace(record, **(whole | named), phases=(phase,))
    elif record.role == "finalist":
        yield with_metrics(record, valid_bits_per_character=1.0 if record.design == "search-trial7" else 1.1)
    elif record.record_id == "final/search-trial7/seed3":
        yield record
        for design, bits in {"search-trial7": 1.0, "search-trial6": 1.3, "search-trial11": 1.2, "search-trial0": 1.9}.items():
            metrics = {"valid_bits_per_character": bits}
            yield replace(record, record_id=f"control/{design}/seed0", role="control", design=design, seed=0, metrics=metrics)
    else:
        yield record


@pytest.fixture(scope="module")
def one_shot(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    search = {"objective": ["valid_bits_per_character", "macs"], "weights": "supernet", "limits": {"macs": 14_000_000}}
    made = edited(tmp_path_factory.mktemp("axes") / "supernet", supernet, search, ledger=False)
    return analyse([load_run(made)], make_settings("DEU", "FRA"))


# What became of trials


def test_outcomes(analysis: Analysis, one_shot: Analysis) -> None:
    found = {one.record.trial: one.outcome for one in analysis.trials}
    assert found[0] == Outcome("stopped", 1) and found[0].words == "stopped at rung 1"
    assert found[4] == Outcome("screened") and found[7] == Outcome("complete")
    count = numbers(analysis.trials)
    assert {kind: num for kind, num in count.items() if num} == {
        "complete": 6,
        "stopped": 2,
        "screened": 1,
        "failed": 1,
        "lost": 1,
        "infeasible": 1,
    }
    assert {one.outcome.kind for one in one_shot.trials} == {"scored", "failed", "lost"}, "the supernet is no trial"


def test_a_child_that_inherited_is_told_apart(analysis: Analysis) -> None:
    records = tuple(with_metrics(one, inherited_share=0.9) if one.trial == 7 else one for one in analysis.run.records)
    trials = trials_of(replace(analysis.run, records=records))
    assert numbers(trials)["inherited"] == 1 and numbers(trials)["complete"] == 5


def test_without_a_ledger_rungs_are_not_known(analysis: Analysis) -> None:
    bare = replace(analysis.run, search_ledger=None)
    assert {one.outcome.words for one in trials_of(bare) if one.outcome.kind == "stopped"} == {"stopped early"}
    spent = spending(worlds([bare]))
    assert spent.num_duplicates is None


def test_a_damaged_ledger_is_a_warning(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(folder, copied)
    lines = (copied / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (copied / "ledger.jsonl").write_bytes(b"".join([lines[0], lines[1][:40] + b"\n", *lines[2:]]))
    run = load_run(copied)
    assert run.search_ledger is None and any("ledger.jsonl line 2" in one for one in run.warnings)
    torn = {"kind": "rung", "search": "search", "result": {"record": {"schema": 2}}}
    (copied / "ledger.jsonl").write_bytes(encode_line({"seq": 0, **torn}))
    run = load_run(copied)
    assert run.search_ledger is not None and not run.search_ledger.legs
    assert any("left out: ledger.jsonl event 0" in one for one in run.warnings)


# What was paid


def test_spending_sums_to_the_searchs_cost(analysis: Analysis, one_shot: Analysis) -> None:
    for one in (analysis, one_shot):
        spent = one.spending
        assert sum(fate.loaded_uj.central for fate in spent.fates) + spent.between_uj.central == spent.total_uj.central
        assert spent.total_uj.central == search_cost(one.runs).loaded_uj
    tokens = {fate.words: (fate.num, fate.tokens) for fate in analysis.spending.fates}
    assert tokens["stopped at rung 1"] == (2, 20_000) and tokens["screened out, not trained"] == (1, 0)
    assert tokens["trained to the end"] == (6, 6 * 20_000) and tokens["finalists, at the full budget"] == (2, 160_000)
    assert analysis.spending.num_duplicates == 1


def test_spending_table(analysis: Analysis) -> None:
    rows = {row[0]: row for row in spending_table(analysis).rows}
    assert rows["duplicates of other trials"] == ("duplicates of other trials", "1", "–", "–", "–")
    assert rows["infeasible, not trained"][3] == "–" and rows["the search in all"][-1] == "100.0 %"
    assert [row[0] for row in spending_table(analysis).rows][:2] == ["trained to the end", "stopped at rung 1"]


def test_stopped_trials_have_a_row_of_their_own(analysis: Analysis) -> None:
    bills = {bill.payer.words: bill for bill in accounts(analysis.worlds).bills}
    assert len(bills["search, aging_evolution, stopped"].trials) == 3
    assert bills["search, aging_evolution, stopped"].loaded_uj.central > 0


def test_a_supernet_has_a_row_of_its_own(one_shot: Analysis) -> None:
    bills = {bill.payer.words: bill for bill in accounts(one_shot.worlds).bills}
    assert bills["search, supernet, complete"].trials == ("search/supernet",)


def test_phases_of_today_are_in_groups(analysis: Analysis) -> None:
    hand = next(one for one in analysis.run.records if one.role == "hand")
    assert [payer_of(hand, hand.record_id, name).phase for name in ("proxy", "latency")] == ["proxies", "latency"]


def renamed(run: Run, before: str, after: str) -> Run:
    """The run with one trial's readings under another name."""
    shares = [
        replace(tick, shares=tuple(replace(one, trial=one.trial.replace(before, after)) for one in tick.shares))
        for tick in run.machines[0].ticks
    ]
    return replace(run, machines=(replace(run.machines[0], ticks=tuple(shares)),))


def test_controls_are_no_part_of_the_search(analysis: Analysis) -> None:
    run = renamed(analysis.run, "final/search-trial7/seed3", "control/search-trial7/seed0")
    assert search_cost([run]) == search_cost([analysis.run])
    parts, before = dict(split_energy([run]).parts), dict(split_energy([analysis.run]).parts)
    moved = sum(one.energy_uj for tick in run.ticks for one in tick.shares if one.trial.startswith("control/"))
    assert parts["controls"] == moved > 0 and "controls" not in before
    assert parts["training"] + parts["inference"] + moved == before["training"] + before["inference"]
    assert split_energy([run]).exact


def test_unknown_work_is_not_called_inference(analysis: Analysis) -> None:
    tick = analysis.run.machines[0].ticks[1]
    tick = replace(tick, shares=tuple(replace(one, phase="distill") for one in tick.shares))
    run = replace(analysis.run, machines=(replace(analysis.run.machines[0], ticks=(tick,)),))
    parts = dict(split_energy([run]).parts)
    assert parts["other"] == sum(one.energy_uj for one in tick.shares) > 0 and not parts["inference"]


def test_sentences_tell_what_was_stopped_scored_and_controlled(analysis: Analysis, one_shot: Analysis) -> None:
    told = make_verdict(analysis).plain()
    assert (
        "were compared with the best of 6 searched trials (2 more were stopped early, 1 more was screened out untrained)" in told
    )
    assert "all trials, stopped, screened-out, failed and lost ones included" in told and "control" not in told
    told = make_verdict(one_shot).plain()
    assert "were compared with the best of 9 members of a supernet, scored without training of their own," in told
    assert "This counts the training of the supernet, all trials, failed and lost ones included" in told
    assert "4 controls, trained only to tell how far inherited weights rank rightly, drew" in told


# What cheap scores told


def test_proxies_against_trained_quality(analysis: Analysis) -> None:
    found = {one.key: one for one in analysis.agreements}
    # trained to the end: 2, 6, 7, 9, 10, 11 with bits 2.5, 2.7, 2.4, 2.8, 2.6, 2.75; of 15 pairs 5 are better with more
    params = found["params"]
    assert params.num_pairs == 6 and params.name == "parameters, which screened"
    assert params.tau == pytest.approx((5 - 10) / 15) and params.concordant == pytest.approx(5 / 15)
    assert not params.told and told_words(params) == "Cannot be told with 6 candidates: the interval holds 0."
    assert found["macs"].tau == params.tau, "its rank is the same"
    assert found["synflow"].tau is None and "the same" in told_words(found["synflow"])


def test_rungs_against_the_end(analysis: Analysis) -> None:
    rung = next(one for one in analysis.agreements if one.source == "rung")
    assert rung.name == "value at rung 1 (10,000 tokens)" and rung.num_pairs == 6
    assert rung.tau == pytest.approx((14 - 1) / 15) and rung.told, "two neighbours are exchanged"
    assert told_words(rung).startswith("It helps") and "93 %" in told_words(rung)


def test_four_pairs_in_order_may_be_chance(one_shot: Analysis) -> None:
    (found,) = one_shot.agreements
    # trial2 is a finalist alone, trial7 is finalist and control, and counts once
    assert dict(zip(found.cheap, found.trained, strict=True)) == {2.4: 1.0, 2.5: 1.1, 2.7: 1.3, 2.75: 1.2, 3.0: 1.9}
    assert found.tau == pytest.approx((9 - 1) / 10)
    four = replace(found, cheap=(1.0, 2.0, 3.0, 4.0), trained=(1.0, 2.0, 3.0, 4.0))
    assert four.interval == (1.0, 1.0) and not four.told
    assert told_words(four) == "Cannot be told with 4 candidates: by chance 8 % of all orders show as much."
    three = replace(found, cheap=(1.0, 2.0, 3.0), trained=(1.0, 2.0, 3.0))
    assert told_words(three) == "Cannot be told with 3 candidates: too few."
    against = replace(found, cheap=tuple(range(6)), trained=tuple(range(6, 0, -1)))
    assert against.told and told_words(against).startswith("It misleads")


def test_selection_is_said(analysis: Analysis, one_shot: Analysis) -> None:
    section, other = cheap_scores_section(analysis), cheap_scores_section(one_shot)
    assert section is not None and other is not None
    told = " ".join(section.paragraphs)
    assert "1 was screened out and never trained" in told and "2 were stopped on the way" in told
    assert "4 controls were trained from scratch" in " ".join(other.paragraphs)
    assert [row[2] for row in agreements_table(analysis).rows] == ["6"] * 4
    assert [drawing.name for drawing in section.drawings] == ["cheap-scores"]


def test_of_many_candidates_some_are_drawn(analysis: Analysis) -> None:
    rung = next(one for one in analysis.agreements if one.source == "rung")
    many = replace(rung, cheap=tuple(map(float, range(1_200))), trained=tuple(map(float, range(1_200))))
    assert many.tau == pytest.approx(1.0) and many.told and many.num_pairs == 1_200
    drawn = replace(analysis)
    drawn.__dict__["agreements"] = (many,)
    assert "1,000 drawn at random" in agreements_table(drawn).note
    assert "drawn at random" not in agreements_table(analysis).note


@pytest.mark.usefixtures("printed")
def test_the_name_of_a_run_starts_no_formula(analysis: Analysis) -> None:
    hostile = replace(analysis.run, info=dict(analysis.run.info) | {"run_id": "a$\\x$"})
    sketch = scatter(replace(analysis, runs=(hostile, *analysis.runs)))
    assert sketch is not None and ">a$\\x$<" in render(sketch).wide_svg


def test_a_plain_search_has_no_such_section() -> None:
    assert cheap_scores_section(analyse([load_run(RECORDS)], make_settings("DEU", "FRA"))) is None


# Tables


def test_trials_that_were_not_trained_to_the_end_come_last(analysis: Analysis, one_shot: Analysis) -> None:
    table = trials_table(analysis)
    assert table.heads[2:-1] == ("MACs, M", "Tokens", "Valid bits per character", "Valid BLEU", "J loaded")
    assert [row[0] for row in table.rows] == ["7", "2", "10", "6", "11", "9", "1", "0", "4", "5", "8", "3"]
    assert table.rows[6][-1] == "stopped at rung 1" and "nor those of trials that were stopped early" in table.note
    scored = trials_table(one_shot)
    assert "Valid BLEU" not in scored.heads and "Scored with a supernet's weights" in scored.note


def test_front_by_hand(one_shot: Analysis) -> None:
    sizes = {one.record.trial: one.record.counts.macs_paper for one in one_shot.trials if one.record.counts}
    assert {one.record.trial for one, _ in within_limits(one_shot.run)} == {n for n in BITS if sizes[n] <= 14_000_000}
    (table,) = front_tables(one_shot)
    assert table.rows[0][0] == "search-trial7" and table.rows[0][-1] == "champion"
    bits = [float(row[1]) for row in table.rows]
    macs = [float(row[2]) for row in table.rows]
    assert bits == sorted(bits) and macs == sorted(macs, reverse=True), "what is better in one is worse in the other"
    assert "Less is better in all." in table.note and "verdict rests on the champions" in table.note


def test_undominated_by_hand() -> None:
    assert undominated([(1, 5), (2, 4), (2, 5), (3, 4), (0, 9), (1, 5)]) == [4, 0, 5, 1]
    assert undominated([]) == []


def test_several_objectives_alone_have_a_front(analysis: Analysis) -> None:
    assert front_tables(analysis) == ()


# The page


def test_words_are_those_that_the_search_needs(analysis: Analysis, one_shot: Analysis) -> None:
    plain = {term.name for term in GLOSSARY}
    assert not axes_of(analyse([load_run(RECORDS)], make_settings("DEU", "FRA")))
    names = {term.name for term in search_glossary(axes_of(analysis))} - plain
    assert names == {"Hurdle", "Rung", "Stopped", "Proxy", "Screened out", "Kendall's tau-b"}
    names = {term.name for term in search_glossary(axes_of(one_shot))} - plain
    assert names == {"Supernet", "Control", "Kendall's tau-b", "Pareto front"}
    assert not {term.name for term in COMPARISON_GLOSSARY} & names


def test_results_for_machines(analysis: Analysis, one_shot: Analysis) -> None:
    results = search_results(analysis, make_verdict(analysis))
    trials = {one["trial"]: one for one in results["trials"]}
    stopped = trials["search/trial0"]
    assert (stopped["status"], stopped["outcome"], stopped["rungs_trained"]) == ("stopped", "stopped", 1)
    assert stopped["train_tokens"] == 10_000 and stopped["metrics"]["train_tokens"] == 10_000.0
    assert [one["cheap_score"] for one in results["rank_correlations"]] == ["params", "macs", "synflow", "rung1"]
    fronts = search_results(one_shot, make_verdict(one_shot))["pareto_fronts"]
    assert fronts["synthetic"][0]["design"] == "search-trial7" and json.dumps(results)


def test_page(tmp_path: Path) -> None:
    change = {"at": "2026-01-01T00:00:00+00:00", "search.trials": {"before": 8, "after": 12}}
    folder = edited(tmp_path / "run", halved, HALVING, changes=[change])
    write_report([folder], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for words in (
        "What cheap scores told",
        "Where the search&#39;s tokens and energy went",
        "stopped at rung 1",
        "search, aging_evolution, stopped",
        "with another configuration (2026-01-01T00:00:00+00:00): search.trials was 8 and became 12",
        "2 that were stopped early are left out",
    ):
        assert words in page, words
    assert (tmp_path / "report" / "cheap-scores.png").is_file()
    header, *rows = (tmp_path / "report" / "results.csv").read_text(encoding="utf-8").splitlines()
    assert {"status", "train_tokens", "metric_train_tokens", "proxy_energy_uj"} <= set(header.split(","))
    assert sum(",stopped," in row for row in rows) == 3
