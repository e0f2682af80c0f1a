"""Writes synthetic studies for tests of the report: hand designs in one run, searches in others. Nothing was measured."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.records import Record
from nas.testing import module_at
from reports.folders import run_folders
from reports.load import load_runs
from reports.settings import make_settings
from reports.study import Study, analyse_study

RECORDS = Path(__file__).parent
SEEDS = (0, 1, 2, 3)
HANDS = (
    ("transformer-s", "transformer", 0.470, 7_000_000),
    ("transformer-l", "transformer", 0.585, 28_000_000),
    ("lite_transformer-s", "lite_transformer", 0.500, 6_500_000),
    ("lite_transformer-m", "lite_transformer", 0.565, 12_500_000),
    ("lite_transformer-l", "lite_transformer", 0.605, 26_000_000),
)
Edit = Callable[[Record], Record | None]
SETTINGS = make_settings("DEU", "FRA")


def keep(record: Record) -> Record:
    """No edit."""
    return record


def hand_run(folder: Path, edit: Edit = keep, seeds: Sequence[int] = SEEDS) -> Path:
    """Every hand design with every seed, without a search; one of them trained for twice as long, as a control."""
    module: Any = module_at(RECORDS / "make.py")
    maker = module.Maker(seed=11)
    _references(module, maker)
    for seed in seeds:
        for design in HANDS:
            maker.model("hand", *design, seed=seed)
    for seed in (1, 2):
        maker.model("control", "lite_transformer-m", "lite_transformer", 0.58, 12_500_000, seed=seed)
    maker.records = [replace(one, budget_tokens=1_600_000) if one.role == "control" else one for one in maker.records]
    own = {"hand": {"designs": [name for name, *_ in HANDS]}, "final": {"margin_bleu": 3.0, "seeds": list(seeds)}}
    return write(folder, maker, own, edit)


def search_run(
    folder: Path, limit: int, strategy: str, quality: float, macs: int, edit: Edit = keep, search_seed: int = 0
) -> Path:
    """A search of twelve trials; its champion has that quality and those MACs, three fresh seeds, no hand design beside it."""
    module: Any = module_at(RECORDS / "make.py")
    maker = module.Maker(seed=11)
    maker.random.seed(f"{limit} {strategy} {search_seed}")
    _references(module, maker)
    for number in range(12):
        maker.trial(number)
    maker.records = [replace(one, strategy=strategy if one.role == "search" else one.strategy) for one in maker.records]
    maker.model("finalist", "search-trial7", "searched", quality + 0.005, macs, seed=0)
    for seed in (1, 2, 3):
        maker.model("final", "search-trial7", "searched", quality, macs, seed=seed)
    search = {"space": "lite", "strategy": strategy, "seed": search_seed, "trials": 12, "mac_limit": limit}
    own = {"search": search, "hand": {"designs": ["lite_transformer-s"]}, "final": {"margin_bleu": 3.0, "seeds": [1, 2, 3]}}
    return write(folder, maker, own, edit)


def _references(module: Any, maker: Any) -> None:
    for name, quality in module.REFERENCES:
        rows = maker.sentence_counts(quality)
        maker.add(
            "reference", name, "reference", 0, metrics={"test_bleu": module.score(rows)}, sentence_counts={"test_bleu": rows}
        )
    maker.tick(None, "", 0)


def write(folder: Path, maker: Any, own: dict[str, Any], edit: Edit = keep) -> Path:
    """The three files of a run that is called as its folder is."""
    described = json.loads((RECORDS / "run.json").read_text(encoding="utf-8"))
    del described["experiment"]["search"]
    described["run_id"] = folder.name
    described["experiment"] |= {"name": folder.name, **own}
    records = [edit(replace(one, run_id=folder.name)) for one in maker.records]
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(described), encoding="utf-8")
    lines = [record.to_json() for record in records if record is not None]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "energy.jsonl").write_text("\n".join(maker.lines) + "\n", encoding="utf-8")
    return folder


def write_study(folder: Path) -> Path:
    """A hand run and four searches: two limits, random and evolution; the hand designs win at the tight limit."""
    hand_run(folder / "hand")
    for limit, strategy, quality, macs in (
        (7_000_000, "random", 0.40, 6_000_000),
        (7_000_000, "aging_evolution", 0.42, 6_200_000),
        (14_000_000, "random", 0.56, 11_000_000),
        (14_000_000, "aging_evolution", 0.588, 9_000_000),
    ):
        search_run(folder / f"{strategy}-{limit // 1_000_000}m", limit, strategy, quality, macs)
    return folder


def analysed(*given: Path) -> Study:
    """What is concluded from the runs of a study, searched in Germany and used in France."""
    folders = run_folders(given)
    return analyse_study(load_runs(folders.folders), SETTINGS, folders)


def copied(folder: Path, base: Path, without: tuple[str, ...] = ()) -> Path:
    """A study of its own, but for the files or runs of those names."""
    shutil.copytree(folder, base / "copy", ignore=lambda _, names: [one for one in names if one in without])
    return base / "copy"
