"""The command line: `carbon-nas run`, `compress`, `study`, `report` and the others."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli_compress import compress
from nas.cli_evaluate import evaluate
from nas.cli_export import dashboard, export
from nas.cli_options import Address, Output, PowerSource, Resume, Set, options_again, stopped
from nas.cli_probe import probe
from nas.cli_report import report, write_report_of
from nas.cli_strategies import compare_strategies
from nas.cli_study import study
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.experiment_parts import Experiment

app = typer.Typer(
    help="Architecture search that accounts for its own carbon: searched and hand-designed transformers on one meter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]


@app.command(short_help="Run an experiment, from corpus to report.")
def run(
    experiment: Annotated[str, typer.Argument(help="A built-in experiment (quickstart, smoke, ...) or a .toml file.")],
    output: Output = None,
    resume: Resume = False,
    allow_change: Annotated[
        bool,
        typer.Option("--allow-change", help="With --resume: another budget, finalists or seeds of champions; goes on record."),
    ] = False,
    address: Address = None,
    power_source: PowerSource = None,
    overrides: Set = None,
) -> None:
    """Run an experiment: hand designs, search, finalists, champions and report, in one go.

    Everything that happens is on the disk before the run acts on it: a run that was stopped or killed goes on with
    --resume, given the same experiment and the same --set.
    """
    from nas.configuration import load_experiment
    from nas.run_folder import default_folder

    if allow_change and not resume:
        raise UserError("--allow-change: expected --resume beside it, got none; a new run changes nothing")
    chosen = () if power_source is None else (f"execution.power_source={power_source}",)
    loaded = load_experiment(experiment, (*chosen, *(overrides or ())))
    folder = output or default_folder(Path("runs"), loaded.name, resume)
    try:
        _run_and_report(loaded, folder, address, resume, allow_change)
    except KeyboardInterrupt:
        again = ["carbon-nas", "run", experiment, "--output", str(folder), "--resume"]
        raise stopped([*again, *options_again(address, power_source, overrides)], (folder / "run.json").exists()) from None


def _run_and_report(experiment: "Experiment", folder: Path, address: str | None, resume: bool, allow_change: bool) -> None:
    from nas.experiment import run_experiment
    from nas.progress import Terminal, clock

    terminal = Terminal()
    finished = run_experiment(experiment, folder, terminal, address, resume, allow_change)
    start = time.monotonic()
    with terminal.live("writing the report"):
        verdict = write_report_of([folder], folder / "report", experiment.carbon.model_dump(mode="json"))
    finished.add_phase("report", time.monotonic() - start)
    phases = finished.info["phases"]
    total = ("total", sum(one["seconds"] for one in phases))
    terminal.line("time:")
    terminal.table(
        [(f"  {name}", clock(seconds)) for name, seconds in (*((one["name"], one["seconds"]) for one in phases), total)]
    )
    terminal.line("")
    terminal.paragraphs(verdict)
    terminal.line("")
    terminal.line(f"report: {folder / 'report' / 'index.html'}")


app.command(short_help="Train and score one design.")(evaluate)
app.command(name="compress", short_help="Make trained models of a run smaller.")(compress)
app.command(short_help="Look into trained models of a run.")(probe)
app.command(short_help="Add a run's trials to an Optuna storage.")(export)
app.command(short_help="Open optuna-dashboard on a run.")(dashboard)
app.command(name="compare-strategies", short_help="Compare strategies at an equal budget.")(compare_strategies)
app.command(short_help="Carry out a matrix of experiments.")(study)
app.command(short_help="Write the report of one or more runs.")(report)


@app.command(short_help="List the hand-made designs.")
def designs(as_json: Json = False) -> None:
    """List every hand-made design with its parameters and MACs.

    Parameters leave out embedding and position tables, MACs are linear + attention, by default at 30 source and 30 target
    tokens: the convention of the published figures, which stand beside them; "all" leaves nothing out.
    """
    from nas.listing import list_designs
    from nas.progress import Terminal

    rows = list_designs()
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    names = ("params_paper", "published_params", "macs_paper", "published_macs", "params", "macs")
    shown = [("design", "tokens", "params", "published", "MACs", "published", "all params", "all MACs")]
    for row in rows:
        tokens = "+".join(str(row[name]) for name in ("source_tokens", "target_tokens") if row[name] is not None)
        shown.append((row["design"], tokens, *("-" if row[name] is None else f"{row[name] / 1e6:,.2f}M" for name in names)))
    Terminal().table(shown)


@app.command(short_help="List the data that can be had here.")
def corpora(as_json: Json = False) -> None:
    """List what data can be had here, and how."""
    from dataclasses import asdict

    from nas.corpora.catalogue import describe_corpora
    from nas.corpora.fetch import cache_folder

    for one in describe_corpora(cache_folder()):
        if as_json:
            typer.echo(json.dumps(asdict(one)))
            continue
        cached = {True: "yes", False: "no", None: "not needed"}[one.cached]
        typer.echo(one.name)
        facts = (
            ("kind", one.kind),
            ("languages", one.languages),
            ("size", one.size),
            ("licence", one.licence),
            ("cached", cached),
        )
        for name, text in (*facts, ("how to get", one.how_to_get)):
            typer.echo(f"  {name:<10}  {text}")


@app.command(short_help="Show this machine's power sources and check the meter.")
def power(
    power_source: Annotated[str, typer.Option(help="auto, rapl, codecarbon or load_table.")] = "auto",
    seconds: Annotated[float, typer.Option(help="How long to meter, at most 3600; 0 for a start and a stop.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Show which power sources this machine has, and meter it for some seconds.

    The energy of the machine must be idle + foreign + overhead + trials, to the microjoule; CodeCarbon's own total over the
    same seconds stands beside ours. Nothing is kept.
    """
    from nas.energy.self_check import check_json, check_lines, check_rows, describe_sources, self_check, source_lines
    from nas.energy.sources import check_choice, choose, list_sources
    from nas.progress import Terminal

    check_choice(power_source)
    if not 0 <= seconds <= 3600:
        raise UserError(f"--seconds: expected 0 to 3600, got {seconds:g}; give how long to meter")
    terminal = Terminal()
    with terminal.live("looking for power sources"):
        candidates = list_sources()
    chosen = choose(power_source, candidates, candidates[-1])
    if not as_json:
        for text in [*source_lines(candidates, chosen), f"metering for {seconds:g} s ..."]:
            terminal.line(text)
    check = self_check(chosen, seconds)
    chosen.close()
    if as_json:
        typer.echo(json.dumps({**describe_sources(candidates, chosen), "check": check_json(check)}))
    else:
        terminal.table(check_rows(check))
        for text in check_lines(check):
            terminal.line(text)
    if not check.balanced:
        raise UserError("expected parts that sum to the machine's energy, got others; this is a defect: please report it")


def main() -> None:
    """The console script. A user's mistake is one line on standard error and exit code 2."""
    try:
        app(prog_name="carbon-nas")
    except UserError as error:
        print(f"carbon-nas: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except PermissionError as error:
        if error.filename is None:
            raise
        told = f"expected to be allowed to use {error.filename}, got: {error.strerror}; change its rights or choose another"
        print(f"carbon-nas: {told}", file=sys.stderr)
        raise SystemExit(2) from None
