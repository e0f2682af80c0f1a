"""The commands `carbon-nas export` and `carbon-nas dashboard`: a run's searches as Optuna studies."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.errors import UserError

if TYPE_CHECKING:
    from nas.optuna_export import Exported
    from nas.progress import Terminal

Run = Annotated[Path, typer.Argument(help="Folder of a run that searched.")]


def export(
    run: Run,
    optuna: Annotated[str, typer.Option(metavar="URL", help="Optuna storage, for example sqlite:///trials.db.")],
) -> None:
    """Add the trials of a run's searches to an Optuna storage: one study a search, one trial for each that ended.

    Repeat it while the search runs: only what is new is added. Trials carry objectives, constraints, the first objective at
    every rung, and as attributes tokens, energy, grams of CO2e, sizes and scores.
    """
    from nas.optuna_export import export_optuna, open_storage
    from nas.progress import Terminal

    _tell(export_optuna(run, open_storage(optuna)), Terminal())


def dashboard(
    run: Run,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of this machine that the dashboard listens on.")] = 8080,
    storage: Annotated[
        Path | None, typer.Option(help="File to keep the studies in; by default they are gone with the dashboard.")
    ] = None,
) -> None:
    """Open optuna-dashboard on a run's searches, for this machine alone. Ctrl-C ends it.

    To follow a search that runs, keep a --storage file and repeat `carbon-nas export RUN --optuna sqlite:///FILE` beside it.
    """
    try:
        from optuna_dashboard import run_server
    except ImportError as error:
        raise UserError("expected optuna-dashboard, found none; install it: pip install 'carbon-nas[dashboard]'") from error
    from nas.optuna_export import export_optuna, memory, open_storage
    from nas.progress import Terminal

    terminal = Terminal()
    opened = memory() if storage is None else open_storage(f"sqlite:///{storage.resolve()}")
    _tell(export_optuna(run, opened), terminal)
    terminal.line(f"dashboard: http://127.0.0.1:{port} (Ctrl-C ends it)")
    try:
        run_server(opened, host="127.0.0.1", port=port)
    except KeyboardInterrupt:
        terminal.line("dashboard closed")
    except OSError as error:
        raise UserError(f"--port: expected a port that is free, got {port}: {error.strerror}; choose another") from error


def _tell(studies: "Sequence[Exported]", terminal: "Terminal") -> None:
    """One line a study."""
    for one in studies:
        unreadable = f", {one.num_unreadable} results could not be read" if one.num_unreadable else ""
        counts = f"{one.num_added} trials added, {one.num_present} there already, {one.num_open} not ended{unreadable}"
        terminal.line(f"{one.study}: {counts}")
