"""Writes the small run that tests of the report read. Every value is synthetic: drawn from a fixed seed, not measured.

Run `python tests/records/make.py [FOLDER]` to write run.json, records.jsonl and energy.jsonl (default: beside this file).
"""

import json
import random
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sacrebleu.metrics import BLEU

from nas.records import Counts, EnergySource, Phase, Record

START_S = 1_700_000_000
TICK_S = 10
IDLE_UJ = 120_000_000
NUM_SENTENCES = 60
SOURCE = EnergySource(
    name="synthetic-linear",
    provenance="estimated",
    version="0",
    low_factor=0.6,
    high_factor=1.6,
    note="linear load model; made up for tests",
    low={"idle": 0.6, "busy": 0.7},
    high={"idle": 1.6, "busy": 1.3},
    components={"cpu": "estimated", "ram": "estimated"},
)
HANDS = (
    ("transformer-s", "transformer", 0.470, 7_000_000),
    ("transformer-m", "transformer", 0.545, 14_000_000),
    ("transformer-l", "transformer", 0.585, 28_000_000),
    ("lite_transformer-s", "lite_transformer", 0.490, 6_500_000),
    ("lite_transformer-m", "lite_transformer", 0.565, 12_500_000),
    ("lite_transformer-l", "lite_transformer", 0.605, 26_000_000),
)
CHAMPIONS = (
    ("lite_transformer-m", "lite_transformer", 0.565, 12_500_000),
    ("search-trial7", "searched", 0.573, 9_000_000),
)
REFERENCES = (("copy", 0.20), ("nearest_neighbour", 0.33))


class Maker:
    """A synthetic clock and meter that write what a run would have written."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now_s = START_S
        self.counter_uj = 0
        self.lines: list[str] = [
            json.dumps(
                {
                    "kind": "start",
                    "schema": 2,
                    "time": START_S,
                    "boot_id": "synthetic",
                    "cores": 2,
                    "source": asdict(SOURCE),
                    "meter": 1,
                    "gap": "none",
                }
            )
        ]
        self.records: list[Record] = []
        difficulty = random.Random(seed + 1)
        self.sentences = [(difficulty.randint(5, 14), difficulty.gauss(0, 0.08)) for _ in range(NUM_SENTENCES)]

    def tick(self, trial: str | None, phase: str, energy_uj: int) -> int:
        """One reading of the meter; returns the trial's loaded energy."""
        overhead = self.random.randint(5_000_000, 8_000_000)
        foreign = self.random.randint(1_000_000, 12_000_000)
        self.now_s += TICK_S
        loaded = energy_uj + IDLE_UJ + overhead if trial else 0
        machine = IDLE_UJ + overhead + foreign + (energy_uj if trial else 0)
        self.counter_uj += machine
        drawn = {"phase": phase, "uj": energy_uj, "loaded_uj": loaded, "idle_uj": IDLE_UJ, "cpu_ticks": 900}
        memory = IDLE_UJ // 2
        event = {
            "kind": "tick",
            "time": self.now_s,
            "dt_s": TICK_S,
            "counter_uj": self.counter_uj,
            "machine_uj": machine,
        }
        event |= {"idle_uj": IDLE_UJ, "foreign_uj": foreign, "overhead_uj": overhead, "trials": {trial: drawn} if trial else {}}
        event |= {"uj": {"cpu": machine - memory, "ram": memory}, "gap": False}
        self.lines.append(json.dumps(event))
        return loaded

    def phase(self, trial: str, name: str, ticks: int, power: float, sentences: int = 0) -> Phase:
        """A phase of some ticks, at a dynamic power of `power` of about 13 W."""
        dynamic = [round(self.random.uniform(127_000_000, 133_000_000) * power) for _ in range(ticks)]
        loaded = sum(self.tick(trial, name, one) for one in dynamic)
        return Phase(
            name=name,
            duration_s=float(ticks * TICK_S),
            cpu_s=9.0 * ticks,
            tokens=20_000 * ticks,
            sentences=sentences,
            energy_uj=sum(dynamic),
            loaded_uj=loaded,
            idle_uj=ticks * IDLE_UJ,
        )

    def sentence_counts(self, quality: float) -> tuple[tuple[int, ...], ...]:
        """Rows of hypothesis length, reference length, matches and totals of 1- to 4-grams."""
        rows = []
        for length, ease in self.sentences:
            produced = max(4, length + self.random.randint(-1, 1))
            totals = [produced - order for order in range(4)]
            rate = min(0.98, max(0.05, quality + ease + self.random.gauss(0, 0.03)))
            matches = [min(total, round(total * rate ** (1 + 0.6 * order))) for order, total in enumerate(totals)]
            rows.append((produced, length, *matches, *totals))
        return tuple(rows)

    def add(self, role: str, design: str, family: str, seed: int, **extra: Any) -> None:
        """A record that ends now."""
        trial = f"search/{design.removeprefix('search-')}" if role == "search" else f"{role}/{design}/seed{seed}"
        moment = datetime.fromtimestamp(self.now_s, UTC).isoformat()
        fields: dict[str, Any] = {
            "record_id": trial,
            "run_id": "synthetic",
            "role": role,
            "status": "complete",
            "design": design,
            "family": family,
            "task": "translation",
            "corpus": {"name": "synthetic", "source": "en", "target": "de", "sha256": "0" * 64, "test": NUM_SENTENCES},
            "recipe": {"name": "common", "learning_rate": 0.003, "warmup_steps": 300},
            "budget_tokens": 200_000 if role == "search" else 800_000,
            "seed": seed,
            "machine": {"cpu": "Synthetic CPU", "cores": 2, "boot": "synthetic"},
            "versions": {"torch": "0.0", "python": "3.11"},
            "started_at": moment,
            "finished_at": moment,
            "energy": SOURCE,
        }
        self.records.append(Record(**(fields | extra)))

    def model(self, role: str, design: str, family: str, quality: float, macs: int, seed: int) -> None:
        """A model trained at the full budget; the test set is scored except for finalists."""
        trial = f"{role}/{design}/seed{seed}"
        phases = [self.phase(trial, "train", 4, 1.0), self.phase(trial, "validate", 1, 0.8, NUM_SENTENCES)]
        counts_of = {"valid_bleu": self.sentence_counts(quality + 0.01)}
        if role != "finalist":
            phases.append(self.phase(trial, "inference", 1, macs / 14_000_000, NUM_SENTENCES))
            counts_of["test_bleu"] = self.sentence_counts(quality)
        self.add(
            role,
            design,
            family,
            seed,
            phases=tuple(phases),
            counts=sizes(macs),
            metrics={"valid_loss": 2.1, "valid_chrf": 41.0} | {name: score(rows) for name, rows in counts_of.items()},
            sentence_counts={name: rows for name, rows in counts_of.items() if name == "test_bleu"},
            signatures={"bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"},
        )

    def trial(self, number: int) -> None:
        """One search trial at the short budget; some fail, are infeasible or are lost."""
        design, trial = f"search-trial{number}", f"search/trial{number}"
        macs = self.random.randrange(4_000_000, 16_000_000, 250_000) if number != 7 else 9_000_000
        common: dict[str, Any] = {
            "genome": ("half", 7, "lightweight", 4, 1.0, self.random.choice((64, 96, 128)), 2, 2),
            "strategy": "aging_evolution",
            "trial": number,
            "counts": sizes(macs),
        }
        if number == 3:
            self.add("search", design, "searched", 0, status="infeasible", error="18.2 M MACs, the limit is 16 M", **common)
            return
        train = self.phase(trial, "train", 1, 1.0)
        if number == 5:
            self.add("search", design, "searched", 0, status="failed", error="loss is not finite", phases=(train,), **common)
            return
        if number == 8:
            unknown = replace(train, energy_uj=None, loaded_uj=None, idle_uj=None)
            self.add("search", design, "searched", 0, status="lost", error="worker died", phases=(unknown,), **common)
            return
        quality = 0.40 + 0.0045 * macs / 1e6 + self.random.uniform(-0.03, 0.03) + (0.04 if number == 7 else 0)
        phases = (train, self.phase(trial, "validate", 1, 0.8, NUM_SENTENCES))
        metrics = {"valid_loss": 3.0, "valid_bleu": score(self.sentence_counts(quality))}
        self.add("search", design, "searched", 0, phases=phases, metrics=metrics, **common)


def sizes(macs: int) -> Counts:
    """Counts in proportion to the MACs."""
    items = {"linear": macs - macs // 10, "attention": macs // 10, "vocabulary": 6_000_000}
    return Counts(params=macs // 30 + 200_000, params_paper=macs // 30, macs=macs + 6_000_000, macs_paper=macs, macs_items=items)


def score(rows: tuple[tuple[int, ...], ...]) -> float:
    """Corpus BLEU by sacrebleu."""
    sums = [sum(column) for column in zip(*rows, strict=True)]
    return float(BLEU.compute_bleu(sums[2:6], sums[6:10], sums[0], sums[1], smooth_method="exp").score)


def make(folder: Path) -> None:
    """Writes the run into `folder`."""
    maker = Maker(seed=20240229)
    for name, quality in REFERENCES:
        rows = maker.sentence_counts(quality)
        metrics = {"test_bleu": score(rows), "valid_bleu": score(maker.sentence_counts(quality))}
        maker.add("reference", name, "reference", 0, metrics=metrics, sentence_counts={"test_bleu": rows}, energy=None)
    maker.tick(None, "", 0)
    for design in HANDS:
        maker.model("hand", *design, seed=0)
    maker.tick(None, "", 0)
    for number in range(12):
        maker.trial(number)
    for name, quality, macs in (("search-trial7", 0.575, 9_000_000), ("search-trial2", 0.555, 11_000_000)):
        maker.model("finalist", name, "searched", quality, macs, seed=0)
    for seed in (1, 2, 3):
        for design in CHAMPIONS:
            maker.model("final", *design, seed=seed)
    maker.tick(None, "", 0)
    maker.lines.append(json.dumps({"kind": "codecarbon", "time": maker.now_s, "cumulative_uj": round(maker.counter_uj * 1.004)}))
    write(folder, maker)


def write(folder: Path, maker: Maker) -> None:
    """The three files: one line of the records is torn, one is of schema 0 (it lacks signatures, error and paper)."""
    lines = [record.to_json() for record in maker.records]
    older = json.loads(lines[2])
    for name in ("signatures", "error", "paper", "strategy"):
        del older[name]
    lines[2] = json.dumps(older | {"schema": 0}, separators=(",", ":"))
    lines.insert(5, lines[5][: len(lines[5]) // 3])
    phases = [("corpus", 4.0), ("hand", 380.0), ("search", 210.0), ("finalists", 100.0), ("finals", 360.0)]
    run = {
        "schema": 1,
        "run_id": "synthetic",
        "experiment": {
            "name": "synthetic",
            "task": {"name": "translation", "corpus": "synthetic", "source": "en", "target": "de"},
            "search": {"space": "lite", "strategy": "aging_evolution", "trials": 12, "mac_limit": 16_000_000},
            "carbon": {"searched_in": "DEU", "used_in": "FRA", "pue": 1.0},
            "final": {"margin_bleu": 3.0},
        },
        "fingerprint": "f" * 64,
        "created_at": "2023-11-14T22:13:20+00:00",
        "machine": {"cpu": "Synthetic CPU", "cores": 2, "memory_gib": 8},
        "versions": {"torch": "0.0", "python": "3.11", "sacrebleu": "2.6.0"},
        "energy": asdict(SOURCE),
        "corpus": {
            "name": "synthetic",
            "train": 9_000,
            "valid": NUM_SENTENCES,
            "test": NUM_SENTENCES,
            "sha256": "0" * 64,
        },
        "phases": [{"name": name, "seconds": seconds} for name, seconds in phases],
        "engine": {"overhead_share": 0.021},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "energy.jsonl").write_text("\n".join(maker.lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
