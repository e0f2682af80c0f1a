"""What a search had spent and found at every moment, told from its ledger's events alone.

One line of `anytime.jsonl` is written for every attempt at a leg of training that ended, whatever became of it, and one for
every search when it has ended; `docs/strategies.md` describes both. The lines of a search are written at once and with its last.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nas.files import append_line, write_whole
from nas.ledger import Event
from nas.search.budget import Cost
from nas.search.dominance import dominates, losses_of
from nas.search.plan import SearchPlan

SCHEMA = 1
SPENT = {
    "trials": "trials",
    "tokens": "tokens",
    "energy_uj": "energy_uj",
    "emissions_g_co2e": "emissions_g_co2e",
    "elapsed_s": "wall_s",
}
"""What a line says was spent, and the parts of a Cost that it is."""
SETTLED = ("rung", "finished", "failed", "lost")

Values = tuple[float, ...]
Line = dict[str, Any]


@dataclass(frozen=True)
class SearchKey:
    """Which search of a comparison."""

    variant: str
    seed: int

    @property
    def search_name(self) -> str:
        """Its name in the ledger, which its jobs' ids begin with; the first part is the role that the meter knows."""
        return f"search/{self.variant}/seed{self.seed}"


class Front:
    """The values that nothing found so far dominates. Of one objective it holds the best alone, the first of equals."""

    def __init__(self, plan: SearchPlan) -> None:
        self._directions = plan.directions
        self._losses: list[Values] = []
        self.values: list[Values] = []

    def add(self, values: Values) -> bool:
        """Takes values in; whether that changed the front."""
        losses = losses_of(values, self._directions)
        if any(one == losses or dominates(one, losses) for one in self._losses):
            return False
        kept = [place for place, one in enumerate(self._losses) if not dominates(losses, one)]
        self._losses = [*(self._losses[place] for place in kept), losses]
        self.values = [*(self.values[place] for place in kept), values]
        return True

    @property
    def best(self) -> Values | None:
        """The values that are best by the first objective."""
        if not self.values:
            return None
        return self.values[min(range(len(self.values)), key=lambda place: self._losses[place])]


class Spending:
    """What was spent by each event of a search, by the rules of `nas.search.budget.Account`."""

    def __init__(self, plan: SearchPlan) -> None:
        self.spent = plan.paid
        self._plan = plan
        self._reserved: dict[str, Cost] = {}

    def apply(self, event: Event) -> None:
        """Takes an event into account."""
        if event["kind"] == "opened":  # attempts that a stop cut short keep their energy
            for one in self._reserved.values():
                self.spent += Cost(energy_uj=one.energy_uj, emissions_g_co2e=one.emissions_g_co2e)
            self._reserved.clear()
        elif event["kind"] == "started":
            self._reserved[event["job"]] = Cost(**event["reserved"])
        elif event["kind"] in SETTLED:
            reserved = self._reserved.pop(event["job"])
            cost = self._plan.cost_of(event["result"]) if "result" in event else None
            paid = replace(cost, trials=reserved.trials) if cost else reserved
            self.spent += replace(paid, wall_s=0.0)

    def total(self, event: Event) -> dict[str, float]:
        """Everything spent by an event, by the names of a line."""
        total = asdict(replace(self.spent, wall_s=event["elapsed_s"]))
        return {name: total[part] for name, part in SPENT.items()}


def anytime_lines(events: Iterable[Event], plan: SearchPlan, key: SearchKey) -> list[Line]:
    """The lines of one search from the events of its ledger. `front` is left out where it is that of the line before."""
    spending, front = Spending(plan), Front(plan)
    rungs = plan.hurdles().rungs
    above: dict[int, Mapping[str, float]] = {}
    reached: dict[int, int] = {}
    lines = []
    for event in events:
        spending.apply(event)
        if event["kind"] == "asked":
            above[event["trial"]] = event["violations"]
        if event["kind"] not in SETTLED:
            continue
        rung = reached.get(event["trial"], 0)
        values = _values(event, plan) if "result" in event and rungs[rung] > 0 else None
        if "result" in event:
            reached[event["trial"]] = rung + 1
        limits = {**above[event["trial"]], **(plan.limits_of(event["result"]) if values is not None else {})}
        feasible = all(one <= 0 for one in limits.values())
        changed = values is not None and feasible and front.add(values)
        line = {**_heading(event["kind"], key), "trial": event["trial"], "rung": rung, "spent": spending.total(event)}
        line |= {"values": values, "within_limits": feasible, "best": front.best}
        lines.append(line | ({"front": list(front.values)} if changed else {}))
    return lines


def _heading(kind: str, key: SearchKey) -> Line:
    return {"schema": SCHEMA, "kind": kind, "variant": key.variant, "seed": key.seed}


def _values(event: Event, plan: SearchPlan) -> Values | None:
    """The objectives in an event's result, None where they are not what they have to be: the trial has failed then."""
    values = tuple(float(one) for one in plan.value_of(event["result"]))
    right = len(values) == len(plan.directions) and all(math.isfinite(one) for one in values)
    return values if right else None


def ended_line(key: SearchKey, **fields: Any) -> Line:
    """The last line of a search."""
    return _heading("ended", key) | fields


class AnytimeFile:
    """`anytime.jsonl`. Only searches that have ended are in it: what a stop left of another is taken out when it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ended: dict[SearchKey, Line] = {}
        kept: dict[SearchKey, list[bytes]] = {}
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for text in lines:
            try:
                line = json.loads(text) if text.endswith(b"\n") else None
            except ValueError:
                line = None
            if line is None:
                continue
            key = SearchKey(line["variant"], line["seed"])
            kept.setdefault(key, []).append(text)
            if line["kind"] == "ended":
                self.ended[key] = line
        whole = b"".join(text for key, texts in kept.items() if key in self.ended for text in texts)
        if whole != b"".join(lines):
            write_whole(path, whole)

    def append(self, lines: Iterable[Line]) -> None:
        """Writes all lines of a search, on the disk when this returns. Raises UserError when they cannot be written."""
        listed = list(lines)
        if listed:
            append_line(self._path, "\n".join(json.dumps(one, separators=(",", ":"), allow_nan=False) for one in listed))
        for one in listed:
            if one["kind"] == "ended":
                self.ended[SearchKey(one["variant"], one["seed"])] = one
