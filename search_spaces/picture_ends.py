"""A picture before a text: image patches as the prefix of a decoder alone.

Patches enter through one linear layer, as the features of an image do in LLaVA (Liu et al. 2023, arXiv 2304.08485, section
4.1), with a learned vector for each place (Dosovitskiy et al. 2021, section 3.1). Which tokens may be dropped and which rank
them is PyramidDrop's rule (Xing et al. 2024, arXiv 2410.17247).
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from search_spaces.ends import UNSCALED_STD, Ends, EndsModule, Side, Sizes, TokenEnds, TokenModule, Widths, embedding
from search_spaces.op import Flow, Macs, Memory
from search_spaces.parameter import Axes, Axis
from search_spaces.patch_ends import Patches, patch_projection

ANSWER_ID = 3  # <unk>, which stands in no text


@dataclass(frozen=True, kw_only=True)
class PictureEnds(Patches, Ends):
    """Patches of a picture, then a text whose tokens enter and leave by `text`.

    A picture of a negative first value is none. The patches may be dropped by a shortening op. Tokens `answer`, each directly
    before an answer, rank them, so that all turns of a conversation do in training; in decoding a prompt ends with one.
    Positions and counted lengths: a text of T tokens has T, its stack patches + T.
    """

    text: TokenEnds = field(default_factory=TokenEnds)
    answer: int = ANSWER_ID

    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """Those of the text; patch: width x values, and bias; place.weight: patches x width."""
        width = Axis(decoder_width(widths))
        return {
            **self.text.parameters(widths, sizes),
            "patch.weight": (width, Axis(self.num_values)),
            "patch.bias": (width,),
            "place.weight": (Axis(self.num_patches), width),
        }

    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """The embeddings of tokens and of places."""
        return self.text.tables(widths, sizes) | {"place.weight"}

    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """The patch projection (linear), and the head for the tokens of the text (vocabulary)."""
        projection = Macs(linear=self.num_patches * self.num_values * decoder_width(widths))
        return projection + self.text.macs(widths, sizes, source_tokens, target_tokens)

    @property
    def prefix(self) -> int:
        """The patches."""
        return self.num_patches

    def droppable(self, tokens: int) -> int:
        """The patches."""
        return min(self.num_patches, tokens)

    def build(self, widths: Widths, sizes: Sizes) -> EndsModule:
        """See Ends."""
        return PictureModule(self, widths, sizes)


def decoder_width(widths: Widths) -> int:
    """The width of a decoder that stands alone. Raises ValueError where there is an encoder."""
    encoder, decoder = widths
    if decoder is None or encoder is not None:
        raise ValueError(f"ends: expected a decoder alone behind a picture, got widths {widths} of encoder and decoder")
    return decoder


class PictureModule(TokenModule):
    """The module of PictureEnds."""

    def __init__(self, ends: PictureEnds, widths: Widths, sizes: Sizes) -> None:
        width = decoder_width(widths)
        super().__init__(ends.text, widths, sizes)
        self.pictures = ends
        self.patch = patch_projection(ends, width)
        # As large as the embeddings of tokens are when they enter.
        self.place = embedding((Axis(ends.num_patches), Axis(width)), None, 1.0 if ends.text.scaled else UNSCALED_STD)

    def prefix(self, source_bs: Tensor) -> Memory:
        """(B, height x width x channels) intensities to the states of the patches; all padding where there is no picture."""
        patches: Tensor = self.patch(self.pictures.cut(source_bs, self.place.weight.dtype))
        missing_b1 = source_bs[:, :1] < 0
        some = not source_bs.is_meta and bool(missing_b1.any())
        return Memory(patches + self.place.weight, missing_b1.expand(-1, self.pictures.num_patches) if some else None)

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """See EndsModule."""
        embedded, flow = super().enter(inputs, side)
        return embedded, replace(flow, ranking_bt=inputs == self.pictures.answer)

    def leave(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """(B, T', W) to the states of the text, (B, T, W)."""
        if flow.droppable_bt is None or flow.num_fixed is None:
            return x_btw
        tokens = torch.arange(flow.num_fixed, device=x_btw.device)
        # What is left of the picture stands first. Behind a shorter text there is padding, and may be nothing.
        index_bt = (flow.droppable_bt.sum(1, keepdim=True) + tokens).clamp(max=x_btw.shape[1] - 1)
        return x_btw.gather(1, index_bt[..., None].expand(-1, -1, x_btw.shape[2]))


def behind(prefix: Memory, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
    """A text (B, T, W) and its flow behind a prefix of P droppable tokens: (B, P + T, W), padding on the right."""
    text_bt = torch.zeros(x_btw.shape[:2], dtype=torch.bool, device=x_btw.device)
    whole_bp = torch.zeros(prefix.x_bsw.shape[:2], dtype=torch.bool, device=x_btw.device)
    masks = {
        "padding_bt": (whole_bp if prefix.padding_bs is None else prefix.padding_bs, flow.padding_bt),
        "ranking_bt": (whole_bp, flow.ranking_bt),
        "droppable_bt": (~whole_bp if prefix.padding_bs is None else ~prefix.padding_bs, None),
    }
    joined = {name: torch.cat([first, text_bt if rest is None else rest], dim=1) for name, (first, rest) in masks.items()}
    states = torch.cat([prefix.x_bsw.to(x_btw.dtype), x_btw], dim=1)
    if prefix.padding_bs is not None:
        order_bt = joined["padding_bt"].to(torch.int8).argsort(dim=1, stable=True)
        joined = {name: one.gather(1, order_bt) for name, one in joined.items()}
        states = states.gather(1, order_bt[..., None].expand(-1, -1, states.shape[2]))
    padding = None if prefix.padding_bs is None and flow.padding_bt is None else joined.pop("padding_bt")
    return states, replace(flow, **{**joined, "padding_bt": padding, "num_fixed": x_btw.shape[1]})  # type: ignore[arg-type]
