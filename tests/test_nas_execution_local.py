"""The executor in this process, and what all executors share."""

import pytest

from nas.execution.executor import Job, load, log, one_line
from nas.execution.local import LocalExecutor
from nas.execution.testing import objective

WORKER = "nas.execution.testing:factory"
GENOME = [0, 1, 2, 3, 4, 0]


def test_a_job_runs_in_wait_and_answers_once():
    with LocalExecutor(WORKER, {}) as executor:
        assert (executor.num_workers, executor.free(), executor.wait(0)) == (1, 1, [])
        job = Job("hand/a/seed0", 1, {"genome": GENOME})
        executor.submit(job)
        assert executor.free() == 0
        with pytest.raises(ValueError, match="expected a free worker for hand/b"):
            executor.submit(Job("hand/b", 1, {}))
        (answer,) = executor.wait(0)
        assert (answer.job, answer.kind, answer.reason) == (job, "finished", None)
        assert answer.result["loss"] == objective(GENOME)
        assert (executor.free(), executor.wait(0)) == (1, [])


def test_an_exception_is_a_failure_with_a_reason_of_one_line_and_its_place_is_logged(caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr(log, "disabled", False)  # libraries that configure logging switch off the loggers that are there
    executor = LocalExecutor(WORKER, {})
    executor.submit(Job("a", 1, {"fail": "x" * 1_000}))
    (answer,) = executor.wait(0)
    assert answer.kind == "failed" and answer.result is None
    assert answer.reason.startswith("ValueError: asked to fail, so it fails: xxx") and len(answer.reason) == 300
    assert caplog.messages == ["a job failed"]
    assert "testing.py" in caplog.text and "asked to fail" in caplog.text
    assert executor.free() == 1


def test_a_stop_passes_through_and_the_worker_is_free():
    executor = LocalExecutor(WORKER, {})
    executor._run = lambda payload: (_ for _ in ()).throw(KeyboardInterrupt)
    executor.submit(Job("a", 1, {}))
    with pytest.raises(KeyboardInterrupt):
        executor.wait(0)
    assert executor.free() == 1


def test_import_names():
    assert load("nas.execution.testing:objective") is objective
    for name in ("nas.execution.testing", "nas.execution.testing:", ":x", ""):
        with pytest.raises(ValueError, match="package.module:name"):
            load(name)
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
