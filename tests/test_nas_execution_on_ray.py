"""Ray: workers that die, services, a cluster joined by address with a token."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.energy.energy_ledger import read_lines
from nas.energy.sources import find_source
from nas.energy.ticks import Procfs
from nas.errors import UserError
from nas.execution import on_ray, ray_access
from nas.execution.crew import WorkerSize
from nas.execution.executor import Gone, Job
from nas.execution.machines import METER_NAME, Machines
from nas.execution.processes import session_roots
from nas.execution.ray_executor import RayExecutor
from nas.execution.testing import objective
from nas.execution.testing_nodes import HASTY, RayNode, until
from nas.ledger import Ledger
from nas.search.coordinator import search
from nas.search.jobs import run_jobs
from nas.search.testing import WORKER, toy_plan

pytestmark = pytest.mark.usefixtures("environment")

GENOME = [0, 1, 2, 3, 4, 0]
COUNTER = "nas.execution.testing:Counter"


@pytest.fixture(scope="module")
def cluster(environment):
    environment.chmod(0o644)
    cluster = on_ray.connect(num_cpus=2)
    yield cluster
    cluster.close()


@pytest.fixture
def executor(cluster):
    with RayExecutor(WORKER, {"array": np.zeros(100_000)}, 2, cluster=cluster) as executor:
        yield executor


def _answers(executor, number):
    answers = []

    def enough():
        answers.extend(executor.wait(1))
        return len(answers) >= number

    until(enough)
    return answers


def _pids(executor):
    for number in range(2):
        executor.submit(Job(f"pid{number}", 1, {"genome": GENOME, "sleep_s": 0.3}))
    return {answer.result["pid"] for answer in _answers(executor, 2)}


def test_workers_get_the_context_once_and_have_one_thread(executor):
    for number in range(2):
        executor.submit(Job(f"a{number}", 1, {"genome": GENOME, "sleep_s": 0.2}))
    assert executor.free() == 0 and executor.wait(0) == []
    with pytest.raises(ValueError, match="all 2 are busy"):
        executor.submit(Job("b", 1, {}))
    answers = _answers(executor, 2)
    assert sorted(answer.job.job_id for answer in answers) == ["a0", "a1"]
    results = [answer.result for answer in answers]
    assert {result["loss"] for result in results} == {objective(GENOME)}
    assert {(result["writeable"], result["threads"]) for result in results} == {(False, "1")}
    pids = {result["pid"] for result in results}
    roots = session_roots(Procfs().process(pids.pop()).parent)
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in roots]
    assert "raylet" in names and "gcs_server" in names
    assert not set(roots) & {*pids, os.getpid()}
    assert answers[0].duration_s >= 0.2


def test_a_larger_worker_has_more_threads(cluster):
    with RayExecutor(WORKER, {}, 1, cluster, WorkerSize(2)) as executor:
        executor.submit(Job("a", 1, {}))
        assert _answers(executor, 1)[0].result["threads"] == "2"
        assert cluster.ray.available_resources().get("CPU", 0) == 0
    with pytest.raises(UserError, match="at most 1, for the Ray cluster has 2 cores, got 2 with 2 cores each"):
        RayExecutor(WORKER, {}, 2, cluster, WorkerSize(2))


def test_an_exception_fails_and_a_dead_worker_is_lost_and_replaced(executor, tmp_path, capfd):
    before = _pids(executor)
    executor.submit(Job("dead", 1, {"kill_once": str(tmp_path / "marker")}))
    executor.submit(Job("bad", 1, {"fail": "yes"}))
    answers = {answer.job.job_id: answer for answer in _answers(executor, 2)}
    assert (answers["bad"].kind, answers["bad"].reason) == ("failed", "ValueError: asked to fail, so it fails: yes")
    assert answers["dead"].kind == "lost" and "process died" in answers["dead"].reason
    until(lambda: executor.free() == 2)
    after = _pids(executor)
    assert len(after) == 2 and len(after & before) == 1
    assert "died" not in "".join(capfd.readouterr())


def test_a_search_survives_the_death_of_a_worker(executor, tmp_path):
    plan = toy_plan("aging_evolution", 30, seeds=((0, 1, 2, 3, 4, 0, "a"),))

    def make_job(trial, rung, start):
        kill = {"kill_once": str(tmp_path / "marker")} if trial.number == 4 else {}
        return Job(trial.job_id, 1, {"genome": list(trial.candidate), **kill})

    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        outcome = search(replace(plan, make_job=make_job), executor, ledger)
        answers = run_jobs([Job("final/a", 1, {"genome": GENOME})], executor, ledger)
    assert outcome.spent.trials == 30
    assert outcome.trials[4].attempts == 2
    assert {trial.status for trial in outcome.trials} <= {"complete", "duplicate"}
    assert answers[0].result["loss"] == objective(GENOME)


def test_workers_that_only_die_end_the_search_and_an_answer_forgives_deaths(cluster, tmp_path):
    """Three deaths a worker one after another are borne; all of them are told before the fourth ends the search."""
    told = []
    with RayExecutor(WORKER, {}, 1, cluster=cluster) as executor:
        with pytest.raises(UserError, match="4 died one after another, the last one: the worker's process died: .*of memory"):
            for number in (0, 1, 2, None, 4, 5, 6, 7, 8):
                assert executor.free() == 1
                fate = {} if number is None else {"kill_once": str(tmp_path / f"marker{number}")}
                executor.submit(Job(f"job{number}", 1, fate))
                told += _answers(executor, 1)
    assert [answer.kind for answer in told] == ["lost"] * 3 + ["finished"] + ["lost"] * 4


def test_a_service_answers_workers_and_never_raises(cluster):
    service = cluster.start_actor(COUNTER, {"start": 10})
    assert service.ask("add", 5) == 15
    with RayExecutor(WORKER, {"meter": service}, 1, cluster=cluster) as executor:
        executor.submit(Job("a", 1, {}))
        (answer,) = _answers(executor, 1)
        assert answer.result["meter"] == 16
    with pytest.raises(TypeError):
        service.ask("add", "text")
    with pytest.raises(cluster.ray.exceptions.GetTimeoutError):
        service.ask("sleep", 5.0, timeout_s=0.1)
    other = cluster.start_actor(COUNTER, {"start": 1})
    os.kill(other.ask("pid"), signal.SIGKILL)
    assert until(lambda: _answer_of(other)) in (2, 3, 4)
    cluster.ray.kill(other._handle)
    until(lambda: _is_gone(other))


def _is_gone(service):
    try:
        service.ask("add", 1)
    except Gone:
        return True
    return False


def _answer_of(service):
    try:
        return service.ask("add", 1, timeout_s=10)
    except Exception:
        return None


def test_what_cannot_start_says_why(cluster):
    with pytest.raises(RuntimeError, match="could not be started on Ray.*no_such_module"):
        cluster.start_actor("no_such_module:Thing", {})
    with pytest.raises(UserError, match="a worker could not be started on Ray.*no_such_module.*install no_such_module there"):
        RayExecutor("no_such_module:factory", {}, 1, cluster=cluster)
    with pytest.raises(UserError, match="at most 2, for the Ray cluster has 2 cores, got 3 with 1 core each"):
        RayExecutor(WORKER, {}, 3, cluster=cluster)


def test_authentication_is_on_and_the_token_private(cluster, environment):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    code = f"import ray; ray.init(address='{cluster.ray.get_runtime_context().gcs_address}', logging_level='ERROR')"
    stranger = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_gcs_rpc_server_connect_timeout_s": "1"}
    process = subprocess.Popen([sys.executable, "-c", code], env=stranger, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "InvalidAuthToken" in line:
                break
        else:
            pytest.fail("a stranger without a token was let in")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def head(cluster):
    """A head node of its own, as a user would start it, for the rest of these tests: a process has one cluster at a time."""
    cluster.close()
    with RayNode(environment=HASTY) as head:
        yield head.address


def test_a_running_cluster_is_joined_by_address(head, tmp_path):
    cluster = on_ray.connect(head)
    try:
        with (
            RayExecutor(WORKER, {"array": np.zeros(10)}, 2, cluster) as executor,
            Ledger.open(tmp_path / "ledger.jsonl") as ledger,
        ):
            outcome = search(toy_plan("nsga2", 12), executor, ledger)
            assert outcome.spent.trials == 12
    finally:
        cluster.close()


OTHER_BOOT = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _can_pretend_another_machine(tmp_path):
    (tmp_path / "boot_id").write_text("another machine\n")
    script = f"mount --bind {tmp_path / 'boot_id'} /proc/sys/kernel/random/boot_id"
    try:
        return subprocess.run([*OTHER_BOOT, "sh", "-c", script], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_another_machine_has_a_meter_of_its_own_whose_ledger_outlives_it(head, tmp_path):
    """A node in a pid namespace of its own that sees another boot id is another machine, by all that Ray and we can tell."""
    if not _can_pretend_another_machine(tmp_path):
        pytest.skip("needs the right to mount over the boot id")
    (tmp_path / "run").mkdir()
    script = f'mount --bind {tmp_path / "boot_id"} /proc/sys/kernel/random/boot_id && exec "$@"'
    elsewhere = [*OTHER_BOOT, "sh", "-c", script, "sh"]  # the node's own command follows
    cluster = on_ray.connect(head)
    try:
        machines = Machines(cluster, tmp_path / "run" / "energy.jsonl", "load_table")
        with RayNode(head, cores=1, wrapper=elsewhere) as other:
            until(lambda: len(cluster.node_ids()) == 2)
            context = {"meter_call": on_ray.MachineCall(METER_NAME)}
            with RayExecutor("nas.execution.testing:metered", context, 3, cluster=cluster) as executor:
                until(lambda: executor.free() == 3)
                for number in range(3):
                    executor.submit(Job(f"trial{number}", 1, {"trial": f"trial{number}", "burn_s": 0.3}))
                results = [answer.result for answer in _answers(executor, 3)]
            copies = lambda: [path for path in (tmp_path / "run").iterdir() if path.name != "energy.jsonl"]  # noqa: E731
            until(lambda: any(line["kind"] == "close" for path in copies() for line in read_lines(path)))
            other.kill()
            until(lambda: len(cluster.node_ids()) == 1)
            machines.stop()
    finally:
        cluster.close()
    assert all(result["energy_uj"] > 0 for result in results)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert len(names) == 2 and names[1] == "energy.jsonl"
    own, far = (list(read_lines(tmp_path / "run" / name)) for name in (names[1], names[0]))
    assert far[0]["boot_id"] != own[0]["boot_id"] and names[0] == f"energy-{far[0]['boot_id']}.jsonl"
    charged = [{trial for line in lines if line["kind"] == "tick" for trial in line["trials"]} for lines in (own, far)]
    assert len(charged[1]) == 1 and charged[0] | charged[1] == {f"trial{number}" for number in range(3)}
    assert [line["kind"] for line in own][-1] == "stop" and [line["kind"] for line in far][-1] != "stop"


OTHER_JOB = """
import os, sys, time, ray
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)

class Busy:
    def work(self, seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return os.getpid()

busy = ray.remote(Busy).options(num_cpus=0).remote()
print(ray.get(busy.work.remote(0)), flush=True)
sys.stdin.readline()
ray.get(busy.work.remote(1.0))
print("worked", flush=True)
sys.stdin.read()
"""


def test_actors_of_another_job_on_the_cluster_are_foreign(head, tmp_path):
    ledger = tmp_path / "energy.jsonl"
    cluster = on_ray.connect(head)
    command = [sys.executable, "-c", OTHER_JOB, head]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        try:
            pid = int(other.stdout.readline())
            machines = Machines(cluster, ledger, "load_table")
            until(lambda: any(pid in [one[0] for one in line.get("strangers", ())] for line in read_lines(ledger)))
            print("", file=other.stdin, flush=True)
            assert other.stdout.readline() == "worked\n"
            machines.stop()
        finally:
            other.kill()
            cluster.close()
    ticks = [line for line in read_lines(ledger) if line["kind"] == "tick"]
    tracked = [set(line.get("processes", {})) for line in read_lines(ledger)]
    named = next(n for n, line in enumerate(read_lines(ledger)) if line.get("strangers"))
    assert not any(str(pid) in names for names in tracked[named + 1 :])
    assert sum(tick["foreign_uj"] for tick in ticks) > 90 * find_source("load_table").tick_uj


CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def test_three_nodes_on_one_machine_have_one_meter_also_one_that_joins_late(head, tmp_path):
    """Every node's trials are charged by the same meter, and the total is that of the machine's counters.

    The node that joins late is a container, if we may make one, so that its processes come by its collector only.
    """
    inside = CONTAINER if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0 else []
    ledger = tmp_path / "energy.jsonl"
    with RayNode(head):
        cluster = on_ray.connect(head)
        try:
            machines = Machines(cluster, ledger, "load_table")
            with RayNode(head, wrapper=inside):
                until(lambda: len(cluster.node_ids()) == 3)
                context = {"meter_call": on_ray.MachineCall(METER_NAME)}
                with RayExecutor("nas.execution.testing:metered", context, 6, cluster=cluster) as executor:
                    until(lambda: executor.free() == 6)
                    for number in range(6):
                        executor.submit(Job(f"trial{number}", 1, {"trial": f"trial{number}", "burn_s": 0.3}))
                    results = [answer.result for answer in _answers(executor, 6)]
                totals = until(lambda: machines.totals_uj()["trials"] and machines.totals_uj())
                machines.stop()
        finally:
            cluster.close()
    assert len({result["node"] for result in results}) == 3
    assert all(result["energy_uj"] > 0 and result["source"] == "load-table" for result in results)
    assert totals["trials"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["energy.jsonl"]
    lines = list(read_lines(ledger))
    tick_uj = find_source("load_table").tick_uj
    raw = [line["raw"] for line in lines if "raw" in line]
    ticks = [line for line in lines if line["kind"] == "tick"]
    counted = sum(raw[-1]["uj"].values()) - sum(raw[0]["uj"].values())
    assert sum(tick["machine_uj"] for tick in ticks) == counted
    for name in (f"trial{number}" for number in range(6)):
        parts = [tick["trials"][name] for tick in ticks if name in tick["trials"]]
        spent = sum(part["cpu_ticks"] for part in parts)
        # Nobody's ticks were counted a second time as somebody else's, which would have left less for each.
        assert spent >= 25 and sum(part["uj"] for part in parts) >= 0.8 * spent * tick_uj
    assert [line["kind"] for line in lines][-1] == "stop"


def _holder_of(path):
    """The process that has a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.resolve() == path for link in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None


def test_a_killed_meter_meters_the_gap_and_trials_are_charged_again(environment, tmp_path):
    ledger = tmp_path / "energy.jsonl"
    cluster = on_ray.connect(num_cpus=1)
    try:
        machines = Machines(cluster, ledger, "auto")
        context = {"meter_call": on_ray.MachineCall(METER_NAME)}
        with RayExecutor("nas.execution.testing:metered", context, 1, cluster=cluster) as executor:
            executor.submit(Job("before", 1, {"trial": "before", "burn_s": 0.1}))
            _answers(executor, 1)
            os.kill(until(lambda: _holder_of(ledger)), signal.SIGKILL)
            until(lambda: [line["kind"] for line in read_lines(ledger)].count("start") == 2)
            executor.submit(Job("after", 1, {"trial": "after", "burn_s": 0.1}))
            (second,) = _answers(executor, 1)
            cluster.ray.kill(cluster.ray.get_actor(METER_NAME + Procfs().boot_id()))  # Ray does not start it again
            until(lambda: [line["kind"] for line in read_lines(ledger)].count("start") == 3)
            executor.submit(Job("third", 1, {"trial": "third", "burn_s": 0.1}))
            (third,) = _answers(executor, 1)
        machines.stop()
    finally:
        cluster.close()
    assert second.result["energy_uj"] > 0 and third.result["energy_uj"] > 0
    lines = list(read_lines(ledger))
    assert [line["gap"] for line in lines if line["kind"] == "start"] == ["none", "metered", "metered"]
    raw = [line["raw"]["uj"] for line in lines if "raw" in line]
    total = sum(line["machine_uj"] for line in lines if line["kind"] == "tick")
    assert total == sum(raw[-1].values()) - sum(raw[0].values())


def test_addresses_that_do_not_answer(monkeypatch, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"address {closed}: expected a Ray head node to answer"):
            on_ray.connect(closed)
        silent.listen()
        with pytest.raises(UserError, match="timed out"):
            ray_access.probe(closed, timeout_s=0.2)
        threading.Thread(target=_answer_http, args=(silent,)).start()
        with pytest.raises(UserError, match="another kind of server"):
            on_ray.connect(closed)
    for address in ("nowhere", "host:", "host:99999", ":80"):
        with pytest.raises(UserError, match="expected HOST:PORT"):
            on_ray.connect(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="expected the cluster's token in .*missing"):
        on_ray.connect("127.0.0.1:1")


def _answer_http(listening):
    for _ in range(2):
        connection, _ = listening.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_auto_means_the_address_in_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert ray_access.resolve_address("auto") == "10.0.0.1:6379"


def test_a_fresh_token_is_made_private(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nonexistent")
    made = []
    monkeypatch.setattr(ray_access.atexit, "register", lambda function, **kwargs: made.append(function))
    ray_access.token_for_new_cluster()
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(path.read_text()) == 64
    made[0]()
    assert not path.exists()


def test_only_one_module_imports_ray():
    root = Path(on_ray.__file__).parents[1]
    assert [path.name for path in root.rglob("*.py") if re.search(r"import ray\b", path.read_text())] == ["on_ray.py"]
    code = "import sys, nas.execution.ray_executor; print('torch' in sys.modules)\n"
    code += "import nas.search.coordinator, nas.workplace; print('ray' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False", "False"]
