"""The command `carbon-nas study`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nas.cli_options import Address, options_again, stopped


def study(
    name: Annotated[str, typer.Argument(help="A built-in study (study_translation, ...) or a .toml file.", metavar="STUDY")],
    output: Annotated[Path | None, typer.Option(help="Where finished runs are kept; by default results/NAME.")] = None,
    work: Annotated[Path | None, typer.Option(help="Where runs are carried out; by default runs/NAME.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Begin no run that is likely to end later than that.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what there is to do, and do nothing.")] = False,
    address: Address = None,
) -> None:
    """Carry out a study, a matrix of experiments, and go on wherever records are missing.

    Runs are made one after the other. Each that is whole is kept, small enough for a repository, and is not made again; one
    that was stopped, or whose trainings failed, is resumed. carbon-nas report FOLDER reports all that are there.
    """
    from nas.configuration import built_in_studies
    from nas.files import owned
    from nas.progress import Terminal
    from nas.study import LOCK, carry_out_study, check_study, others_in, plan_rows, shards
    from nas.study_parts import load_study

    loaded = load_study(name, built_in_studies())
    kept, there = output or Path("results", loaded.name), work or Path("runs", loaded.name)
    found = shards(loaded.experiments(name), there, kept)
    check_study(found, loaded.plan)
    terminal = Terminal()
    if others := others_in(kept, found):
        terminal.line(f"no runs of {loaded.name}, but a report of {kept} has them: {', '.join(others)}; move them elsewhere")
    if plan:
        terminal.table(plan_rows(found, loaded.plan))
        return
    try:
        with owned(kept, LOCK):
            missing = carry_out_study(found, loaded.plan, terminal, address, minutes)
    except KeyboardInterrupt:
        again = ["carbon-nas", "study", name, "--output", str(kept), "--work", str(there)]
        again += [] if minutes is None else ["--minutes", f"{minutes:g}"]
        raise stopped([*again, *options_again(address, None, None)], any(one.done or one.begun for one in found)) from None
    state = f"runs that are missing: {', '.join(missing)}; report the others" if missing else "all runs are there; report them"
    terminal.line(f"{state}: carbon-nas report {shlex.quote(str(kept))}")
