"""Trials of a ledger in an Optuna storage: values, constraints, rungs, energies, and only what is new."""

import json
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import OperationalError

from nas.cli_export import dashboard, export
from nas.errors import UserError
from nas.ledger import Ledger
from nas.optuna_export import NUMBER, UNKNOWN, export_optuna, memory, open_storage

SEARCH = "search"
GENES = [["width", [64, 96]], ["share", [0.0, 0.5, 1.0]]]
OBJECTIVES = ["valid_bleu", "macs"]


def record(number: int, bleu: float | None, tokens: int, energy_uj: int | None) -> dict[str, Any]:
    return {
        "schema": 2,
        "record_id": f"search/trial{number}",
        "run_id": "run",
        "role": "search",
        "status": "complete",
        "design": f"searched-{number}",
        "family": "searched",
        "task": "translation",
        "corpus": {},
        "recipe": {},
        "budget_tokens": tokens,
        "seed": 0,
        "machine": {},
        "versions": {},
        "started_at": "",
        "finished_at": "",
        "counts": {"params": 5, "params_paper": 4, "macs": 1000, "macs_paper": 900 + number, "macs_items": {}},
        "phases": [
            {
                "name": "train",
                "duration_s": 1.0,
                "cpu_s": 1.0,
                "tokens": tokens,
                "energy_uj": energy_uj,
                "loaded_uj": None if energy_uj is None else 2 * energy_uj,
            }
        ],
        "metrics": {} if bleu is None else {"valid_bleu": bleu},
    }


class Writer:
    """A run folder whose ledger grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        search = {"objective": OBJECTIVES, "limits": {"valid_bleu": 5}}
        self.info: dict[str, Any] = {"run_id": "run", "fingerprint": "f", "created_at": "2026-01-02T03:04:05+00:00"}
        self.describe(experiment={"search": search, "carbon": {"searched_in": "DEU"}})
        self.add("opened", identity={"genes": GENES, "directions": ["maximize", "minimize"]})

    def describe(self, **changes: Any) -> None:
        """Changes run.json."""
        self.info |= changes
        (self.folder / "run.json").write_text(json.dumps(self.info))

    def add(self, kind: str, **fields: Any) -> None:
        with Ledger.open(self.folder / "ledger.jsonl") as ledger:
            ledger.append(kind, search=SEARCH, elapsed_s=1.0, **fields)

    def ask(self, number: int, violation: float = -0.1) -> None:
        self.add(
            "asked",
            trial=number,
            job=f"search/trial{number}",
            genome=[96, 0.5],
            candidate=[96, 0.5],
            figures={"macs_paper": 900 + number},
            violations={"macs_paper": violation},
        )

    def run(
        self, number: int, kind: str = "finished", bleu: float | None = 9.0, energy_uj: int | None = 10**6, **fields: Any
    ) -> None:
        self.add("started", trial=number, job=f"search/trial{number}", attempt=1, rung=0, reserved={})
        self.add(kind, trial=number, result={"record": record(number, bleu, 100, energy_uj)}, duration_s=1.0, **fields)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'trials.db'}"


def trials(url: str) -> dict[int, FrozenTrial]:
    study = optuna.load_study(study_name="run/search", storage=url)
    return {one.user_attrs[NUMBER]: one for one in study.trials}


def test_every_end_of_a_trial(writer: Writer, url: str) -> None:
    for number in range(6):
        writer.ask(number, violation=0.5 if number == 1 else -0.1)
    writer.run(0)
    writer.add("infeasible", trial=1)
    writer.add("duplicate", trial=2, of=0)
    writer.run(3, "rung", verdict="stop", rung=0, bleu=2.0)
    writer.add("failed", trial=4, reason="out of memory")
    writer.add("lost", trial=5, reason="gone", final=True)
    (told,) = export_optuna(writer.folder, open_storage(url))
    assert (told.num_added, told.num_present, told.num_open, told.num_unreadable) == (6, 0, 0, 0)
    found = trials(url)
    states = [found[number].state for number in range(6)]
    pruned, failed = TrialState.PRUNED, TrialState.FAIL
    assert states == [TrialState.COMPLETE, pruned, TrialState.COMPLETE, pruned, failed, failed]
    assert found[0].values == [9.0, 900.0] == found[2].values and found[2].user_attrs["duplicate_of"] == 0
    assert found[0].params == {"width": 96, "share": 0.5}
    assert found[3].intermediate_values == {100: 2.0}
    assert found[4].user_attrs["reason"] == "out of memory"
    assert found[0].datetime_start is not None and found[0].datetime_start <= (found[0].datetime_complete or 0)  # type: ignore[operator]


def test_constraints_and_attributes(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.run(0, bleu=4.0)
    writer.ask(1)
    writer.run(1, energy_uj=None)
    export_optuna(writer.folder, open_storage(url))
    found = trials(url)
    assert found[0].constraints == pytest.approx({"macs_paper": -0.1, "valid_bleu": 0.2})
    attributes = found[0].user_attrs
    assert (attributes["design"], attributes["train_tokens"], attributes["macs_paper"]) == ("searched-0", 100, 900)
    assert (attributes["energy_j"], attributes["loaded_j"]) == (1.0, 2.0)
    assert attributes["emissions_g_co2e"] == pytest.approx(2.0 / 3.6e6 * 380.95, rel=1e-3)
    assert [found[1].user_attrs[name] for name in ("energy_j", "loaded_j", "emissions_g_co2e")] == [UNKNOWN] * 3


def test_only_what_is_new_is_added_and_what_waits_is_left(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.run(0)
    writer.ask(1)
    writer.run(1, "rung", verdict="pause", rung=0)
    (first,) = export_optuna(writer.folder, open_storage(url))
    assert (first.num_added, first.num_present, first.num_open) == (1, 0, 1)
    writer.add("promoted", trial=1, closing=False)
    writer.run(1, bleu=11.0)
    (second,) = export_optuna(writer.folder, open_storage(url))
    assert (second.num_added, second.num_present, second.num_open) == (1, 1, 0)
    found = trials(url)
    assert found[1].values == [11.0, 901.0] and found[1].intermediate_values == {100: 9.0, 200: 11.0}
    assert found[1].user_attrs["loaded_j"] == 4.0


def test_one_that_waits_has_ended_when_its_search_has_and_its_record_tells_nothing(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.run(0, "rung", verdict="pause", rung=0)
    # A run that was resumed has the records of those that wait, and goes on with them.
    (writer.folder / "records.jsonl").write_text(json.dumps(record(0, 9.0, 100, 1) | {"status": "stopped"}) + "\n")
    assert export_optuna(writer.folder, open_storage(url))[0].num_added == 0
    writer.describe(ended_searches=["search/other"])
    assert export_optuna(writer.folder, open_storage(url))[0].num_added == 0
    writer.describe(ended_searches=[SEARCH])
    assert export_optuna(writer.folder, open_storage(url))[0].num_added == 1
    assert (trials(url)[0].state, trials(url)[0].user_attrs["status"]) == (TrialState.PRUNED, "stopped")


def test_a_duplicate_is_what_its_twin_is(writer: Writer, url: str) -> None:
    for number in range(6):
        writer.ask(number)
    writer.run(0, "rung", verdict="pause", rung=0)
    writer.add("duplicate", trial=1, of=0)
    writer.add("failed", trial=2, reason="out of memory")
    writer.add("duplicate", trial=3, of=2)
    writer.run(4, "rung", verdict="stop", rung=0)
    writer.add("duplicate", trial=5, of=4)
    (told,) = export_optuna(writer.folder, open_storage(url))
    assert (told.num_added, told.num_open) == (4, 2)
    assert {number: one.state for number, one in trials(url).items()} == {
        2: TrialState.FAIL,
        3: TrialState.FAIL,
        4: TrialState.PRUNED,
        5: TrialState.PRUNED,
    }
    writer.add("promoted", trial=0, closing=False)
    writer.run(0, bleu=11.0)
    assert export_optuna(writer.folder, open_storage(url))[0].num_added == 2
    assert trials(url)[1].state == TrialState.COMPLETE and trials(url)[1].values == [11.0, 900.0]


def test_results_that_cannot_be_read_are_counted(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.add("finished", trial=0, result={"record": {"schema": 99}}, duration_s=1.0)
    writer.ask(1)
    writer.run(1, bleu=None)
    (told,) = export_optuna(writer.folder, open_storage(url))
    assert (told.num_added, told.num_unreadable) == (2, 1)
    assert {one.state for one in trials(url).values()} == {TrialState.FAIL}


@pytest.mark.parametrize("storage", ["nothing", "nosuch://x"])
def test_mistakes_are_told(storage: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected an Optuna storage"):
        open_storage(storage)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="expected a run folder"):
        export_optuna(tmp_path / "empty", memory())


def test_another_search_of_that_name_is_refused(writer: Writer, url: str) -> None:
    optuna.create_study(storage=url, study_name="run/search", directions=["minimize"])
    with pytest.raises(UserError, match="choose another storage"):
        export_optuna(writer.folder, open_storage(url))


def test_another_run_of_that_name_is_refused_and_a_resumed_one_goes_on(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.run(0)
    export_optuna(writer.folder, open_storage(url))
    writer.describe(fingerprint="g")
    with pytest.raises(UserError, match="expected one of the run with fingerprint g, got one with f; choose another storage"):
        export_optuna(writer.folder, open_storage(url))
    writer.describe(changes=[{"at": "2026-01-03"}])
    assert export_optuna(writer.folder, open_storage(url))[0].num_present == 1
    assert optuna.load_study(study_name="run/search", storage=url).user_attrs["fingerprint"] == "g"
    writer.describe(created_at="2026-02-02T03:04:05+00:00")
    with pytest.raises(UserError, match="expected one of the run with created_at 2026-02-02"):
        export_optuna(writer.folder, open_storage(url))


def test_another_space_is_refused_in_a_line(writer: Writer, url: str) -> None:
    writer.ask(0)
    writer.run(0)
    study = optuna.create_study(storage=url, study_name="run/search", directions=["maximize", "minimize"])
    other = CategoricalDistribution((64, 96, 128))
    study.add_trial(create_trial(values=[1.0, 2.0], params={"width": 64}, distributions={"width": other}))
    with pytest.raises(UserError, match="expected the choices of this search, got others of width"):
        export_optuna(writer.folder, open_storage(url))


def test_a_storage_that_cannot_be_written_is_told_in_a_line(writer: Writer, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        cause = OperationalError("INSERT", {}, Exception("database is locked"))
        raise optuna.exceptions.StorageInternalError("An exception is raised during the commit.") from cause

    writer.ask(0)
    writer.run(0)
    monkeypatch.setattr(optuna.Study, "add_trial", locked)
    with pytest.raises(UserError, match="expected a storage that can be written, got .*database is locked") as told:
        export_optuna(writer.folder, open_storage(url))
    assert "\n" not in str(told.value)


def test_a_password_is_not_printed() -> None:
    with pytest.raises(UserError) as told:
        open_storage("nosuch://me:secret@host/trials")
    assert "nosuch://me:***@host/trials" in str(told.value) and "secret" not in str(told.value)


def test_the_command_says_what_it_added(writer: Writer, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        writer.ask(number)
    writer.run(0)
    export(writer.folder, optuna=url)
    export(writer.folder, optuna=url)
    assert capsys.readouterr().out.splitlines() == [
        "run/search: 1 trials added, 0 there already, 1 not ended",
        "run/search: 0 trials added, 1 there already, 1 not ended",
    ]
    assert list(trials(url)) == [0]


def test_without_the_dashboard_one_line_says_how_to_get_it(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(UserError, match=r"pip install 'carbon-nas\[dashboard\]'"):
        dashboard(writer.folder)


def test_the_dashboard_listens_on_this_machine_alone(writer: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: dict[str, Any] = {}
    server = type(sys)("optuna_dashboard")
    server.run_server = lambda storage, **options: called.update(options, studies=storage.get_all_studies())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna_dashboard", server)
    writer.ask(0)
    writer.run(0)
    dashboard(writer.folder, port=8099, storage=tmp_path / "kept.db")
    assert (called["host"], called["port"]) == ("127.0.0.1", 8099)
    assert [one.study_name for one in called["studies"]] == ["run/search"] and (tmp_path / "kept.db").exists()
