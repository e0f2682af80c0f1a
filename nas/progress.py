"""What a run says on the terminal: lines for what is done, and on a real terminal a live line for what is going on."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from nas.metric import ALL_METRICS
from nas.records import Record
from nas.units import emissions_g_co2e, joules

OTHER_METRICS = {
    "valid_bits_per_character": "{:.3f} bits/character",
    "valid_loss": "{:.3f} nats/token",
    "valid_chrf": "valid {:5.2f} chrF",
}
"""How metrics that decide nothing are told."""
SHOWN_METRICS = ("valid_bits_per_character", *(name for one in ALL_METRICS for name in (one.valid, one.test)))


class Terminal:
    """Plain lines everywhere; a spinning status line besides where standard output is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._status: Status | None = None

    def line(self, text: str) -> None:
        """One line that stays."""
        self.console.print(Text(text), soft_wrap=True)

    def paragraphs(self, text: str) -> None:
        """Longer text, wrapped between words where there is a terminal."""
        self.console.print(Text(text), soft_wrap=not self.console.is_terminal)

    def status(self, text: str) -> None:
        """What is going on now; shown on a terminal only."""
        if self._status is not None:
            self._status.update(Text(text))

    def done(self, text: str, standing: str) -> None:
        """A line about what was done; how the run stands goes to the status line, or behind it where there is none."""
        if self._status is not None:
            self.line(text)
            self.status(standing)
        else:
            self.line(f"{text}  [{standing}]")

    @contextmanager
    def live(self, text: str) -> Iterator[None]:
        """Shows a status line, where there is a terminal, until the block ends."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(Text(text)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns."""
        for text in aligned(rows):
            self.line(text)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of columns, the first to the left and the others to the right, nothing cut off."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def amount(energy_uj: float, g_per_kwh: float, pue: float) -> str:
    """Energy in joules, and its grams of CO2e."""
    grams = emissions_g_co2e(energy_uj, g_per_kwh, pue)
    return f"{joules(energy_uj):,.0f} J, {grams:,.{3 if grams < 10 else 1}f} g CO2e"


def clock(seconds: float) -> str:
    """Hours where there are any, minutes and seconds."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def result_words(record: Record) -> str:
    """Size and scores of a record, or what went wrong."""
    if record.status != "complete":
        return f"{record.status}: {record.error}"
    macs = f"{record.counts.macs_paper / 1e6:5.1f}M MACs" if record.counts else ""
    scores = (metric_words(name, record.metrics[name]) for name in SHOWN_METRICS if name in record.metrics)
    return "  ".join((macs, *scores))


def metric_words(name: str, value: float) -> str:
    """A metric's value with its name, equally wide for equal metrics."""
    for metric in ALL_METRICS:
        if name in (metric.valid, metric.test):
            return f"{name.partition('_')[0]} {metric.text(value):>10}"  # as wide as 12.34 BLEU
    return OTHER_METRICS.get(name, f"{{:.3f}} {name}").format(value)


class Pace:
    """Time left of work of which a share is done, from the pace since the first question."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._first: float | None = None

    def left(self, share: float) -> str:
        """Time left in words; not known before something was done."""
        if self._first is None:
            self._first = share
        gained = share - self._first
        if share >= 1:
            return "0:00 left"
        if gained <= 0:
            return "time left not known yet"
        return f"{clock((time.monotonic() - self._start) / gained * (1 - share))} left"
