"""The only builder: hand-made and searched models come out of the same call."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import shared_parameters, sites
from search_spaces.ends import Side, Sizes
from search_spaces.op import Flow, Memory, OpModule, Site, State, starts
from search_spaces.parameter import INITIALISERS
from search_spaces.picture_ends import behind


class StackModule(nn.Module):
    """The layers of one side."""

    final: OpModule

    def __init__(self, layers: list[OpModule], final: OpModule | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        if final is not None:
            self.final = final

    def _all(self) -> list[OpModule]:
        layers = cast(list[OpModule], list(self.layers))
        return [*layers, self.final] if hasattr(self, "final") else layers

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[list[Memory], Flow]:
        """The output of every layer, the final op applied to the last, and the flow behind it."""
        outputs = []
        for layer in self.layers:
            x_btw, flow = layer(x_btw, flow)
            outputs.append(Memory(x_btw, flow.padding_bt))
        if hasattr(self, "final"):
            x_btw, flow = self.final(x_btw, flow)
            outputs[-1:] = [Memory(x_btw, flow.padding_bt)]
        return outputs, flow

    def start(self, flow: Flow, room: int) -> State:
        """One state a layer."""
        return starts(self._all(), flow, room)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens through every layer."""
        states = []
        for module, one in zip(self._all(), state, strict=True):
            x_btw, one, flow = module.step(x_btw, one, flow)
            states.append(one)
        return x_btw, tuple(states), flow


class Model(nn.Module):
    """An encoder-decoder, an encoder or a decoder. Token ids are int64, padding stands on the right."""

    encoder: StackModule
    decoder: StackModule

    def __init__(self, architecture: Architecture, sizes: Sizes) -> None:
        super().__init__()
        self.architecture, self.sizes = architecture, sizes
        self.ends = architecture.ends.build(architecture.widths, sizes)
        self.positions = nn.ModuleDict({name: architecture.positions.build(stack.width) for name, stack in architecture.stacks})
        self.embedding_dropout = nn.Dropout(0.0)
        first = sites(architecture)
        for name, stack in architecture.stacks:
            self.add_module(name, _build_stack(stack, first[name], architecture))
        for name, (shape, initialiser) in shared_parameters(architecture).items():
            self.register_parameter(f"shared_{name}", nn.Parameter(INITIALISERS[initialiser](torch.empty(shape))))

    def shared(self) -> Mapping[str, Tensor]:
        """Parameters that the model owns once, by the name that ops know; see `Flow.shared`."""
        return {name.removeprefix("shared_"): one for name, one in self.named_parameters(recurse=False)}

    def _enter(
        self, inputs: Tensor, side: Side, begin_b1: Tensor | None = None, prefix: Memory | None = None
    ) -> tuple[Tensor, Flow]:
        """States that enter a stack, behind a prefix if any, and their flow; positions count from `begin_b1`, else from 0."""
        embedded, flow = self.ends.enter(inputs, side)
        if prefix is not None:
            embedded, flow = behind(prefix, embedded, flow)
        positions = torch.arange(embedded.shape[1], device=inputs.device).expand(embedded.shape[:2])
        positions = positions if begin_b1 is None else positions + begin_b1
        module = self.positions["encoder" if side == "source" else "decoder"]
        states: Tensor = self.embedding_dropout(embedded + module(positions))
        return states, replace(flow, positions_bt=positions, shared=self.shared())

    def encode(self, source_bs: Tensor) -> tuple[Memory, ...]:
        """Every encoder layer's output for a source (B, S)."""
        outputs, _ = self.encoder(*self._enter(source_bs, "source"))
        return tuple(outputs)

    def hidden(self, source_bs: Tensor | None, target_bt: Tensor | None) -> Tensor:
        """The states (B, T, W) of one teacher-forced pass that `head` makes logits of.

        An encoder-decoder takes a source and a target, a decoder a target alone or behind a picture (its source), an encoder
        a source alone.

        Raises:
            ValueError: the inputs do not fit the shape of the model.
        """
        self._check_inputs(source_bs, target_bt)
        if target_bt is None:
            assert source_bs is not None
            outputs, flow = self.encoder(*self._enter(source_bs, "source"))
            return self.ends.leave(outputs[-1].x_bsw, flow)
        prefix = None if source_bs is None else self.ends.prefix(source_bs)
        states, flow = self._enter(target_bt, "target", prefix=prefix)
        if source_bs is not None and prefix is None:
            flow = replace(flow, memories=self.encode(source_bs))
        outputs, flow = self.decoder(states, flow)
        return self.ends.leave(outputs[-1].x_bsw, flow)

    def _check_inputs(self, source_bs: Tensor | None, target_bt: Tensor | None) -> None:
        given = {"source": source_bs is not None, "target": target_bt is not None}
        prefixed = self.architecture.ends.prefix > 0
        needed = {"source": "encoder" in self.positions or prefixed, "target": "decoder" in self.positions}
        if given != needed:
            wanted, got = (" and ".join(name for name in one if one[name]) or "nothing" for one in (needed, given))
            raise ValueError(f"model: expected {wanted} for an architecture that is {self.architecture.shape}, got {got}")

    def head(self, hidden: Tensor) -> Tensor:
        """(..., W) to logits (..., output vocabulary)."""
        return self.ends.logits(hidden)

    def forward(self, source_bs: Tensor | None, target_bt: Tensor | None = None) -> Tensor:
        """Logits (B, T, output vocabulary) of one teacher-forced pass."""
        return self.head(self.hidden(source_bs, target_bt))

    def start(self, source_bs: Tensor, room: int) -> tuple[State, Flow]:
        """Encodes the sources and makes room for `room` target tokens. The state and flow are reordered by rows.

        Of a decoder alone nothing is encoded: `source_bs` says how many rows there are, or holds pictures that enter before
        the tokens of the first step.
        """
        memories = self.encode(source_bs) if "encoder" in self.positions else ()
        positions = torch.zeros(source_bs.shape[0], 1, dtype=torch.int64, device=source_bs.device)
        prefix = self.ends.prefix(source_bs)
        flow = Flow(positions_bt=positions, memories=memories, prefix=prefix, shared=self.shared())
        return self.decoder.start(flow, room + self.architecture.ends.prefix), flow

    def step(self, target_bt: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """Logits (B, T, target vocabulary) of the next T tokens, the state behind them, and the flow.

        `flow.positions_bt` holds the position of each row's next token in its first column.
        """
        assert flow.positions_bt is not None
        begin = flow.positions_bt[:, :1]
        states, here = self._enter(target_bt, "target", begin, flow.prefix)
        here = replace(here, memories=flow.memories)
        x_btw, state, leaving = self.decoder.step(states, state, here)
        # Positions count what entered: a shortening op may let fewer tokens leave.
        positions = begin + here.num_valid(states)[:, None]
        return self.head(self.ends.leave(x_btw, leaving)), state, replace(flow, positions_bt=positions, prefix=None)


def _build_stack(stack: Stack, site: Site, architecture: Architecture) -> StackModule:
    modules, here = [], site
    for depth, layer in enumerate(stack.layers):
        modules.append(layer.build(replace(here, depth=depth), architecture.linear))
        here = layer.out(here)
    return StackModule(modules, stack.final.build(here, architecture.linear) if stack.final else None)


def build(architecture: Architecture, sizes: Sizes, device: str | None = None) -> Model:
    """A fresh model; `device` "meta" builds one without storage. Weights come from torch's global generator.

    Raises:
        ValueError: an op does not fit its site.
    """
    with torch.device(device) if device else nullcontext():
        return Model(architecture, sizes)
