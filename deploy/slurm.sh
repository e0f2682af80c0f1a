#!/bin/bash
# carbon-nas on all nodes of a SLURM job: Ray's head on the first, whose cores work too, and a Ray node on each of the others.
# Needs a folder that all nodes share, with this checkout in it.
# For torch's CPU build, some gigabytes smaller, first: export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
#
#   python3 -m venv venv && venv/bin/pip install --constraint constraints.txt torch && venv/bin/pip install --constraint constraints.txt .
#   sbatch --nodes=4 --cpus-per-task=8 deploy/slurm.sh quickstart --set execution.workers=32
#   sbatch --nodes=4 --cpus-per-task=8 deploy/slurm.sh quickstart --set execution.workers=32 --resume
#
# The second starts a run, the third goes on with one that was cut short, in another job. Their words after slurm.sh are those
# of `carbon-nas run`.
#SBATCH --job-name=carbon-nas
#SBATCH --ntasks-per-node=1
#SBATCH --output=carbon-nas-%j.out
set -euo pipefail
umask 077 # the token, Ray's files and the run are the user's alone

export PATH="${CARBON_NAS_VENV:-$SLURM_SUBMIT_DIR/venv}/bin:$PATH"
secret=$(mktemp --directory "$SLURM_SUBMIT_DIR/.carbon-nas-$SLURM_JOB_ID-XXXXXX") # in the shared folder, mode 0700
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$secret/token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$secret/token" RAY_USAGE_STATS_ENABLED=0 RAY_enable_metrics_collection=0
# Ray opens its own folder to everybody, so that it has to lie in one that is private; paths of its sockets have to be short.
export RAY_TMPDIR="/tmp/carbon-nas-$SLURM_JOB_ID"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
cores=${SLURM_CPUS_PER_TASK:-1}
on() { # on NODE COMMAND...: one task with all cores of a node, beside what runs there; in a subshell, whose place it takes
    exec srun --nodes=1 --ntasks=1 --cpus-per-task="$cores" --overlap --nodelist="$1" "${@:2}"
}
steps=()
finish() {
    kill "${steps[@]}" 2>/dev/null || true
    wait || true
    for node in "${nodes[@]}"; do (on "$node" rm -rf "$RAY_TMPDIR") || true; done
    rm -rf "$secret"
}
trap finish EXIT

ip=$(on "${nodes[0]}" hostname --ip-address)
ip=${ip%% *}
port=$((20000 + SLURM_JOB_ID % 10000)) # two jobs may share a node
on "${nodes[0]}" ray start --head --node-ip-address="$ip" --port="$port" --num-cpus="$cores" --include-dashboard=false \
    --disable-usage-stats --block &
steps+=($!)
tries=5 # each waits for most of a minute
until ray health-check --address "$ip:$port" >/dev/null 2>&1; do
    if ((--tries == 0)); then
        echo "slurm.sh: Ray's head node on ${nodes[0]} did not start" >&2
        exit 1
    fi
    sleep 1
done
for node in "${nodes[@]:1}"; do
    on "$node" ray start --address="$ip:$port" --num-cpus="$cores" --disable-usage-stats --block &
    steps+=($!)
done

carbon-nas run "$@" --address "$ip:$port"
