"""Trains small models on the tasks beside translation, each beside the same model untrained, and prints both.

    python benchmarks/families.py results/families

Records go to records.jsonl in that folder. Two evaluations run at a time, one thread each; about twenty minutes on two cores.
`--scale 0.01` shortens every training to see that all of it works.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nas.records import Record, read_records

# Task, metric of the table, training tokens, designs.
TRAININGS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    (
        "language_model",
        "test_bits_per_byte",
        800_000,
        ("gpt2-s", "llama-s", "lite_transformer-lm-s", "differential_transformer-lm-s", "bitnet-s"),
    ),
    ("masked_text", "test_perplexity", 800_000, ("roberta-s", "linformer-s")),
    ("passage_class", "test_accuracy", 1_500_000, ("roberta-s", "linformer-s")),
    ("pixels", "test_accuracy", 8_000_000, ("deit-s", "evit-s-0.5")),
    ("pixels", "test_accuracy", 6_000_000, ("roberta-xs", "linformer-xs")),
    ("summarisation", "test_rougeL", 400_000, ("transformer-s", "lite_transformer-s")),
)
LOWER_IS_BETTER = ("test_bits_per_byte", "test_perplexity")


def evaluate(design: str, task: str, tokens: int, output: Path) -> str:
    """One `carbon-nas evaluate`, its record appended to a file of its own. What went wrong, nothing where all is well."""
    command = Path(sys.executable).with_name("carbon-nas")
    words = [str(command), "evaluate", design, "--task", task, "--tokens", str(tokens)]
    done = subprocess.run([*words, "--output", str(output)], capture_output=True, text=True, check=False)
    return f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}" if done.returncode else ""


def table(records: Sequence[Record]) -> str:
    """One line a design and task: untrained, trained, tokens of the training."""
    by_key = {(one.design, one.task, one.budget_tokens > 0): one for one in records}
    lines = ["| task | design | metric | untrained | trained | tokens |", "|---|---|---|---|---|---|"]
    for task, metric, _, designs in TRAININGS:
        for design in designs:
            before, after = by_key[design, task, False], by_key[design, task, True]
            values = f"{before.metrics[metric]:,.2f} | {after.metrics[metric]:,.2f}"
            lines.append(f"| {task} | {design} | {metric.removeprefix('test_')} | {values} | {after.budget_tokens:,} |")
    return "\n".join(lines)


def worse_than_untrained(records: Sequence[Record]) -> list[str]:
    """Designs whose training did not better the metric of their task."""
    by_key = {(one.design, one.task, one.budget_tokens > 0): one for one in records}
    found = []
    for task, metric, _, designs in TRAININGS:
        for design in designs:
            before, after = (by_key[design, task, trained].metrics[metric] for trained in (False, True))
            if (after >= before) if metric in LOWER_IS_BETTER else (after <= before):
                found.append(f"{design} on {task}: {metric} {before:.4g} untrained, {after:.4g} trained")
    return found


def main() -> None:
    """Runs all, keeps the records in one file, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the training tokens")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (design, task, round(share * tokens))
        for task, _, tokens, designs in TRAININGS
        for design in designs
        for share in (given.scale, 0)
    ]
    with tempfile.TemporaryDirectory(dir=given.folder, prefix=".") as parts:
        files = [Path(parts) / f"{at}.jsonl" for at in range(len(jobs))]
        with ThreadPoolExecutor(2) as pool:
            failures = [one for one in pool.map(lambda job, file: evaluate(*job, file), jobs, files) if one]
        # What was trained is kept, whatever failed.
        (given.folder / "records.jsonl").write_text("".join(file.read_text() for file in files if file.exists()))
    if failures:
        raise SystemExit("\n".join(failures))
    records = [one for one in read_records(given.folder / "records.jsonl") if isinstance(one, Record)]
    print(table(records))
    if failed := worse_than_untrained(records):
        raise SystemExit("not better than untrained: " + "; ".join(failed))


if __name__ == "__main__":
    main()
