"""The command `carbon-nas probe`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli_options import stopped
from nas.cli_report import write_run_report


def probe(
    run: Annotated[Path, typer.Argument(help="Folder of a run, whose trained models are looked into.")],
    designs: Annotated[
        list[str] | None, typer.Argument(help="Designs that were trained in the run; all that have weights if none is named.")
    ] = None,
) -> None:
    """Look into trained models: how local attention is, of what rank, where it goes, which layers change anything, where work is.

    Everything is set beside a fresh model of the same architecture. Tables join the run as probes.jsonl, whose report is
    written again. On one thread; nothing is metered, and what has been seen is not looked at again.
    """
    from nas.probing.run_probes import run_probes
    from nas.progress import Terminal

    terminal = Terminal()
    try:
        experiment = run_probes(run, designs or [], terminal)
        write_run_report(run, experiment.carbon.model_dump(mode="json"), terminal)
    except KeyboardInterrupt:
        raise stopped(["carbon-nas", "probe", str(run), *(designs or [])], (run / "run.json").exists()) from None
