"""Drawings of recorded architectures: layers as boxes of one layout, which Python and the page's script both put into SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

from reports.op_words import LOOKS, Look, graph_widths, inside, kind_of, leaf, whole, width_after
from reports.words import shortened

WIDTH = 320
"""Units of a stack's drawing, one CSS pixel where there is room."""
ROW, LINE, GAP, PAD = 36, 15, 5, 8
CHARACTER = 6.1  # of the label's font, on average
LEAST_BRANCH = 96
DEEPEST = 12
NOTHING_NAMED = "no layers"


class Box(NamedTuple):
    """A rectangle or, of the look `words`, a line of text; `bar` is how much of its width is filled at most, by its work."""

    x: int
    y: int
    width: int
    height: int
    look: Look
    name: str = ""
    detail: str = ""
    linear_macs: int = 0


@dataclass(frozen=True)
class Drawn:
    """A layer laid out: its height, and its boxes with the outermost first."""

    height: int
    boxes: tuple[Box, ...]

    @property
    def most(self) -> int:
        """The largest work of a box."""
        return max((one.linear_macs for one in self.boxes), default=0)


@dataclass(frozen=True)
class StackDrawing:
    """A stack's name and width, and its layers from input to output."""

    name: str
    width: int
    layers: tuple[Drawn, ...]


@dataclass
class _Pen:
    """Boxes that are being laid out, at the memory's width."""

    memory_width: int
    boxes: list[Box] = field(default_factory=list)

    def words(self, x: int, y: int, width: int, text: str) -> int:
        self.boxes.append(Box(x, y, width, LINE, "words", text))
        return LINE

    def draw(self, op: Any, place: tuple[int, int, int], channels: int, depth: int = 0) -> int:
        """Lays an operator out at x, y and a width; gives its height."""
        x, y, width = place
        if depth > DEEPEST:
            return self.words(x, y, width, "deeper than is drawn")
        kind = kind_of(op)
        if kind == "Chain":
            return self._below(inside(op, "ops"), place, channels, depth)
        if kind in ("Residual", "Activated", "Shortened"):
            return self._around(op, kind, place, channels, depth)
        if kind in ("Split", "Sum"):
            given = inside(op, "widths") if kind == "Split" else ()
            return self._beside(inside(op, "branches"), given, place, channels, depth)
        if kind == "Graph":
            return self._graph(op, place, channels, depth)
        found = leaf(op, channels, self.memory_width)
        height = LINE + 4 if found.look == "norm" else ROW
        self.boxes.append(Box(x, y, width, height, found.look, found.name, found.detail, found.linear_macs or 0))
        return height

    def _below(self, ops: Sequence[Any], place: tuple[int, int, int], channels: int, depth: int) -> int:
        x, top, width = place
        y = top
        for one in ops:
            y += self.draw(one, (x, y, width), channels, depth + 1) + GAP
            channels = width_after(one, channels)
        return max(y - GAP, top) - top or self.words(x, top, width, "nothing")

    def _around(self, op: Mapping[str, Any], kind: str, place: tuple[int, int, int], channels: int, depth: int) -> int:
        x, y, width = place
        if kind == "Residual":
            height = self.draw(op.get("op"), (x + PAD, y, width - PAD), channels, depth + 1)
            self.boxes.append(Box(x, y, PAD, height, "residual"))
            return height
        height = self.draw(op.get("op"), place, channels, depth + 1)
        if kind == "Shortened":
            return height + self.words(x, y + height, width, f"keeps {op.get('keep')} of the tokens {op.get('when')}")
        activation = op.get("activation", "none")
        return height if activation == "none" else height + self.words(x, y + height, width, f"then {activation}")

    def _beside(
        self, branches: Sequence[Any], given: Sequence[Any], place: tuple[int, int, int], channels: int, depth: int
    ) -> int:
        x, y, width = place
        own = [whole({"width": one}, "width", channels) for one in given] or [channels] * len(branches)
        heights = [0]
        for op, inner, room in zip(branches, own, shares(own[: len(branches)], width), strict=False):
            head = self.words(x, y, room, f"{inner} channels") if given else 0
            heights.append(head + self.draw(op, (x, y + head, room), inner, depth + 1))
            x += room + GAP
        return max(heights) or self.words(x, y, width, "nothing")

    def _graph(self, op: Any, place: tuple[int, int, int], channels: int, depth: int) -> int:
        x, top, width = place
        states, y = graph_widths(op, channels), top
        for number, block in enumerate(inside(op, "blocks"), start=1):
            inputs, ops = inside(block, "inputs"), inside(block, "ops")
            joined = block.get("combine", "add") if isinstance(block, Mapping) else "add"
            came = " and ".join("input" if one == 0 else f"{one}" for one in inputs)
            y += self.words(x, y, width, f"{number}: {joined} of {came}" if len(ops) > 1 else f"{number}: of {came}")
            at = [one if isinstance(one, int) and 0 <= one < number else 0 for one in inputs]
            left, heights = x, [0]
            for one, state, room in zip(ops, at, shares([1] * len(ops), width), strict=False):
                heights.append(self.draw(one, (left, y, room), states[state], depth + 1))
                left += room + GAP
            y += max(heights) + GAP
        return y - GAP - top if y > top else self.words(x, top, width, "nothing")


def shares(channels: Sequence[int], width: int) -> list[int]:
    """Widths of branches side by side, by their channels but wide enough for a label."""
    room = width - GAP * (len(channels) - 1)
    least = min(LEAST_BRANCH, room // max(1, len(channels)))
    spare, total = room - least * len(channels), sum(channels) or 1
    return [least + spare * one // total for one in channels]


def draw_layer(op: Any, channels: int, memory_width: int) -> Drawn:
    """A layer in its frame."""
    pen = _Pen(memory_width)
    height = pen.draw(op, (PAD, PAD, WIDTH - 2 * PAD), channels)
    return Drawn(height + 2 * PAD, (Box(0, 0, WIDTH, height + 2 * PAD, "frame"), *pen.boxes))


def draw_architecture(architecture: Any) -> tuple[StackDrawing, ...]:
    """The stacks of a recorded architecture, encoder first; what is malformed in it is drawn as unknown, or left out."""
    found: list[StackDrawing] = []
    memory_width = 0
    for name in ("encoder", "decoder"):
        stack = architecture.get(name) if isinstance(architecture, Mapping) else None
        if not isinstance(stack, Mapping):
            continue
        channels = width = whole(stack, "width", 1)
        layers = []
        for op in inside(stack, "layers"):
            layers.append(draw_layer(op, channels, memory_width or width))
            channels = width_after(op, channels)
        found.append(StackDrawing(name, width, tuple(layers)))
        memory_width = width
    return tuple(found)


def fitted(text: str, width: int) -> str:
    """A label that is cut where it would not fit."""
    return shortened(text, max(1, int((width - 8) / CHARACTER)))


def groups(layers: Sequence[Drawn]) -> list[tuple[int, int, Drawn]]:
    """Equal layers that follow each other as one: the first's number, how many, and the layer."""
    found: list[tuple[int, int, Drawn]] = []
    for number, layer in enumerate(layers, start=1):
        if found and found[-1][2] == layer:
            found[-1] = (found[-1][0], found[-1][1] + 1, layer)
        else:
            found.append((number, 1, layer))
    return found


def group_words(first: int, count: int) -> str:
    """Which layers a drawn one stands for."""
    return f"layer {first}" if count == 1 else f"layers {first} to {first + count - 1}: {count} times"


def stack_svg(stack: StackDrawing, most: int) -> str:
    """A stack as an SVG element; a box is filled in proportion to its work, wholly at `most` MACs a token."""
    parts, y = [], 0
    for first, count, layer in groups(stack.layers):
        parts.append(f'<text class="words" x="1" y="{y + 11}">{group_words(first, count)}</text>')
        parts += [_box(one, y + LINE, most) for one in layer.boxes]
        y += LINE + layer.height + GAP
    told = escape(stack_words(stack))
    if not parts:
        parts, y = [f'<text class="words" x="1" y="11">{NOTHING_NAMED}</text>'], LINE
    return f'<svg class="stack" role="img" aria-label="{told}" viewBox="0 0 {WIDTH} {y}">{"".join(parts)}</svg>'


def _box(box: Box, top: int, most: int) -> str:
    x, y = box.x, box.y + top
    if box.look == "words":
        return f'<text class="words" x="{x}" y="{y + 11}">{escape(fitted(box.name, box.width))}</text>'
    if box.look == "residual":
        return f'<path class="residual" d="M{x + box.width - 1} {y + 4}H{x + 2}V{y + box.height - 4}H{x + box.width - 1}"/>'
    shape = f'<rect class="{box.look}" x="{x}" y="{y}" width="{box.width}" height="{box.height}" rx="4"/>'
    if box.look == "frame":
        return shape
    bar = box.width * box.linear_macs // max(1, most)
    work = f'<rect class="work" x="{x}" y="{y + box.height - 4}" width="{bar}" height="4"/>' if bar else ""
    lines = [one for one in (box.name, box.detail) if one]
    told = "".join(
        f'<text x="{x + 5}" y="{y + 13 + 14 * index}">{escape(fitted(one, box.width))}</text>' for index, one in enumerate(lines)
    )
    return f"<g><title>{escape(', '.join(lines))}</title>{shape}{work}{told}</g>"


def stack_words(stack: StackDrawing) -> str:
    """A stack in words, for who cannot see its drawing."""
    layers = "; ".join(
        f"{group_words(first, count)}: {', '.join(filter(None, map(_told, layer.boxes))) or 'nothing'}"
        for first, count, layer in groups(stack.layers)
    )
    return f"{stack.name} of width {stack.width}. {layers or NOTHING_NAMED}."


def _told(box: Box) -> str:
    return f"{box.name} ({box.detail})" if box.detail else box.name


def box_row(box: Box, labels: dict[str, int]) -> tuple[int, ...]:
    """A box as numbers, its texts as places in `labels`, which grows."""
    texts = [labels.setdefault(one, len(labels)) for one in (box.name, box.detail)]
    return (box.x, box.y, box.width, box.height, LOOKS.index(box.look), *texts, box.linear_macs)
