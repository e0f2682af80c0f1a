"""What a run says on the terminal: lines for what is done, and on a real terminal a live line for what is going on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.table import Table

from nas.units import joules


class Terminal:
    """Plain lines everywhere; a spinning status line besides where standard output is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None

    def line(self, text: str) -> None:
        """One line that stays."""
        self.console.print(text, markup=False)

    def status(self, text: str) -> None:
        """What is going on now; shown on a terminal only."""
        if self._status is not None:
            self._status.update(text)

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        """Shows a status line, where there is a terminal, until the block ends."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(text) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def table(self, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """A small table."""
        table = Table(*columns, title=title, title_justify="left", title_style="bold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)


def amount(energy_uj: float, g_per_kwh: float, pue: float) -> str:
    """Energy so far in joules, and its grams of CO2e."""
    from nas.units import emissions_g_co2e

    return f"{joules(energy_uj):,.0f} J, {emissions_g_co2e(energy_uj, g_per_kwh, pue):.3f} g CO2e"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


class Pace:
    """Time left of work in equal pieces, from the pace so far."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def left(self, done: int, total: int) -> str:
        """Time left as text, "?" before the first piece is done."""
        if not done:
            return "?"
        return clock((time.monotonic() - self._start) / done * (total - done))
