"""What a search says while it runs: a line for every trial that ends, and how the whole stands."""

from collections import Counter
from collections.abc import Callable, Mapping

from nas.ledger import Event, Ledger, read_events
from nas.progress import Pace, Terminal, metric_words
from nas.search.plan import Progress, SearchOutcome, SearchPlan, Trial
from nas.search_parts import SearchPart


class SearchTeller:
    """Tells the progress of one search. What the ledger holds already is of an earlier start, and told as a sum only."""

    def __init__(
        self,
        terminal: Terminal,
        part: SearchPart,
        plan: SearchPlan,
        ledger: Ledger,
        spent: Callable[[], str],
    ) -> None:
        self._terminal, self._part, self._plan, self._spent = terminal, part, plan, spent
        self._pace = Pace()
        self._figures: dict[int, Mapping[str, float]] = {}
        self._ended: set[int] = set()
        for event in read_events(ledger.path):
            if event.get("search") == plan.name:
                self._note(event)
                self._ended |= {event["trial"]} if _settles(event) else set()
        if self._ended:
            terminal.line(f"  {len(self._ended)} were trained already")

    def told(self, progress: Progress) -> None:
        """Takes a step of the search; events of the ledger that are new become lines."""
        if progress.message:
            self._terminal.line(f"  note: {progress.message}")
        share = self._share(progress)
        standing = f"{self._spent()} so far, {self._pace.left(share)}"
        best = "" if progress.best is None else f", best {self._best(progress.best)}"
        for event in progress.events:
            self._note(event)
            if _settles(event):
                self._ended.add(event["trial"])
                self._terminal.done(f"  {self._position(share)}  {self._result(event)}{best}", standing)
        self._terminal.status(f"search: {self._position(share).strip()} trials{best}, {standing}")

    def ended(self, outcome: SearchOutcome) -> None:
        """Sums the search up."""
        count = Counter(trial.status for trial in outcome.trials)
        waiting = [trial for trial in outcome.trials if trial.status in ("paused", "stopped")]
        screened = sum(trial.values is None for trial in waiting)
        parts = [f"{_counted(count['complete'], 'trial')} trained"]
        parts += [f"{len(waiting) - screened} stopped at a hurdle"] if len(waiting) > screened else []
        parts += [f"{screened} not trained for their proxy"] if screened else []
        parts += [f"{count[status]} {status}" for status in ("failed", "lost") if count[status]]
        parts += [f"{_counted(count['infeasible'], 'proposal')} above the {self._limits()}"] if count["infeasible"] else []
        parts += [f"{count['duplicate']} proposed again"] if count["duplicate"] else []
        self._terminal.line(f"  {', '.join(parts)}; the search ended with its {outcome.stopped}")
        if outcome.wall_s >= 1:
            share = outcome.overhead_s / outcome.wall_s
            self._terminal.line(
                f"  engine overhead: {100 * share:.2f} % of {outcome.wall_s:.0f} s from the first ask to the last tell"
            )

    def _limits(self) -> str:
        return "limits on sizes" if {"macs", "params"} & self._part.limits.keys() else "MAC limit"

    def _note(self, event: Event) -> None:
        if event["kind"] == "asked":
            self._figures[event["trial"]] = event["figures"]

    def _share(self, progress: Progress) -> float:
        """The share of the budget that is spent, of the limit that will be met first."""
        limits = self._plan.budget.limits()
        shares = [float(getattr(progress.spent, name)) / limit for name, limit in limits.items()]
        return min(1.0, max(shares))

    def _position(self, share: float) -> str:
        if self._part.trials:
            return f"{min(len(self._ended), self._part.trials):{len(str(self._part.trials))}} of {self._part.trials}"
        return f"{len(self._ended):3} ({share:.0%} of the budget)"

    def _result(self, event: Event) -> str:
        name = f"searched-{event['trial']}".ljust(len("searched-100"))
        macs = f"{self._figures[event['trial']]['macs_paper'] / 1e6:5.1f}M MACs"
        if "result" not in event:
            return f"{name}  {macs}  {event['kind']}: {event['reason']}"
        values = zip(self._part.objectives, self._plan.value_of(event["result"]), strict=True)
        told = "  ".join(metric_words(objective, value) for objective, value in values if objective != "macs")
        return f"{name}  {macs}  {told}{'' if event['kind'] == 'finished' else '  at a hurdle'}"

    def _best(self, trial: Trial) -> str:
        value = trial.values[0] if trial.values else float("nan")
        return f"searched-{trial.number} with {metric_words(self._part.objectives[0], value)}"


def _settles(event: Event) -> bool:
    """Whether an event ends a trial, as far as is known: one that waits at a hurdle may go on."""
    if event["kind"] == "rung":
        return event["verdict"] != "continue" and bool(event["result"]["record"]["metrics"].get("train_tokens"))
    return event["kind"] in ("finished", "failed") or (event["kind"] == "lost" and bool(event["final"]))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
