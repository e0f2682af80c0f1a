"""The files of deploy/: what they say agrees with KubeRay's fields, with our command line and with each other."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from nas.cli import app
from nas.configuration import load_experiment
from nas.execution.packages import PACKAGES

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SLURM = DEPLOY / "slurm.sh"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in (*DEPLOY.iterdir(), ROOT / "docs" / "cluster.md")}


def header_commands(name):
    """The commands in the comment at the top of a file."""
    lines = TEXTS[name].splitlines()
    end = next(number for number, line in enumerate(lines) if number and not line.startswith("#"))
    return [line[4:] for line in lines[:end] if line.startswith("#   ")]


def documents():
    return {one["kind"]: one for one in yaml.safe_load_all(TEXTS["kuberay.yaml"])}


@pytest.mark.parametrize("name", ["kuberay.yaml", "slurm.sh"])
def test_three_commands_are_all_it_takes(name):
    assert len(header_commands(name)) == 3


def test_commands_name_what_our_command_line_has():
    runs = [command for text in TEXTS.values() for command in re.findall(r"carbon-nas run .*|sbatch .*slurm\.sh .*", text)]
    known = {option for one in typer.main.get_command(app).commands["run"].params for option in one.opts}
    assert len(runs) >= 6
    for command in runs:
        words = shlex.split(re.split(r"carbon-nas run|slurm\.sh", command.split("    ")[0])[-1])
        assert {word for word in words if word.startswith("--")} <= known, command
        for key, value in zip(words, words[1:], strict=False):
            if key == "--set":
                load_experiment("quickstart", (value,))


def test_the_table_of_keys_is_that_of_the_experiment():
    table = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", TEXTS["cluster.md"], re.MULTILINE))
    part = load_experiment("smoke").execution
    assert {"workers", "worker_cpus", "worker_gpus", "start_minutes", "ship_package"} == set(table)
    defaults = {name: type(part).model_fields[name].default for name in table}
    assert {name: yaml.safe_load(text) for name, text in table.items()} == defaults


def test_kuberay_has_a_token_an_autoscaler_and_no_open_door():
    found = documents()
    assert set(found) == {"RayCluster", "PersistentVolumeClaim", "NetworkPolicy"}
    cluster = found["RayCluster"]
    spec = cluster["spec"]
    assert cluster["apiVersion"] == "ray.io/v1" and spec["authOptions"] == {"mode": "token"}
    assert f"ray=={spec['rayVersion']}\n" in (ROOT / "constraints.txt").read_text()
    assert spec["enableInTreeAutoscaling"] is True
    head, (workers,) = spec["headGroupSpec"], spec["workerGroupSpecs"]
    assert head["serviceType"] == "ClusterIP"
    assert head["rayStartParams"] == {"num-cpus": "0", "dashboard-host": "127.0.0.1"}
    assert workers["minReplicas"] == 0 < workers["maxReplicas"]
    containers = [container for group in (head, workers) for container in group["template"]["spec"]["containers"]]
    assert {container["image"] for container in containers} == {"<IMAGE>"}
    assert all(container["resources"]["limits"] == container["resources"]["requests"] for container in containers)
    (volume,) = head["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    ours = {"matchLabels": {"ray.io/cluster": cluster["metadata"]["name"]}}
    policy = found["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == ours and policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"from": [{"podSelector": ours}]}]
    assert f"service/{cluster['metadata']['name']}-head-svc" in header_commands("kuberay.yaml")[2]


def test_the_image_has_torch_first_and_pinned_then_us():
    steps = [line for line in re.sub(r"\\\n", "", TEXTS["Dockerfile"]).splitlines() if line and not line.startswith("#")]
    copied = {word for step in steps if step.startswith("COPY") for word in step.split()[1:-1]}
    assert set(PACKAGES) | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} == copied
    (install,) = [step for step in steps if "pip install" in step]
    first, second = [shlex.split(part)[-2:] for part in install.removeprefix("RUN ").split("&&")]
    assert first[-1] == "torch" and second == ["ray[default]", "."]
    assert install.count("--constraint constraints.txt") == 2
    assert all((ROOT / name).exists() for name in copied)


def test_ray_knows_the_options_of_the_script():
    ray = Path(sys.executable).parent / "ray"
    told = subprocess.run([ray, "start", "--help"], capture_output=True, text=True, check=True).stdout
    starts = re.findall(r"ray start (.*)", re.sub(r"\\\n", "", TEXTS["slurm.sh"]))
    assert len(starts) == 2
    for start in starts:
        assert all(option in told for option in re.findall(r"--[a-z-]+", start)), start


PROGRAMS = {
    "scontrol": "printf 'node1\\nnode2\\nnode3\\n'",
    # Takes its own options off and says the node, as the task would run there.
    "srun": """
for word; do [[ $word == --nodelist=* ]] && export AT=${word#*=}; done
while [[ $1 == --* ]]; do shift; done
[ "$1" = hostname ] && { echo "10.0.0.1 10.0.0.2"; exit; }
exec "$@"
""",
    "ray": """
[ "$1" = health-check ] && exit
stat -c '%a' "$RAY_AUTH_TOKEN_PATH" >>"$SAID"; wc -c <"$RAY_AUTH_TOKEN_PATH" >>"$SAID"
echo "$AT ray $* pid=$$" >>"$SAID"
exec sleep 1000
""",
    "carbon-nas": """
until [ "$(grep -sc ' ray ' "$SAID")" = 3 ]; do sleep 0.01; done
printf 'carbon-nas'; printf ' <%s>' "$@"; echo
exit 2
""",
}


def test_the_slurm_script_starts_every_node_and_leaves_nothing_behind(tmp_path):
    programs, home = tmp_path / "venv" / "bin", tmp_path / "home"
    programs.mkdir(parents=True)
    home.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}")
        (programs / name).chmod(0o755)
    slurm = {"JOB_ID": "12345", "JOB_NODELIST": "node[1-3]", "CPUS_PER_TASK": "8", "SUBMIT_DIR": str(home)}
    environment = {"PATH": os.environ["PATH"], "CARBON_NAS_VENV": str(programs.parent), "SAID": str(tmp_path / "said")}
    environment |= {f"SLURM_{name}": value for name, value in slurm.items()}
    command = ["bash", str(SLURM), "my run.toml", "--resume"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == "carbon-nas <run> <my run.toml> <--resume> <--address> <10.0.0.1:22345>\n"
    said = (tmp_path / "said").read_text().splitlines()
    started = sorted(line for line in said if " ray " in line)
    assert sorted(set(said) - set(started)) == ["600", "64"]
    assert started[0].startswith("node1 ray start --head --node-ip-address=10.0.0.1 --port=22345 --num-cpus=8")
    assert [line.split(" --num-cpus=8")[0] for line in started[1:]] == [
        f"node{number} ray start --address=10.0.0.1:22345" for number in (2, 3)
    ]
    assert all("--block" in line and "token" not in line for line in started)
    assert not any(Path(f"/proc/{line.rpartition('=')[2]}").exists() for line in started)
    assert list(home.iterdir()) == []


def test_the_slurm_script_is_bash():
    subprocess.run(["bash", "-n", SLURM], check=True)
    assert os.access(SLURM, os.X_OK)
