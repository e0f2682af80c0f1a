"""The only builder: hand-made and searched models come out of the same call."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as product

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import shared_parameters, sites
from search_spaces.ends import Side, Sizes
from search_spaces.op import Flow, Memory, OpModule, Site, State
from search_spaces.parameter import INITIALISERS


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
        return tuple(module.start(flow, room) for module in self._all())

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens through every layer."""
        states = []
        for module, one in zip(self._all(), state, strict=True):
            x_btw, one, flow = module.step(x_btw, one, flow)
            states.append(one)
        return x_btw, tuple(states), flow


class Model(nn.Module):
    """An encoder-decoder. Token ids are int64, padding stands on the right."""

    def __init__(self, architecture: Architecture, sizes: Sizes) -> None:
        super().__init__()
        self.architecture, self.sizes = architecture, sizes
        self.ends = architecture.ends.build(architecture.widths, sizes)
        self.embedding_dropout = nn.Dropout(0.0)
        encoder, decoder = sites(architecture)
        self.encoder = _build_stack(architecture.encoder, encoder, architecture)
        self.decoder = _build_stack(architecture.decoder, decoder, architecture)
        for name, (shape, initialiser) in shared_parameters(architecture).items():
            self.register_parameter(f"shared_{name}", nn.Parameter(INITIALISERS[initialiser](torch.empty(shape))))

    def _shared(self) -> Mapping[str, Tensor]:
        return {name.removeprefix("shared_"): one for name, one in self.named_parameters(recurse=False)}

    def _embed(self, tokens_bt: Tensor, flow: Flow, side: Side) -> Tensor:
        embedded = self.ends.embed(tokens_bt, side)
        assert flow.positions_bt is not None
        encoded = self.architecture.positions.encode(flow.positions_bt, embedded.shape[-1])
        out: Tensor = self.embedding_dropout(embedded + encoded)
        return out

    def _flow(self, tokens_bt: Tensor, memories: tuple[Memory, ...] = ()) -> Flow:
        padding = tokens_bt == self.sizes.padding
        positions = torch.arange(tokens_bt.shape[1], device=tokens_bt.device).expand(tokens_bt.shape)
        return Flow(
            padding_bt=padding if padding.any() else None,
            positions_bt=positions,
            memories=memories,
            shared=self._shared(),
        )

    def encode(self, source_bs: Tensor) -> tuple[Memory, ...]:
        """Every encoder layer's output for source ids (B, S)."""
        flow = self._flow(source_bs)
        outputs, _ = self.encoder(self._embed(source_bs, flow, "source"), flow)
        return tuple(outputs)

    def hidden(self, source_bs: Tensor, target_bt: Tensor) -> Tensor:
        """Decoder states (B, T, W) of one teacher-forced pass; `head` makes logits of them."""
        flow = self._flow(target_bt, self.encode(source_bs))
        outputs, _ = self.decoder(self._embed(target_bt, flow, "target"), flow)
        hidden: Tensor = outputs[-1].x_bsw
        return hidden

    def head(self, hidden: Tensor) -> Tensor:
        """(..., W) to logits (..., target vocabulary)."""
        return product(hidden, self.ends.output_weight)

    def forward(self, source_bs: Tensor, target_bt: Tensor) -> Tensor:
        """Logits (B, T, target vocabulary) of one teacher-forced pass."""
        return self.head(self.hidden(source_bs, target_bt))

    def start(self, source_bs: Tensor, room: int) -> tuple[State, Flow]:
        """Encodes the sources and makes room for `room` target tokens. The state and flow are reordered by rows."""
        memories = self.encode(source_bs)
        positions = torch.zeros(source_bs.shape[0], 1, dtype=torch.int64, device=source_bs.device)
        flow = Flow(positions_bt=positions, memories=memories, shared=self._shared())
        return self.decoder.start(flow, room), flow

    def step(self, target_bt: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """Logits (B, T, target vocabulary) of the next T tokens, the state behind them, and the flow.

        `flow.positions_bt` holds the position of each row's next token in its first column.
        """
        assert flow.positions_bt is not None
        begin = flow.positions_bt[:, :1]
        padding = target_bt == self.sizes.padding
        positions = begin + torch.arange(target_bt.shape[1], device=target_bt.device)
        here = replace(flow, positions_bt=positions, padding_bt=padding if padding.any() else None)
        x_btw, state, _ = self.decoder.step(self._embed(target_bt, here, "target"), state, here)
        following = replace(flow, positions_bt=begin + here.num_valid(x_btw)[:, None])
        return self.head(x_btw), state, following


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
