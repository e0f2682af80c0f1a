"""The command `carbon-nas report`, and the report that other commands end with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli_strategies import NO_CARBON, report_strategies
from nas.errors import UserError

if TYPE_CHECKING:
    from nas.progress import Terminal


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, or of a study of runs; several are merged if they are comparable.")
    ],
    output: Annotated[Path | None, typer.Option(help="Folder of the report; by default report/ in the first folder.")] = None,
    searched_in: Annotated[
        str | None, typer.Option(help='Where it was searched: DEU, USA-CA, SWE-SE3 or "123 g/kWh"; by default as configured.')
    ] = None,
    used_in: Annotated[str | None, typer.Option(help="Where the result is used; by default as configured.")] = None,
    pue: Annotated[float | None, typer.Option(min=1.0, help="Power usage effectiveness of the data centre.")] = None,
    pue_range: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="Range of the PUE, e.g. 1.1-1.6; its middle counts without --pue.")
    ] = None,
    embodied: Annotated[
        str | None, typer.Option(metavar="KG", help="kg CO2e of making the machine, e.g. 1230 or 800-1600; else not counted.")
    ] = None,
    lifetime_years: Annotated[
        float | None, typer.Option(help="Years that the machine is used, for --embodied; 4 if not given.")
    ] = None,
    machine_share: Annotated[
        float | None, typer.Option(help="Part of the machine that the run had, for --embodied; 1 if not given.")
    ] = None,
) -> None:
    """Write the report of one or more runs: a page, its figures, and the same for machines.

    Beside index.html lie results.json and results.csv, energy.json (every energy and mass with its range), emissions.csv
    (the columns of CodeCarbon) and model_cards/ (the co2_eq_emissions of a Hugging Face model card).
    """
    from nas.progress import Terminal
    from nas.run_folder import configured_carbon
    from reports.folders import run_folders
    from reports.strategies_load import is_simulated

    first = run_folders(runs).folders[0]
    carbon = dict(NO_CARBON) if is_simulated(first) else configured_carbon(first)
    carbon |= {name: one for name, one in (("searched_in", searched_in), ("used_in", used_in)) if one is not None}
    carbon |= _pue_options(pue, pue_range)
    carbon |= _embodied_options(embodied, lifetime_years, machine_share)
    folder = output or runs[0] / "report"
    terminal = Terminal()
    with terminal.live("writing the report"):
        verdict = write_report_of(runs, folder, carbon)
    terminal.paragraphs(verdict)
    terminal.line(f"report: {folder / 'index.html'}")


def _pue_options(pue: float | None, pue_range: str | None) -> dict[str, Any]:
    """What the options say of the PUE; a PUE of its own leaves no range that was configured for another."""
    if pue_range is None:
        return {} if pue is None else {"pue": pue, "pue_range": None}
    from reports.settings import parse_range

    low, high = parse_range(pue_range, "--pue-range")
    return {"pue": (low + high) / 2 if pue is None else pue, "pue_range": (low, high)}


def _embodied_options(embodied: str | None, lifetime_years: float | None, machine_share: float | None) -> dict[str, Any]:
    """What the options say of the making of the machine; nothing where they say nothing."""
    if embodied is None and (lifetime_years is not None or machine_share is not None):
        raise UserError(
            "--lifetime-years, --machine-share: expected --embodied beside them, got none; give the machine's kg CO2e"
        )
    if embodied is None:
        return {}
    years, share = 4.0 if lifetime_years is None else lifetime_years, 1.0 if machine_share is None else machine_share
    return {"embodied": {"text": embodied, "lifetime_years": years, "machine_share": share}}


def write_run_report(folder: Path, carbon: dict[str, Any], terminal: "Terminal") -> None:
    """Writes the report of one run into it, and says where it is."""
    with terminal.live("writing the report"):
        verdict = write_report_of([folder], folder / "report", carbon)
    terminal.paragraphs(verdict)
    terminal.line(f"report: {folder / 'report' / 'index.html'}")


def write_report_of(runs: list[Path], output: Path, carbon: dict[str, Any]) -> str:
    """The verdict in words of a report under a configuration's [carbon] table."""
    from reports.folders import run_folders
    from reports.page import write_report
    from reports.settings import assumptions_of
    from reports.strategies_load import is_comparison

    found = run_folders(runs).folders
    if compared := [one for one in found if is_comparison(one)]:
        if len(found) > 1:
            raise UserError(f"expected one comparison of strategies at a time, got {len(found)} runs; report {compared[0]} alone")
        return report_strategies(found[0], output, carbon)
    return write_report(runs, output, carbon["searched_in"], carbon["used_in"], assumptions_of(carbon)).plain()
