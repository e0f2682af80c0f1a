"""`carbon-nas compare-strategies` on a task in miniature: one ledger, one meter, trainings from scratch, stops in between."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas.comparing.anytime import AnytimeFile
from nas.ledger import Event, Ledger, read_events
from nas.records import Record, read_records
from nas.search.testing import Stop
from nas.testing import carry_out, write_mirrored

TINY = (
    "execution.executor=local",
    "execution.power_source=load_table",
    "execution.inference_outputs=1",
    "task.target_language=de",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "search.trials=2",
    "search.tokens=1000",
    "search.trial_tokens=300",
    "search.valid_sentences=8",
    "final.tokens=400",
    "compare.retrain=1",
)
RANDOM, AGAIN = '{name="random",strategy="random"}', '{name="again",strategy="random"}'
SUPER = '{name="super",strategy="random",weights="supernet",supernet={tokens=200,legs=1,drawn=1}}'


@dataclass(frozen=True)
class Case:
    """A comparison that went through, and what it said."""

    folder: Path
    output: str

    @property
    def events(self) -> list[Event]:
        """Its ledger."""
        return list(read_events(self.folder / "ledger.jsonl"))

    @property
    def results(self) -> dict[str, Any]:
        """What its report says."""
        found: dict[str, Any] = json.loads((self.folder / "report" / "strategies.json").read_text())
        return found


def compare(folder: Path, seeds: str, variants: Sequence[str], *more: str) -> str:
    """What the console script says; its text lies beside the run."""
    text = folder.parent / "text"
    if not text.exists():
        write_mirrored(text)
    corpus = f"task.corpus={text}"
    given = (*TINY, corpus, f"compare.seeds={seeds}", f"compare.variants=[{','.join(variants)}]")
    words = [word for one in given for word in ("--set", one)]
    code, said, complained = carry_out("compare-strategies", "strategies_smoke", "--output", str(folder), *words, *more)
    assert code == 0, complained
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]) -> Case:
    folder = tmp_path_factory.mktemp("compared") / "run"
    with printing("anytime-energy"):
        return Case(folder, compare(folder, "[5,6]", (RANDOM, AGAIN, SUPER)))


def found_in(folder: Path) -> list[dict[str, Any]]:
    """What has to be the same however often a comparison was stopped: all but times and energies."""
    lines = [json.loads(line) for line in (folder / "anytime.jsonl").read_text().splitlines()]
    for line in lines:
        for name in ("wall_s", "overhead_s", "paid_before"):
            line.pop(name, None)
        line["spent"] = {name: line.get("spent", {}).get(name) for name in ("trials", "tokens")}
        for one in line.get("retrained", ()):
            one.pop("energy_uj")
            one["metrics"] = {name: value for name, value in one["metrics"].items() if "joules" not in name}
    return lines


def test_searches_run_seed_by_seed_under_names_of_their_own(whole: Case) -> None:
    opened = [event["search"] for event in whole.events if event["kind"] == "opened"]
    assert opened == [f"search/{name}/seed{seed}" for seed in (5, 6) for name in ("random", "again", "super")]
    jobs = list(dict.fromkeys(event["job"] for event in whole.events if event["kind"] == "finished"))
    assert {job.split("/trial")[0] for job in jobs if "/trial" in job} == set(opened)
    assert [job for job in jobs if "supernet" in job] == [f"search/super/seed{seed}/supernet/leg1" for seed in (5, 6)]
    assert all(event["result"]["record"]["seed"] in (5, 6) for event in whole.events if event["kind"] == "finished")


def test_a_candidate_is_trained_from_scratch_once_a_seed(whole: Case) -> None:
    ended = [line for line in found_in(whole.folder) if line["kind"] == "ended"]
    by_name = {(line["variant"], line["seed"]): line["retrained"] for line in ended}
    trained = {event["job"] for event in whole.events if event["kind"] == "finished" and event["job"].startswith("finalist/")}
    for seed in (5, 6):
        random, again = by_name["random", seed], by_name["again", seed]
        assert again == random and random[0]["record"].startswith("finalist/random-")
    assert trained == {one["record"] for found in by_name.values() for one in found}
    assert whole.output.count("were trained from scratch for another strategy already") >= 2
    records = [one for one in read_records(whole.folder / "records.jsonl") if isinstance(one, Record)]
    finalists = [one for one in records if one.role == "finalist"]
    assert {one.record_id for one in finalists} == trained
    assert not any(name.startswith("test") for one in records for name in one.metrics)
    assert all(one.budget_tokens == 400 for one in finalists)


def test_a_supernet_is_paid_before_the_first_trial(whole: Case) -> None:
    lines = [line for line in found_in(whole.folder) if line["kind"] != "ended"]
    for seed in (5, 6):
        spent = {line["spent"]["tokens"] for line in lines if (line["variant"], line["seed"]) == ("super", seed)}
        assert len(spent) == 1 and min(spent) >= 200
    assert [line["spent"]["trials"] for line in lines if line["variant"] == "random"] == [1, 2, 1, 2]
    assert not list((whole.folder / "supernet").iterdir())


def test_every_microjoule_has_somebody_who_paid(whole: Case) -> None:
    energy = whole.results["energy"]
    bills = [*energy["bills"], energy["retraining"]]
    rest = energy["nobodys_uj"]["central"] + energy["foreign_uj"]["central"]
    assert energy["exact"] and [one["name"] for one in bills] == ["random", "again", "super", "retraining"]
    assert sum(one["total_uj"]["central"] for one in bills) + rest == energy["machine_uj"]["central"]
    assert all(one["trials_uj"]["central"] > 0 for one in bills)
    ticks = [json.loads(line) for line in (whole.folder / "energy.jsonl").read_text().splitlines()]
    charged = {name for line in ticks if line["kind"] == "tick" for name in line["trials"]}
    assert {name.split("/")[0] for name in charged} == {"search", "finalist"}


def test_the_same_strategy_twice_is_not_separable_and_the_page_says_what_it_cost(whole: Case) -> None:
    found = {one["name"]: one for one in whole.results["strategies"]}
    assert found["again"]["finals"] == found["random"]["finals"] and found["again"]["test"]["p_value"] == 1.0
    assert found["again"]["standing"] == "not separable" and found["random"]["spent"]["energy_uj"] > 0
    assert "again cannot be told apart from random search with 2 seeds" in whole.output
    assert "super (weights: supernet): trials do not start from scratch" in whole.output
    page = (whole.folder / "report" / "index.html").read_text()
    assert "Where the energy went" in page and "sums to the machines' total" in page.replace("&#39;", "'")
    assert '<span class="badge" title="from a power model, with an interval">estimated</span>' in page
    assert (whole.folder / "report" / "anytime-energy.png").stat().st_size > 1_000


def test_a_comparison_that_is_stopped_anywhere_goes_on_to_the_same_lines(
    whole: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, append, write, where = tmp_path / "run", Ledger.append, AnytimeFile.append, ""

    def tripwire(self: Ledger, kind: str, **fields: Any) -> Event:
        event, job = append(self, kind, **fields), fields.get("job", "")
        if (kind, where) == ("finished", "trial") and job.startswith("search/random/seed5/trial"):
            raise Stop
        if (kind, where) == ("started", "retraining") and job.startswith("finalist/"):
            raise Stop
        return event

    def stopping(self: AnytimeFile, lines: Any) -> None:
        if where == "written":
            raise Stop
        write(self, lines)

    monkeypatch.setattr("nas.cli_strategies.report_strategies", lambda *given: "the verdict")
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", tripwire)
        patched.setattr(AnytimeFile, "append", stopping)
        for stop, more in (("trial", ()), ("retraining", ("--resume",)), ("written", ("--resume",))):
            where = stop
            with pytest.raises(Stop):
                compare(folder, "[5]", (RANDOM, AGAIN), *more)
    assert "the verdict" in compare(folder, "[5]", (RANDOM, AGAIN), "--resume")
    expected = [line for line in found_in(whole.folder) if line["seed"] == 5 and line["variant"] != "super"]
    assert found_in(folder) == expected
