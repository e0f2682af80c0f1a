"""The command `carbon-nas compress`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli_options import Address, PowerSource, Set, Stages, options_again, stopped
from nas.cli_report import write_run_report


def compress(
    run: Annotated[Path, typer.Argument(help="Folder of a run, whose trained models are compressed.")],
    design: Annotated[str, typer.Argument(help="A design that was trained in the run; all its fresh seeds are taken.")],
    stage: Stages = None,
    address: Address = None,
    power_source: PowerSource = None,
    overrides: Set = None,
) -> None:
    """Make trained models of a run smaller, stage by stage, without a search: --stage drop:share=0.25 --stage quantise.

    Each step is metered, and scored on the run's task as its model file is loaded back; the files lie beside the run's
    checkpoints. Records join the run, whose report is written again, with the ladder in it. The same command goes on where it
    was stopped; --set takes keys of the execution and carbon tables.
    """
    from nas.compression import compress as carry_out
    from nas.progress import Terminal
    from nas.stages.words import parse_stage

    stages = [parse_stage(one) for one in stage or ()]
    chosen = () if power_source is None else (f"execution.power_source={power_source}",)
    terminal = Terminal()
    try:
        experiment = carry_out(run, design, stages, terminal, address, (*chosen, *(overrides or ())))
        write_run_report(run, experiment.carbon.model_dump(mode="json"), terminal)
    except KeyboardInterrupt:
        again = ["carbon-nas", "compress", str(run), design]
        again += [word for one in stage or () for word in ("--stage", one)]
        raise stopped([*again, *options_again(address, power_source, overrides)], (run / "run.json").exists()) from None
