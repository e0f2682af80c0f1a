"""What a report concludes, in sentences that say how their numbers are known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from reports.break_even import Outcome
from reports.comparison import ComparisonOutcome

StudyOutcome = Literal["search won", "hand design won", "mixed", "not separable", "models too weak for a verdict", "unknown"]
"""What a study can come to: of the searches that have a verdict, who won; `unknown` where none has."""


@dataclass(frozen=True)
class Sentence:
    """A statement of the report; `provenance` says how its energies, scores or settings are known, None when it has none."""

    topic: str
    text: str
    provenance: str | None = None


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What a report concludes: the sentences of one line that answers the question, and the reasons."""

    head: tuple[Sentence, ...]
    sentences: tuple[Sentence, ...]

    @property
    def headline(self) -> str:
        """The line that answers the question."""
        return " ".join(one.text for one in self.head)

    def plain(self) -> str:
        """Headline and sentences as text for a terminal, one a line."""
        return "\n".join([self.headline, *(one.text for one in self.sentences)])


@dataclass(frozen=True, kw_only=True)
class Verdict(Conclusion):
    """A conclusion with its outcome in a word or two: the break-even's, a comparison's or a study's."""

    outcome: Outcome | ComparisonOutcome | StudyOutcome


def paid_provenance(outcomes: Iterable[Outcome], source: str) -> str | None:
    """How it is known whether searches paid: by energies, whose provenance `source` is; or by scores alone, or by nothing."""
    found = set(outcomes)
    if found & {"number", "never", "not separable"}:
        return source
    return "scored" if found & {"outside the measured curve", "models too weak for a verdict"} else None
