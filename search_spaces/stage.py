"""Stages: something done to a model, as a frozen value.

How training is carried out stands in `nas/training.py`, how the others are in `nas/stages/`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

Target = Literal["attention", "feed_forward", "block", "joint"]
TARGETS: tuple[Target, ...] = ("attention", "feed_forward", "block", "joint")
REPLACEMENTS = ("elu", "hedgehog", "gated")
SELECTIONS = ("most_replaced", "best")
CODINGS = ("kmeans", "linear")
KERNELS = ("torch", "onnxruntime")


class Stage:
    """One step of a Design, in order. `name` is how a user calls it."""

    name: ClassVar[str]


@dataclass(frozen=True)
class Train(Stage):
    """Training from scratch by the common recipe, for the budget that `evaluate` is given."""

    name: ClassVar[str] = "train"


@dataclass(frozen=True, kw_only=True)
class Drop(Stage):
    """Sublayers that change the residual stream least are dropped, without training (LLM-Drop, arXiv 2406.15786).

    `target` says which: attention (cross-attention too), feed_forward, whole blocks, or joint, attention and feed-forward in
    one ranking. Either `count` of them or a `share` go, by one ranking of the whole model, or in `rounds`, each with a new
    ranking of what is left. The ranking sees `calibration` training sequences.
    """

    name: ClassVar[str] = "drop"

    target: Target = "attention"
    count: int | None = None
    share: float | None = None
    rounds: int = 1
    calibration: int = 256

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise ValueError(f"drop: expected a target of {', '.join(TARGETS)}, got {self.target!r}")
        if (self.count is None) == (self.share is None):
            raise ValueError(f"drop: expected count or share, one of both, got count={self.count}, share={self.share}")
        _check("drop", "count", self.count, 1)
        _check_share("drop", "share", self.share)
        _check("drop", "rounds", self.rounds, 1)
        _check("drop", "calibration", self.calibration, 1)


@dataclass(frozen=True, kw_only=True)
class Replace(Stage):
    """Attention layers are distilled to linear attention, then replaced greedily (Distill-then-Replace, arXiv 2601.11667).

    All replacements learn from the same teacher's activations on `tokens` training tokens. A replacement is kept while the
    loss on `validation` sequences stays within `floor`, a share of the whole model's, above it; at most `evaluations` of it
    are made (None: as many as greedy search takes). Of the hybrids that were met, `keep` says which goes on: the one with
    most replaced layers within the floor, or the best.
    """

    name: ClassVar[str] = "replace"

    replacement: Literal["elu", "hedgehog", "gated"] = "hedgehog"
    tokens: int = 50_000
    learning_rate: float = 3e-3
    floor: float = 0.01
    validation: int = 500
    evaluations: int | None = None
    keep: Literal["most_replaced", "best"] = "most_replaced"

    def __post_init__(self) -> None:
        if self.replacement not in REPLACEMENTS:
            raise ValueError(f"replace: expected a replacement of {', '.join(REPLACEMENTS)}, got {self.replacement!r}")
        if self.keep not in SELECTIONS:
            raise ValueError(f"replace: expected to keep {' or '.join(SELECTIONS)}, got {self.keep!r}")
        _check("replace", "tokens", self.tokens, 1)
        _check("replace", "validation", self.validation, 1)
        _check("replace", "evaluations", self.evaluations, 1)
        if not (0 <= self.floor < float("inf") and 0 < self.learning_rate < float("inf")):
            raise ValueError(f"replace: expected a floor of 0 or more and a rate above 0, got {self.floor}, {self.learning_rate}")


@dataclass(frozen=True, kw_only=True)
class Pyramid(Stage):
    """Droppable tokens leave a decoder in `stages` stages, each with `keep` of the stage before (PyramidDrop, arXiv 2410.17247).

    They are ranked by the attention of the last instruction token, which stands before the answer. Nothing is trained: a model
    that is trained so has the dropping in its architecture, see `search_spaces/dropping_tokens.py`.
    """

    name: ClassVar[str] = "pyramid"

    keep: float = 0.5
    stages: int = 4

    def __post_init__(self) -> None:
        _check_share("pyramid", "keep", self.keep)
        _check("pyramid", "stages", self.stages, 2)


@dataclass(frozen=True, kw_only=True)
class Shorten(Stage):
    """An encoder's tokens that get least attention leave after some layers (EViT, Liang et al. 2022). Nothing is trained.

    `keep` is the share that goes on at each of `times` places, spread evenly over depth. The token that is read in the end
    ranks them and always stays; where the mean of all is read, all rank, and what gets most attention on average stays.
    """

    name: ClassVar[str] = "shorten"

    keep: float = 0.7
    times: int = 3

    def __post_init__(self) -> None:
        _check_share("shorten", "keep", self.keep)
        _check("shorten", "times", self.times, 1)


@dataclass(frozen=True, kw_only=True)
class Prune(Stage):
    """Weights of least magnitude become zero, `share` of those that can be pruned (after Han et al. 2015, arXiv 1506.02626).

    Each layer gives up as much as its sensitivity allows: what the loss of `calibration` validation sequences says when it
    alone is pruned. What is left is trained for `tokens` more.
    """

    name: ClassVar[str] = "prune"

    share: float
    tokens: int = 0
    learning_rate: float = 3e-4
    calibration: int = 128

    def __post_init__(self) -> None:
        _check_share("prune", "share", self.share)
        _check("prune", "tokens", self.tokens, 0)
        _check("prune", "calibration", self.calibration, 1)
        if not self.learning_rate > 0:
            raise ValueError(f"prune: expected a learning rate above 0, got {self.learning_rate}")


@dataclass(frozen=True, kw_only=True)
class Quantise(Stage):
    """Weights become codes of `bits` bits: an index of k-means centroids a tensor, or a whole number and a scale a row.

    K-means is Deep Compression's (Han et al. 2016, arXiv 1510.00149), and learns its centroids for `tokens` training tokens;
    whole numbers are not trained.
    """

    name: ClassVar[str] = "quantise"

    coding: Literal["kmeans", "linear"] = "kmeans"
    bits: int = 8
    tokens: int = 0
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.coding not in CODINGS:
            raise ValueError(f"quantise: expected a coding of {', '.join(CODINGS)}, got {self.coding!r}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"quantise: expected 2 to 8 bits, got {self.bits}")
        _check("quantise", "tokens", self.tokens, 0)
        if self.tokens and self.coding == "linear":
            raise ValueError(f"quantise: expected no tokens with linear codes, which are not trained, got {self.tokens}")
        if not self.learning_rate > 0:
            raise ValueError(f"quantise: expected a learning rate above 0, got {self.learning_rate}")


@dataclass(frozen=True)
class Int8(Stage):
    """Linear layers run on 8-bit whole numbers, weights scaled by row, activations by token as they come."""

    name: ClassVar[str] = "int8"


@dataclass(frozen=True, kw_only=True)
class Pack(Stage):
    """Ternary weights are packed to 2 bits each and run by whole-number products (BitNet b1.58, arXiv 2402.17764).

    `kernel` says whose products: torch's for 8-bit numbers, or, for a few tokens at a time, onnxruntime's for 2-bit weights,
    which are faster in wide layers. Both are exact.
    """

    name: ClassVar[str] = "pack"

    kernel: Literal["torch", "onnxruntime"] = "torch"

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"pack: expected a kernel of {', '.join(KERNELS)}, got {self.kernel!r}")


def _check(stage: str, key: str, value: int | None, least: int) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ValueError(f"{stage}: expected a whole {key} of {least} or more, got {value!r}")


def _check_share(stage: str, key: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise ValueError(f"{stage}: expected a {key} between 0 and 1, got {value!r}")


ALL_STAGES: tuple[type[Stage], ...] = (Train, Drop, Replace, Pyramid, Shorten, Prune, Quantise, Int8, Pack)
