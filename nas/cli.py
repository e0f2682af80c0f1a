"""The command line: `carbon-nas run | designs | evaluate | report | corpora`."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nas.errors import UserError

app = typer.Typer(
    help="Architecture search that accounts for its own carbon: searched and hand-designed transformers on one meter.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. search.trials=50.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]


@app.command()
def run(
    experiment: Annotated[
        str, typer.Argument(help="A built-in experiment (quickstart, smoke, ...) or a .toml file.")
    ],
    output: Annotated[Path | None, typer.Option(help="Folder of the run; by default a new one under runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    address: Annotated[
        str | None, typer.Option(help="Join the Ray cluster at HOST:PORT (or auto) instead of starting one here.")
    ] = None,
    overrides: Set = None,
) -> None:
    """Hand designs, search, finalists, champions and report, in one go.

    Everything that happens is on the disk before the run acts on it: a run that was killed goes on with --resume.
    """
    from nas.configuration import load_experiment
    from nas.experiment import run_experiment
    from nas.progress import Terminal
    from nas.run_folder import default_folder

    loaded = load_experiment(experiment, tuple(overrides or ()))
    folder = output or default_folder(Path("runs"), loaded.name, resume)
    terminal = Terminal()
    finished = run_experiment(loaded, folder, terminal, address, resume)
    start = time.monotonic()
    carbon = loaded.carbon
    verdict = _write_report([folder], folder / "report", carbon.searched_in, carbon.used_in, carbon.pue)
    finished.add_phase("report", time.monotonic() - start)
    phases = finished.info["phases"]
    rows = [(one["name"], f"{one['seconds']:.0f}") for one in phases]
    terminal.table("time", ("phase", "seconds"), [*rows, ("total", f"{sum(one['seconds'] for one in phases):.0f}")])
    terminal.line(verdict)
    terminal.line(f"report: {folder / 'report' / 'index.html'}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs; several are merged if they are comparable.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the report; by default report/ in the first run.")] = None,
    searched_in: Annotated[
        str | None, typer.Option(help='Where it was searched: DEU, USA-CA, SWE-SE3 or "123 g/kWh"; by default as configured.')
    ] = None,
    used_in: Annotated[str | None, typer.Option(help="Where the result is used; by default as configured.")] = None,
    pue: Annotated[float | None, typer.Option(min=1.0, help="Power usage effectiveness of the data centre.")] = None,
) -> None:
    """Writes index.html, results.json, results.csv and the figures of one or more runs."""
    from nas.run_folder import configured_carbon

    carbon = configured_carbon(runs[0])
    folder = output or runs[0] / "report"
    verdict = _write_report(
        runs, folder, searched_in or carbon["searched_in"], used_in or carbon["used_in"], pue or carbon["pue"]
    )
    typer.echo(verdict)
    typer.echo(f"report: {folder / 'index.html'}")


def _write_report(runs: list[Path], output: Path, searched_in: str, used_in: str, pue: float) -> str:
    from reports.page import write_report

    return write_report(runs, output, searched_in=searched_in, used_in=used_in, pue=pue).plain()


@app.command()
def designs(as_json: Json = False) -> None:
    """Every hand-made design with its parameters and MACs.

    Parameters leave out embedding tables and MACs are linear + attention at 30 source and 30 target tokens, the
    convention of the published figures; "all" leaves nothing out.
    """
    from nas.listing import list_designs

    rows = list_designs()
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    table = Table("design", "params", "MACs", "published", "all params", "all MACs")
    table.columns[0].no_wrap = True
    for row in rows:
        counts = {name: f"{row[name] / 1e6:,.2f}M" for name in ("params_paper", "macs_paper", "params", "macs")}
        published = row["published_macs"]
        table.add_row(
            row["design"],
            counts["params_paper"],
            counts["macs_paper"],
            f"{published / 1e6:,.0f}M" if published else "-",
            counts["params"],
            counts["macs"],
        )
    Console().print(table)


@app.command()
def evaluate(
    design: Annotated[str, typer.Argument(help="A design of `carbon-nas designs`.")],
    task: Annotated[str, typer.Option(help="A task: translation or number_words.")] = "translation",
    tokens: Annotated[int, typer.Option(min=1, help="Target tokens to train on.")] = 500_000,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    overrides: Set = None,
    output: Annotated[Path | None, typer.Option(help="Append the record to this file.")] = None,
) -> None:
    """Trains and scores one design on one task, metered, and prints its record's figures.

    --set takes keys of the task and recipe tables, e.g. task.max_valid_sentences=400 or recipe.peak_learning_rate=1e-3.
    """
    from nas.single import evaluate_one

    evaluate_one(design, task, tokens, seed, tuple(overrides or ()), output)


@app.command()
def corpora(as_json: Json = False) -> None:
    """What data can be had here, and how."""
    from dataclasses import asdict

    from nas.corpora.catalogue import describe_corpora
    from nas.corpora.fetch import cache_folder

    facts = describe_corpora(cache_folder())
    if as_json:
        for one in facts:
            typer.echo(json.dumps(asdict(one)))
        return
    table = Table("corpus", "languages", "size", "licence", "cached", "how to get it")
    for one in facts:
        cached = {True: "yes", False: "no", None: "-"}[one.cached]
        table.add_row(one.name, str(one.languages), str(one.size), one.licence, cached, one.how_to_get)
    Console().print(table)


def main() -> None:
    """The console script. A user's mistake is one line on standard error and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"carbon-nas: {error}", file=sys.stderr)
        raise SystemExit(2) from None
