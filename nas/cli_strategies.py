"""The command that compares strategies, and the report of such a run."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli_options import Address, Output, PowerSource, Resume, Set, options_again, stopped
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.comparing.comparison import BenchmarkComparison, TaskComparison


def compare_strategies(
    comparison: Annotated[
        str | None, typer.Argument(help="A built-in comparison (strategies_smoke, ...) or a .toml file.", show_default=False)
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Compare all strategies on this benchmark instead, simulated: nothing is trained.")
    ] = None,
    output: Output = None,
    resume: Resume = False,
    address: Address = None,
    power_source: PowerSource = None,
    overrides: Set = None,
) -> None:
    """Compare strategies on one space and task with the same budget and seeds, and say which differ from random search.

    Variants are tables that stand in the place of keys of [search]. Seed by seed every variant searches once: a comparison
    that was stopped has whole seeds, and goes on with --resume, given the same file and the same --set.
    """
    from nas.comparing.comparison import load_benchmark, load_comparison
    from nas.run_folder import default_folder

    if (comparison is None) == (benchmark is None):
        raise UserError("expected a comparison or --benchmark, one of both; for example strategies_smoke or --benchmark nk")
    loaded: TaskComparison | BenchmarkComparison
    if benchmark is not None:
        if address is not None or power_source is not None:
            raise UserError("--benchmark: expected no --address and no --power-source, since nothing is trained; leave them out")
        loaded = load_benchmark(benchmark, tuple(overrides or ()))
    else:
        chosen = () if power_source is None else (f"execution.power_source={power_source}",)
        loaded = load_comparison(comparison or "", (*chosen, *(overrides or ())))
    folder = output or default_folder(Path("runs"), loaded.name, resume)
    try:
        _compare_and_report(loaded, folder, address, resume)
    except KeyboardInterrupt:
        what = ["--benchmark", benchmark] if benchmark is not None else [comparison or ""]
        again = ["carbon-nas", "compare-strategies", *what, "--output", str(folder), "--resume"]
        raise stopped([*again, *options_again(address, power_source, overrides)], (folder / "run.json").exists()) from None


def _compare_and_report(
    comparison: "TaskComparison | BenchmarkComparison", folder: Path, address: str | None, resume: bool
) -> None:
    from nas.comparing.comparison import BenchmarkComparison
    from nas.progress import Terminal

    terminal = Terminal()
    if isinstance(comparison, BenchmarkComparison):
        from nas.comparing.simulated import compare_on_benchmark

        finished, carbon = compare_on_benchmark(comparison, folder, terminal, resume), NO_CARBON
    else:
        from nas.comparing.on_task import compare_on_task

        finished = compare_on_task(comparison, folder, terminal, address, resume)
        carbon = comparison.experiment.carbon.model_dump(mode="json")
    start = time.monotonic()
    with terminal.live("writing the report"):
        verdict = report_strategies(folder, folder / "report", carbon)
    finished.add_phase("report", time.monotonic() - start)
    terminal.line("")
    terminal.paragraphs(verdict)
    terminal.line("")
    terminal.line(f"report: {folder / 'report' / 'index.html'}")


NO_CARBON = {"searched_in": "", "used_in": ""}
"""The [carbon] table of a comparison without any energy."""


def report_strategies(folder: Path, output: Path, carbon: dict[str, Any]) -> str:
    """The verdict in words of a comparison's report under a configuration's [carbon] table."""
    from reports.settings import assumptions_of
    from reports.strategies_page import write_strategies_report

    return write_strategies_report(folder, output, carbon["searched_in"], assumptions_of(carbon)).plain()
