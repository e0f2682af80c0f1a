"""The command line: `carbon-nas run | designs | evaluate | report | corpora`."""

import json
import sys
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
)


@app.callback()
def _group() -> None:
    """Architecture search that accounts for its own carbon: searched and hand-designed transformers on one meter."""


@app.command()
def designs(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """Every hand-made design with its parameters and MACs.

    Parameters leave out embedding tables and MACs are linear + attention at 30 source and 30 target tokens, the convention
    of the published figures; the second pair of columns leaves nothing out.
    """
    from nas.listing import list_designs

    rows = list_designs()
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    table = Table("design", "params", "MACs", "all params", "all MACs", "vocabulary", title=None)
    for row in rows:
        millions = [f"{row[name] / 1e6:,.2f}M" for name in ("params_paper", "macs_paper", "params", "macs")]
        table.add_row(row["design"], *millions, str(row["vocabulary"]))
    Console().print(table)


def main() -> None:
    """The console script. A user's mistake is one line on standard error and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"carbon-nas: {error}", file=sys.stderr)
        raise SystemExit(2) from None
