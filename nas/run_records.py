"""The records of a run: made from the ledger, which is the truth, and written beside it for readers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nas import machine
from nas.evaluation import Assignment, counts_of, sizes_of
from nas.execution.executor import Answer, Job
from nas.experiment_parts import Experiment
from nas.judging import judge_of
from nas.ledger import read_events
from nas.outputs import told
from nas.phases import with_energy
from nas.records import ROLES, EnergySource, Phase, Record, Role, Status, merged, readable_records
from nas.run_folder import RunFolder
from nas.search.plan import SearchOutcome, Trial
from nas.search_plan import searched_design
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import EncodedSplit
from nas.worker import payload
from nas.workplace import Workplace
from search_spaces.design import Design
from search_spaces.spaces.all_spaces import find_space


class RecordBook:
    """Every record of the run so far, in memory and in `records.jsonl`."""

    def __init__(
        self,
        run: RunFolder,
        experiment: Experiment,
        task: EncodedTask,
        place: Workplace,
        source: EnergySource,
    ) -> None:
        self._run, self._experiment, self._task = run, experiment, task
        self._place, self._source = place, source
        self._records: dict[str, Record] = {}

    def restore(self) -> None:
        """Takes up what an earlier start left, and writes it anew: after a kill the file may lack a part.

        Finished records, and the rungs of trials that go on or wait, come from the ledger; those of references and of trials
        that failed or were lost, which the ledger has no record of, from the file.
        """
        for record in readable_records(self._run.records):
            if record.role == "reference" or record.status != "complete":
                self._records[record.record_id] = record
        legs: dict[str, list[Record]] = {}
        for event in read_events(self._run.ledger):
            if "result" in event:
                record = Record.from_plain(event["result"]["record"])
                legs.setdefault(record.record_id, []).append(record)
                written = self._records.get(record.record_id)
                if event["kind"] == "finished" or written is None or written.status == "stopped":
                    self._records[record.record_id] = _of_legs(legs[record.record_id], event["kind"] == "finished")
        self._run.rewrite_records(self._records.values())

    def add(self, record: Record) -> Record:
        """Keeps a record, in the place of an earlier one that differs."""
        before = self._records.get(record.record_id)
        if before is None:
            self._records[record.record_id] = record
            self._run.append_record(record)
        elif before != record:
            self._records[record.record_id] = record
            self._run.rewrite_records(self._records.values())
        return record

    def finish(self) -> None:
        """Writes the records in their final order: by role, search trials by number, the others as they came."""
        ordered = sorted(self._records.values(), key=lambda one: (ROLES.index(one.role), one.trial or 0))
        self._run.rewrite_records(ordered)

    def all(self) -> tuple[Record, ...]:
        """Every record."""
        return tuple(self._records.values())

    def complete(self, record_ids: Sequence[str]) -> list[Record]:
        """The complete ones of these records."""
        found = [self._records[one] for one in record_ids if one in self._records]
        return [record for record in found if record.status == "complete"]

    def design(self, record_id: str) -> dict[str, Any]:
        """The Design that a complete record was made of, as plain data."""
        record = self._records[record_id]
        fields = {"name": record.design, "family": record.family, "paper": record.paper}
        return {"kind": "Design", **fields, "architecture": record.architecture}

    def add_references(self) -> None:
        """Scores of what needs no model, on the data that models get."""
        for name, put_out in judge_of(self._task.kind).references.items():
            if f"reference/{name}" not in self._records:
                outputs = {label: put_out(self._task, split) for label, split in self._splits().items()}
                metrics = {key: value for label, one in outputs.items() for key, value in one.metrics(label).items()}
                fields = {"metrics": metrics, **told(outputs)}
                self.add(self._record(f"reference/{name}", "reference", "complete", name, "reference", **fields))

    def add_answer(self, answer: Answer) -> Record:
        """The record of a job that ended: its own, or one that says why there is none and what it cost."""
        if answer.result is not None:
            return self.add(Record.from_plain(answer.result["record"]))
        status: Status = "failed" if answer.kind == "failed" else "lost"
        return self.add(self._unfinished(answer.job, status, answer.reason or "no reason given", answer.duration_s))

    def add_trials(self, outcome: SearchOutcome) -> None:
        """The records of a search's trials; duplicates cost nothing and have none."""
        for trial in outcome.trials:
            if trial.results and not trial.cut:
                record = _of_legs([Record.from_plain(one["record"]) for one in trial.results], trial.status == "complete")
                failed = replace(record, status="failed", error=trial.reason)
                self.add(failed if trial.status == "failed" else record)
            elif trial.status in ("failed", "lost", "infeasible"):
                known = self._records.get(trial.job_id)
                # What restore made of its rungs, before a later leg failed, is "stopped".
                if known is None or known.status == "stopped":
                    self.add(self._of_trial(trial))

    def _splits(self) -> dict[str, EncodedSplit]:
        splits = {"valid": self._task.valid}
        return splits | ({"test": self._task.test} if self._task.test else {})

    def _of_trial(self, trial: Trial) -> Record:
        part = self._experiment.search_part
        design = searched_design(find_space(part.space), trial.number, trial.candidate)
        assignment = Assignment(
            record_id=trial.job_id, role="search", genome=trial.candidate, strategy=part.strategy, trial=trial.number
        )
        job = Job(trial.job_id, trial.attempts, payload(design, part.trial_tokens, part.seed, assignment))
        if trial.status == "infeasible":
            return self._unfinished(job, "infeasible", "above the limit", 0.0, phases=())
        status: Status = "failed" if trial.status == "failed" else "lost"
        last = self._unfinished(job, status, trial.reason or "no reason given", 0.0)
        return merged([*(Record.from_plain(result["record"]) for result in trial.results), last])

    def _unfinished(
        self, job: Job, status: Status, reason: str, duration_s: float, phases: tuple[Phase, ...] | None = None
    ) -> Record:
        design = Design.from_plain(job.payload["design"])
        given = job.payload["assignment"]
        if phases is None:
            energies = self._place.close_trial(job.job_id)
            unknown = (Phase(name="train", duration_s=duration_s, cpu_s=0.0),)
            phases = with_energy((), energies) if energies else unknown
        return self._record(
            job.job_id,
            given["role"],
            status,
            design.name,
            design.family,
            paper=design.paper,
            architecture=design.architecture.to_plain(),
            genome=None if given["genome"] is None else tuple(given["genome"]),
            strategy=given["strategy"],
            trial=given["trial"],
            counts=counts_of(design.architecture, sizes_of(self._task), self._task.counted_tokens),
            phases=phases,
            error=reason,
            budget_tokens=job.payload["budget_tokens"],
            seed=job.payload["seed"],
            base=job.payload.get("base"),
            recipe=self._experiment.recipe.at(job.payload.get("peak_learning_rate")).describe(),
        )

    def _record(self, record_id: str, role: Role, status: Status, design: str, family: str, **fields: Any) -> Record:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        given: dict[str, Any] = {"budget_tokens": 0, "seed": 0, "recipe": self._experiment.recipe.describe(), **fields}
        return Record(
            record_id=record_id,
            run_id=self._run.run_id,
            role=role,
            status=status,
            design=design,
            family=family,
            task=self._task.name,
            corpus=self._task.describe(),
            machine=machine.describe(),
            versions=machine.versions(),
            started_at=now,
            finished_at=now,
            energy=self._source,
            **given,
        )


def _of_legs(legs: Sequence[Record], finished: bool) -> Record:
    """One record of a trial's legs; a trial that hurdles stopped, or left waiting, is not complete."""
    record = merged(legs)
    return record if finished else replace(record, status="stopped")
