"""What several commands share: options, and what is said where one is stopped."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

STOPPED = 130  # the shell's number for Ctrl-C

Output = Annotated[Path | None, typer.Option(help="Folder of the run; by default a new one under runs/.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
Address = Annotated[str | None, typer.Option(help="Join the Ray cluster at HOST:PORT (or auto) instead of starting one here.")]
PowerSource = Annotated[
    str | None, typer.Option(help="What meters the energy: auto, rapl, codecarbon or load_table; see carbon-nas power.")
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. search.trials=50.")]

Stages = Annotated[
    list[str] | None,
    typer.Option(
        "--stage",
        metavar="NAME[:KEY=VALUE,...]",
        help="What is done after training: drop, replace, pyramid, shorten, prune, quantise, int8 or pack. Repeatable.",
    ),
]


def options_again(address: str | None, power_source: str | None, overrides: Sequence[str] | None) -> list[str]:
    """These options as words of a command line."""
    words = ["--address", address] if address else []
    words += ["--power-source", power_source] if power_source else []
    return words + [word for override in overrides or () for word in ("--set", override)]


def stopped(again: Sequence[str], kept: bool) -> typer.Exit:
    """Says how a command that was stopped goes on, and returns what ends it."""
    advice = f"go on with: {shlex.join(again)}" if kept else "nothing was trained yet, so nothing is kept"
    print(f"carbon-nas: stopped; {advice}", file=sys.stderr)
    return typer.Exit(STOPPED)
