"""Seconds of processor time and bytes of the page of a report on a search of 1,000 and of 10,000 trials.

The run is made up from a recorded one: its trials again and again, with other genomes and their architectures, scores and times,
on two workers, 20 s a trial, a reading of the meter every second; every tenth is stopped early, every fiftieth fails, every child
has a parent. One core is used. A report has to stay under 20 s for 1,000 trials, under 90 s for 10,000, and its page under 2 MB
for 1,000.

    python benchmarks/report_speed.py results/translation_small --trials 1000 10000 > results/benchmarks/report_speed.txt
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nas.ledger import encode_line
from reports.page import write_report
from search_spaces.space import Space
from search_spaces.spaces.all_spaces import find_space

TRIAL_S, WORKERS, SENTENCES = 20.0, 2, 100
IDLE_UJ, BUSY_UJ, OVERHEAD_UJ, FOREIGN_UJ = 20_800_000, 3_300_000, 110_000, 40_000


def make_run(template: Path, target: Path, num_trials: int) -> None:
    """Writes a run of so many trials into `target`, like the search of the run in `template`."""
    rng = random.Random(num_trials)
    info = json.loads((template / "run.json").read_text(encoding="utf-8"))
    lines = (template / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    models = [one for one in records if one["role"] != "search"]
    trained = [one for one in records if one["role"] == "search" and one["status"] == "complete"]
    begin = datetime.fromisoformat(trained[0]["started_at"]).timestamp()
    space = find_space(info["experiment"]["search"]["space"])
    trials = [_trial(trained, number, begin, rng, space) for number in range(num_trials)]
    target.mkdir(parents=True)
    (target / "run.json").write_text(json.dumps(info), encoding="utf-8")
    with (target / "records.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(one) + "\n" for one in (*models, *trials))
    with (target / "ledger.jsonl").open("wb") as ledger:
        ledger.writelines(encode_line({"seq": seq, **event}) for seq, event in enumerate(_events(trials, begin, rng)))
    started = [line for line in (template / "energy.jsonl").read_text(encoding="utf-8").splitlines() if '"kind":"start"' in line]
    with (target / "energy.jsonl").open("w", encoding="utf-8") as meter:
        meter.writelines(line + "\n" for line in (started[0], *_ticks(num_trials, begin)))


def _trial(trained: Sequence[Mapping[str, Any]], number: int, begin: float, rng: random.Random, space: Space) -> dict[str, Any]:
    like = rng.choice(trained)
    genome = tuple(rng.choice(trained)["genome"][place] for place in range(len(like["genome"])))
    start = begin + number // WORKERS * TRIAL_S
    status = "failed" if number % 50 == 49 else "stopped" if number % 10 == 9 else "complete"
    gain = 4.0 * number / (number + 200) + rng.gauss(0.0, 1.0)
    metrics = {name: value + 0.1 * gain for name, value in like["metrics"].items()}
    metrics["valid_bits_per_character"] = like["metrics"]["valid_bits_per_character"] - 0.02 * gain
    counts = {name: rows[:SENTENCES] for name, rows in like["sentence_counts"].items()}
    return {
        **like,
        "record_id": f"search/trial{number}",
        "design": f"search-trial{number}",
        "trial": number,
        "status": status,
        "error": "made up" if status == "failed" else None,
        "genome": list(genome),
        "architecture": space.decode(genome).to_plain(),
        "metrics": {} if status == "failed" else metrics,
        "sentence_counts": {} if status == "failed" else counts,
        "started_at": _moment(start),
        "finished_at": _moment(start + TRIAL_S * (0.5 if status == "stopped" else 1.0)),
    }


def _moment(unix_s: float) -> str:
    return datetime.fromtimestamp(int(unix_s), UTC).isoformat()


def _events(trials: Sequence[Mapping[str, Any]], begin: float, rng: random.Random) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(trials):
        common = {"time": begin + number, "search": "search", "trial": number, "job": one["record_id"]}
        parent = {"parent": rng.randrange(max(0, number - 100), number)} if number > 50 else {}
        yield {"kind": "asked", **common, "genome": one["genome"], "candidate": one["genome"], **parent}
        if one["status"] == "complete":
            yield {"kind": "finished", **common, "result": {"record": one}}


def _ticks(num_trials: int, begin: float) -> Iterator[str]:
    for second in range(int(num_trials / WORKERS * TRIAL_S)):
        first = int(second // TRIAL_S) * WORKERS
        shares = {
            f"search/trial{number}": {"phase": "train", "uj": BUSY_UJ, "loaded_uj": BUSY_UJ + (IDLE_UJ + OVERHEAD_UJ) // WORKERS}
            for number in range(first, min(first + WORKERS, num_trials))
        }
        tick = {
            "kind": "tick",
            "time": begin + second + 1,
            "dt_s": 1.0,
            "machine_uj": IDLE_UJ + FOREIGN_UJ + OVERHEAD_UJ + BUSY_UJ * len(shares),
            "idle_uj": IDLE_UJ,
            "foreign_uj": FOREIGN_UJ,
            "overhead_uj": OVERHEAD_UJ,
            "trials": shares,
            "gap": False,
        }
        yield json.dumps(tick, separators=(",", ":"))


def main() -> None:
    """Prints one line a number of trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("template", type=Path, help="a run with a search, for example results/translation_small")
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000], help="numbers of trials")
    options = parser.parse_args()
    print(f"{'trials':>8} {'cpu s':>8} {'page, bytes':>12}")
    for num_trials in options.trials:
        with tempfile.TemporaryDirectory() as folder:
            run, output = Path(folder) / "run", Path(folder) / "report"
            make_run(options.template, run, num_trials)
            begun = time.process_time()
            write_report([run], output, "DEU", "DEU")
            spent = time.process_time() - begun
            print(f"{num_trials:>8,} {spent:>8.1f} {(output / 'index.html').stat().st_size:>12,}", flush=True)


if __name__ == "__main__":
    main()
