"""Dropping of what changes a trained model's residual stream least, without training.

Source: He et al. 2024 (LLM-Drop, arXiv 2406.15786): attention drop, MLP drop, block drop, and joint layer drop, which ranks
attention and feed-forward sublayers together as they are scored. No first or last layer is guarded, a block may lose both
parts, and a dropped layer keeps no keys and values. See `nas/stages/importance.py` for scores and our extensions.

Left out: dropping of consecutive blocks, scores of a sublayer without its norm and residual (options of the authors' code).
"""

from collections.abc import Collection
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar

from nas.stages.importance import Importance, Kind, Unit, importance, units
from nas.stages.work import Reworked, StageWork, Subject
from search_spaces.architecture import Architecture
from search_spaces.model import Model, build
from search_spaces.stage import Drop, Stage, Target
from search_spaces.sublayers import Place, sublayers, with_op

# In a joint ranking attention stands first among equals, as in the authors' code.
KINDS: dict[Target, tuple[Kind, ...]] = {
    "attention": ("attention",),
    "feed_forward": ("feed_forward",),
    "block": ("block",),
    "joint": ("attention", "feed_forward"),
}
WORDS: dict[Target, str] = {
    "attention": "attention sublayers",
    "feed_forward": "feed-forward sublayers",
    "block": "blocks",
    "joint": "sublayers",
}


class DropWork(StageWork[Drop]):
    """Ranks by importance, drops the lowest, and ranks anew where there are several rounds."""

    stage: ClassVar[type[Stage]] = Drop

    def check(self, stage: Drop, model: Model) -> None:
        """See StageWork."""
        num_dropped(stage, model.architecture)

    def run(self, stage: Drop, subject: Subject) -> Reworked:
        """See StageWork. The calibration rows are drawn by the subject's seed."""
        whole, model = subject.model.architecture, subject.model.eval()
        split = subject.task.train.sample(stage.calibration, subject.seed)
        names = {name: name for name in model.state_dict()}
        trace: list[dict[str, Any]] = []
        tokens = 0
        for number in rounds(num_dropped(stage, whole), stage.rounds):
            found = importance(model, split, 2 * subject.recipe.batch_tokens)
            going = ranked(found, stage.target)[:number]
            trace.append(_told(len(trace) + 1, found, going))
            model, renamed = without(model, {place for unit in going for place in unit.sublayers})
            names = {name: names[old] for name, old in renamed.items()}
            tokens += found.tokens
        num_gone = len(sublayers(whole)) - len(sublayers(model.architecture))
        return Reworked(
            model=model,
            tokens=tokens,
            stored={name: subject.stored[old] for name, old in names.items() if old in subject.stored},
            metrics={
                "dropped_sublayers": float(num_gone),
                "dropped_share": num_gone / sum(len(unit.sublayers) for unit in candidates(whole, stage.target)),
                "calibration_sequences": float(len(split)),
                "calibration_tokens": float(tokens // len(trace)),
            },
            trace=tuple(trace),
        )


def candidates(architecture: Architecture, target: Target) -> tuple[Unit, ...]:
    """What a target may drop, in the order that decides between equal scores."""
    found = units(architecture)
    return tuple(unit for kind in KINDS[target] for unit in found if unit.kind == kind)


def num_dropped(stage: Drop, architecture: Architecture) -> int:
    """How many go: the count, or the share of what there is, half a one rounded up and one at least.

    Raises:
        ValueError: there are fewer, or none at all.
    """
    there, words = len(candidates(architecture, stage.target)), WORDS[stage.target]
    if not there:
        raise ValueError(f"drop: expected {words} to drop, got a model without any; take another target")
    if stage.count is None:
        # In decimals: 0.145 of 100 is 14.5 to whoever wrote it, and a little less as a float.
        return max(1, int((Decimal(str(stage.share)) * there).quantize(Decimal(1), ROUND_HALF_UP)))
    if stage.count > there:
        raise ValueError(f"drop: expected at most {there} {words}, all that there are, got count={stage.count}; drop fewer")
    return stage.count


def rounds(count: int, wanted: int) -> tuple[int, ...]:
    """The count in that many parts as even as can be, larger ones first; fewer parts where some would be empty."""
    parts = (count // wanted + (at < count % wanted) for at in range(wanted))
    return tuple(part for part in parts if part)


def ranked(found: Importance, target: Target) -> list[Unit]:
    """What a target may drop, least important first, the first in order among equals."""
    allowed = [unit for kind in KINDS[target] for unit in found.scores if unit.kind == kind]
    return sorted(allowed, key=lambda unit: found.scores[unit])


def without(model: Model, places: Collection[Place]) -> tuple[Model, dict[str, str]]:
    """A new model without the sublayers at these places, and of each of its tensors the name in the old one.

    Tensors are equal bitwise. Under post-norm a sublayer's norm stays, and its tensors move to where the sublayer stood.
    """
    architecture, moved = model.architecture, []
    for place, residual in sublayers(model.architecture):
        if place in places:
            architecture = with_op(architecture, place, residual.dropped())
            moved.append(f"{place.module}.")
    new, state = build(architecture, model.sizes), model.state_dict()
    names = {name: _inside(name, moved) for name in new.state_dict()}
    new.load_state_dict({name: state[old] for name, old in names.items()})
    return new.eval(), names


def _inside(name: str, moved: list[str]) -> str:
    """The name in the whole model of a tensor at a place where only a residual's norm is left, or anywhere else."""
    place = next((one for one in moved if name.startswith(one)), None)
    return name if place is None else f"{place}norm.{name.removeprefix(place)}"


def _told(number: int, found: Importance, going: list[Unit]) -> dict[str, Any]:
    """One round as plain data."""
    scores = [{"kind": unit.kind, "place": str(unit.place), "score": score} for unit, score in found.scores.items()]
    return {"round": number, "scores": scores, "dropped": [str(unit.place) for unit in going]}
