"""The contract of an Op as a test class: subclass `OpContract` and those of the others that fit, and give it `examples`.

An example places an op at a site and, where it can be cut smaller, names smaller forms of it. Comparisons run in float64,
so that a failure is never a matter of rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.architecture import ALL_KINDS
from search_spaces.linear import FloatLinear
from search_spaces.op import Flow, Memory, Op, OpModule, Site, select_rows
from search_spaces.parameter import Axes, cut, shape
from search_spaces.plain import from_plain, to_plain

LINEAR = FloatLinear()
BATCH = 3
CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Example:
    """An op at a site. `smaller` are (op, site) pairs, larger first, each cut out of the one before it.

    `padding_leaks` says that padding changes valid positions in this op's paper, so that the test expects it to.
    """

    op: Op
    site: Site
    smaller: tuple[tuple[Op, Site], ...] = ()
    padding_leaks: bool = False


def built(op: Op, site: Site) -> OpModule:
    """The op's module in float64, evaluation mode, every parameter random (zeros would hide mistakes)."""
    generator = torch.Generator().manual_seed(7)
    module = op.build(site, LINEAR).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
    return module


def inputs(site: Site, op: Op | None = None, seed: int = 1) -> tuple[Tensor, Flow]:
    """Random hidden states (B, T, W) and a flow with memories and the op's shared parameters, without padding."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tokens: int, width: int) -> Tensor:
        return torch.randn(BATCH, tokens, width, generator=generator, dtype=torch.float64)

    x_btw = draw(site.tokens, site.width)
    memories = tuple(Memory(draw(memory.tokens, memory.width)) for memory in site.memories)
    needed = {} if op is None else op.shared(site)
    shared = {name: torch.randn(size, generator=generator, dtype=torch.float64) for name, (size, _) in needed.items()}
    return x_btw, Flow(positions_bt=torch.arange(site.tokens).expand(BATCH, -1), memories=memories, shared=shared)


def padding(site: Site) -> Tensor:
    """(B, T), True at padding: row r has r tokens of it on the right."""
    return torch.arange(site.tokens) >= site.tokens - torch.arange(BATCH)[:, None]


SUITS: Mapping[str, Callable[[Example], bool]] = {
    "example": lambda one: True,
    "causal": lambda one: one.site.causal,
    "remembering": lambda one: bool(one.site.memories),
    "cuttable": lambda one: len(one.smaller) > 0,
    "cuttable_twice": lambda one: len(one.smaller) > 1,
}
"""Which examples a check can say something of, by the name of its argument."""


class Contract:
    """Checks and their examples."""

    examples: ClassVar[Sequence[Example]]

    @staticmethod
    def label(example: Example) -> str:
        """An example in the name of a test."""
        return f"{type(example.op).__name__}-{'decoder' if example.site.causal else 'encoder'}"

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Gives a check those examples that suit it. Raises ValueError where none does: it would pass on nothing."""
        for argument, suits in SUITS.items():
            if argument in metafunc.fixturenames:
                found = [one for one in self.examples if suits(one)]
                if not found:
                    raise ValueError(f"{metafunc.function.__name__}: expected an example that is {argument}, got none")
                metafunc.parametrize(argument, found, ids=self.label)


class OpContract(Contract):
    """Checks that every op passes."""

    def test_leaves_the_declared_site(self, example: Example) -> None:
        """The output has the tokens and width of `out(site)`."""
        x_btw, flow = inputs(example.site, example.op)
        out, _ = built(example.op, example.site)(x_btw, flow)
        leaving = example.op.out(example.site)
        assert out.shape == (BATCH, leaving.tokens, leaving.width)

    def test_declares_its_parameters(self, example: Example) -> None:
        """Names and shapes equal the module's."""
        module = example.op.build(example.site, LINEAR)
        declared = {name: shape(axes) for name, axes in example.op.parameters(example.site, LINEAR).items()}
        assert declared == {name: tuple(one.shape) for name, one in module.named_parameters()}

    def test_counts_its_macs(self, example: Example) -> None:
        """The closed form equals torch's counter on the meta device, where fused attention is counted too."""
        site = example.site
        with torch.device("meta"):
            module = example.op.build(site, LINEAR).eval()
            x_btw = torch.empty(1, site.tokens, site.width)
            memories = tuple(Memory(torch.empty(1, one.tokens, one.width)) for one in site.memories)
            shared = {name: torch.empty(size) for name, (size, _) in example.op.shared(site).items()}
            with FlopCounterMode(display=False) as counter:
                module(x_btw, Flow(positions_bt=torch.arange(site.tokens)[None], memories=memories, shared=shared))
        assert example.op.macs(site, LINEAR).total * 2 == counter.get_total_flops()

    def test_survives_json(self, example: Example) -> None:
        """Plain data and back gives an equal value with an equal hash."""
        again = from_plain(to_plain(example.op), ALL_KINDS)
        assert again == example.op and hash(again) == hash(example.op)

    def test_gradients_reach_every_parameter(self, example: Example) -> None:
        """No parameter is left out of the output."""
        module = built(example.op, example.site)
        x_btw, flow = inputs(example.site, example.op)
        out, _ = module(x_btw.requires_grad_(), flow)
        (out * torch.linspace(-1, 2, out.shape[-1], dtype=torch.float64)).square().sum().backward()
        assert x_btw.grad is not None and x_btw.grad.abs().sum() > 0
        for name, parameter in module.named_parameters():
            # A key's bias shifts all scores of a query alike and softmax removes it: its gradient is zero by nature.
            if not name.endswith("key.bias"):
                assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name

    def test_padding_does_not_change_valid_positions(self, example: Example) -> None:
        """Each padded row equals the same row alone without its padding."""
        module = built(example.op, example.site)
        x_btw, flow = inputs(example.site, example.op)
        mask = padding(example.site)
        out, _ = module(x_btw, replace(flow, padding_bt=mask))
        same = True
        for row in range(BATCH):
            length = int((~mask[row]).sum())
            alone, _ = module(x_btw[row : row + 1, :length], flow.rows(torch.tensor([row])))
            same = same and torch.allclose(out[row, :length], alone[0], atol=CLOSE)
        assert same != example.padding_leaks

    def test_rows_are_independent(self, example: Example) -> None:
        """Other rows of a batch do not matter."""
        module = built(example.op, example.site)
        x_btw, flow = inputs(example.site, example.op)
        index = torch.tensor([1])
        alone, _ = module(x_btw[index], flow.rows(index))
        assert torch.allclose(module(x_btw, flow)[0][index], alone, atol=CLOSE)

    def test_does_not_look_ahead(self, causal: Example) -> None:
        """At a causal site a later token changes no earlier output, and does change its own."""
        module = built(causal.op, causal.site)
        x_btw, flow = inputs(causal.site, causal.op)
        changed = x_btw.clone()
        changed[:, -1] += 1
        before, after = module(x_btw, flow)[0], module(changed, flow)[0]
        assert torch.equal(before[:, :-1], after[:, :-1]) and not torch.equal(before[:, -1], after[:, -1])

    def test_steps_equal_the_parallel_pass(self, causal: Example) -> None:
        """A prompt followed by single steps, with rows that swap on the way, equals one parallel pass."""
        module = built(causal.op, causal.site)
        x_btw, flow = inputs(causal.site, causal.op)
        expected = module(x_btw, flow)[0]
        order = torch.tensor([2, 0, 0])
        for prompt in (1, 3):
            state = module.start(flow, causal.site.tokens)
            out, state, _ = module.step(x_btw[:, :prompt], state, flow)
            outs, rows = [out[order]], order
            state, here = select_rows(state, order), flow.rows(order)
            for token in range(prompt, causal.site.tokens):
                out, state, _ = module.step(x_btw[rows, token : token + 1], state, here)
                outs = [*outs, out]
            assert torch.allclose(torch.cat(outs, dim=1), expected[rows], atol=CLOSE)

    def test_padded_prompt_equals_each_row_alone(self, causal: Example) -> None:
        """Prompts of different lengths in one batch, padded on the right, then a step each."""
        module = built(causal.op, causal.site)
        x_btw, flow = inputs(causal.site, causal.op)
        mask = padding(causal.site)[:, :-1] | (torch.arange(causal.site.tokens - 1) == causal.site.tokens - 2)
        lengths = (~mask).sum(1)
        prompt = replace(flow, padding_bt=mask)
        _, state, _ = module.step(x_btw[:, :-1], module.start(flow, causal.site.tokens), prompt)
        following = x_btw[torch.arange(BATCH), lengths].unsqueeze(1)
        out, _, _ = module.step(following, state, flow)
        expected = module(x_btw, flow)[0][torch.arange(BATCH), lengths]
        assert torch.allclose(out[:, 0], expected, atol=CLOSE)


class MemoryContract(Contract):
    """Checks of an op at sites with memories."""

    def test_memory_padding_does_not_change_the_output(self, remembering: Example) -> None:
        """Padding behind a memory is not attended to."""
        module = built(remembering.op, remembering.site)
        x_btw, flow = inputs(remembering.site, remembering.op)
        extended = tuple(
            Memory(
                torch.cat([memory.x_bsw, memory.x_bsw[:, :2] + 3], dim=1),
                torch.arange(memory.x_bsw.shape[1] + 2).expand(BATCH, -1) >= memory.x_bsw.shape[1],
            )
            for memory in flow.memories
        )
        with_padding = module(x_btw, replace(flow, memories=extended))[0]
        assert torch.allclose(module(x_btw, flow)[0], with_padding, atol=CLOSE)


class CutContract(Contract):
    """Checks of an op that can be cut smaller."""

    def test_slices_are_the_smaller_op(self, cuttable: Example) -> None:
        """With everything outside the slice neutral and the input zero-padded, the larger op is the smaller one."""
        op, site = cuttable.smaller[0]
        large = cuttable.op.parameters(cuttable.site, LINEAR)
        small = op.parameters(site, LINEAR)
        module, part = built(cuttable.op, cuttable.site), built(op, site)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.fill_(_neutral(name))
                if name in small:
                    cut(parameter, large[name], small[name]).copy_(part.get_parameter(name))
        x_btw, flow = inputs(site, op)
        wide = _widen(x_btw, op.segments(site), cuttable.op.segments(cuttable.site))
        memories = tuple(
            Memory(torch.nn.functional.pad(one.x_bsw, (0, large_site.width - one.x_bsw.shape[-1])))
            for one, large_site in zip(flow.memories, cuttable.site.memories, strict=True)
        )
        out = module(wide, replace(flow, memories=memories))[0]
        expected = _widen(part(x_btw, flow)[0], op.segments(site), cuttable.op.segments(cuttable.site))
        assert torch.allclose(out, expected, atol=CLOSE)

    def test_cuts_compose(self, cuttable_twice: Example) -> None:
        """Cutting large to middle to small equals cutting large to small."""
        chain = [(cuttable_twice.op, cuttable_twice.site), *cuttable_twice.smaller[:2]]
        large, middle, small = (op.parameters(site, LINEAR) for op, site in chain)
        for name, axes in small.items():
            tensor = torch.arange(_numel(large[name])).reshape(shape(large[name]))
            twice = cut(cut(tensor, large[name], middle[name]), middle[name], axes)
            assert torch.equal(twice, cut(tensor, large[name], axes)), name


def _numel(axes: Axes) -> int:
    return int(torch.tensor(shape(axes)).prod())


def _neutral(name: str) -> float:
    # A tap outside the slice must get no softmax weight; everything else outside it contributes nothing at zero.
    return -1e9 if name.split(".")[-1] == "kernel" else 0.0


def _widen(x_btw: Tensor, segments: tuple[int, ...], wide: tuple[int, ...]) -> Tensor:
    """Each group of channels padded with zeros on its right to the width of its larger form."""
    parts = x_btw.split(list(segments), dim=-1)
    padded = [torch.nn.functional.pad(one, (0, width - one.shape[-1])) for one, width in zip(parts, wide, strict=True)]
    return torch.cat(padded, dim=-1)
