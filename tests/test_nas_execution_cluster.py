"""A Ray cluster whose nodes have nothing of ours, come late, die at work and die idle, and which loses its head.

The head node offers no cores, so that whatever works does so on another node: one with a home of its own, an empty cache and
no package of ours, which is sent to it.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.energy.energy_ledger import read_lines
from nas.energy.sources import find_source
from nas.errors import UserError
from nas.evaluation import Assignment
from nas.execution import on_ray
from nas.execution.crew import WorkerSize
from nas.execution.executor import Job
from nas.execution.local import LocalExecutor
from nas.execution.machines import METER_NAME, Machines
from nas.execution.packages import PACKAGES
from nas.execution.ray_executor import RayExecutor
from nas.execution.testing_nodes import HASTY, RayNode, until
from nas.ledger import Ledger
from nas.phases import Repetition
from nas.records import Record
from nas.search.coordinator import search
from nas.search.testing import WORKER, toy_plan
from nas.tasks.translation import TranslationTask
from nas.testing import RECIPE, tiny
from nas.worker import FACTORY, context, payload

pytestmark = pytest.mark.usefixtures("environment")

METERED = "nas.execution.testing:metered"


def answer_of(executor):
    """The next answer."""
    return until(lambda: executor.wait(1.0))[0]


@pytest.fixture(scope="module")
def head(environment):
    with RayNode(cores=0, environment=HASTY) as head:
        yield head


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Variables of a node that has nothing of ours: no package, an empty home and an empty cache folder."""
    hiding = tmp_path_factory.mktemp("hiding")
    for name in PACKAGES:
        (hiding / name).mkdir()
        (hiding / name / "__init__.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    folders = {name: str(tmp_path_factory.mktemp(name.lower())) for name in ("HOME", "XDG_CACHE_HOME")}
    return {**folders, "PYTHONPATH": str(hiding)}


@pytest.fixture(scope="module")
def node(head, bare):
    with RayNode(head.address, cores=1, environment=bare) as node:
        yield node


@pytest.fixture(scope="module")
def shipped(head, node):
    """A connection that sends our packages to the nodes."""
    cluster = on_ray.connect(head.address, ship_package=True)
    yield cluster
    cluster.close()


def test_a_node_without_our_packages_is_told_in_one_line_and_nobody_waits_for_ever(head, node):
    cluster = on_ray.connect(head.address)
    try:
        with pytest.raises(UserError) as error:
            RayExecutor(WORKER, {}, 2, cluster)
        assert "No module named 'nas'; install the same carbon-nas there, or set execution.ship_package" in str(error.value)
        with pytest.raises(UserError, match="1 of 2 workers with 9 cores each .* got 0: 2 nodes with 1 cores and 0 GPUs in all"):
            RayExecutor(WORKER, {}, 2, cluster, WorkerSize(9), start_s=0.1)
    finally:
        cluster.close()


def test_a_real_trial_needs_nothing_of_the_users_disk(shipped, bare, tmp_path):
    task = TranslationTask(corpus="number_words", vocabulary_size=320, max_train_sentences=200).prepare(tmp_path)
    trial = payload(tiny(), 300, 3, Assignment(record_id="hand/tiny", role="hand"), valid_sentences=7, keep_weights=True)
    with RayExecutor(FACTORY, context("r", task.without_test(), RECIPE, None, Repetition(outputs=1)), 2, shipped) as executor:
        executor.submit(Job("hand/tiny", 1, trial))
        answer = answer_of(executor)
    assert answer.kind == "finished", answer.reason
    record = Record.from_json(json.dumps(answer.result["record"]))
    assert record.metrics["valid_loss"] > 0 and len(answer.arrays) > 10
    for name in ("HOME", "XDG_CACHE_HOME"):
        assert list(Path(bare[name]).iterdir()) == []


def _lines(ledger, trial):
    return [line["trials"][trial] for line in read_lines(ledger) if line["kind"] == "tick" and trial in line["trials"]]


def test_nodes_come_and_go_and_cost_their_own_trial_one_attempt(head, node, bare, shipped, tmp_path):
    """A node that joins late gets a trial and dies with it; the next dies idle. What the lost trial drew is on the bill."""
    ledger = tmp_path / "energy.jsonl"
    machines = Machines(shipped, ledger, "load_table")
    with RayExecutor(METERED, {"meter_call": on_ray.MachineCall(METER_NAME)}, 2, shipped) as executor:
        assert (executor.free(), executor.num_workers) == (1, 2)
        executor.submit(Job("here", 1, {"trial": "here", "burn_s": 3.0}))
        with pytest.raises(ValueError, match="wait first"):  # the other worker is asked for, and no job waits for it on Ray
            executor.submit(Job("early", 1, {}))
        absent_s = executor.absent_s()
        assert executor.free() == 0 and absent_s > 0
        with RayNode(head.address, cores=1, environment={**HASTY, **bare}) as late:
            waited = []
            until(lambda: executor.free() or waited.append(executor.wait(1.0)))
            executor.submit(Job("there", 1, {"trial": "there", "burn_s": 600.0}))
            until(lambda: sum(one["cpu_ticks"] for one in _lines(ledger, "there")) > 20)
            late.kill()
            answers = {one.job.job_id: one for some in waited for one in some}
            until(lambda: answers.update({one.job.job_id: one for one in executor.wait(1.0)}) or len(answers) == 2)
        assert {job: answer.kind for job, answer in answers.items()} == {"here": "finished", "there": "lost"}
        assert "node" in answers["there"].reason and answers["here"].result["energy_uj"] > 0
        with RayNode(head.address, cores=1, environment={**HASTY, **bare}) as idle:
            until(lambda: executor.free() == 2)
            idle.kill()
            until(lambda: executor.free() == 1)
        assert executor.absent_s() > absent_s
        executor.submit(Job("after", 1, {"trial": "after", "burn_s": 0.1}))
        assert answer_of(executor).kind == "finished"
    phases = until(lambda: machines.close_trial("there"))
    machines.stop()
    spent = sum(one["cpu_ticks"] for one in _lines(ledger, "there"))
    assert sum(one["uj"] for one in _lines(ledger, "there")) >= 0.5 * spent * find_source("load_table").tick_uj
    assert sum(phase.energy_uj for phase in phases.values()) > 0
    for name in ("HOME", "XDG_CACHE_HOME"):
        assert list(Path(bare[name]).iterdir()) == []


def test_a_worker_that_takes_too_much_memory_costs_its_job_and_no_more(shipped, node):
    with RayExecutor("nas.execution.testing:hungry", {}, 1, shipped) as executor:
        executor.submit(Job("big", 1, {"bytes": 2**40, "room": 2**30}))
        answer = answer_of(executor)
        assert answer.kind == "failed" and "memory" in answer.reason
        executor.submit(Job("small", 1, {"bytes": 10}))
        assert answer_of(executor).result == {"bytes": 10}


SEARCH = """
import sys
from pathlib import Path
from dataclasses import replace
from nas.errors import UserError
from nas.execution import on_ray
from nas.execution.executor import Job
from nas.execution.ray_executor import RayExecutor
from nas.ledger import Ledger
from nas.search.coordinator import search
from nas.search.testing import WORKER, toy_plan

on_ray.HEAD_GRACE_S = 2.0
plan = toy_plan("aging_evolution", 60)

def slow(trial, rung, start):
    job = plan.make_job(trial, rung, start)
    return replace(job, payload={**job.payload, "sleep_s": 0.2})

try:
    cluster = on_ray.connect(sys.argv[1], ship_package=True)
    try:
        with Ledger.open(Path(sys.argv[2])) as ledger, RayExecutor(WORKER, {}, 1, cluster) as executor:
            search(replace(plan, make_job=slow), executor, ledger)
    finally:
        cluster.close()
except UserError as error:
    print(error, file=sys.stderr)
    raise SystemExit(2)
"""


def test_a_search_that_loses_its_head_node_stops_in_words_and_can_be_resumed(head, node, shipped, tmp_path):
    shipped.close()
    path = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", SEARCH, head.address, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: path.exists() and path.read_text().count('"finished"') >= 3)
            os.kill(head.pid, signal.SIGSTOP)  # `ray start` would end the rest of the node with it
            head.kill("gcs_server")
            _, said = process.communicate(timeout=100)
        finally:
            process.kill()
    assert process.returncode == 2
    lines = [line for line in said.splitlines() if "Ray cluster is gone" in line]
    assert len(lines) == 1 and "its head node at" in lines[0] and "--resume" in lines[0] and "Traceback" not in said
    before = path.read_text().count('"finished"')
    with Ledger.open(path) as ledger, LocalExecutor(WORKER, {}) as executor:
        outcome = search(toy_plan("aging_evolution", 60), executor, ledger)
    assert 3 <= before < 60 and outcome.spent.trials == 60


LOSER = """
import os, signal, sys
from pathlib import Path
from nas.errors import UserError
from nas.execution import on_ray
from nas.execution.executor import Job
from nas.execution.ray_executor import RayExecutor

try:
    cluster = on_ray.connect(num_cpus=1)
    try:
        with RayExecutor("nas.execution.testing:factory", {}, 1, cluster) as executor:
            executor.submit(Job("a", 1, {"sleep_s": 600}))
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            (raylet,) = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "raylet\\n"]
            os.kill(int(raylet), signal.SIGKILL)
            while not executor.wait(1.0):
                pass
    finally:
        cluster.close()
except UserError as error:
    print(error, file=sys.stderr)
    raise SystemExit(2)
"""


def test_a_process_whose_own_node_is_lost_ends_in_words(environment):
    """Ray would end it with the next call that needs the node, and crash the interpreter on its way out."""
    done = subprocess.run([sys.executable, "-c", LOSER], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    assert "its node on this machine at" in done.stderr and "Traceback" not in done.stderr
