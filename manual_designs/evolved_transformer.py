"""Evolved Transformer (So, Liang, Le, ICML 2019, arXiv 1901.11117): the cells that an evolutionary search found.

Sub-blocks are pre-norm residuals, as in the authors' code (tensor2tensor); a stack ends with a norm. A cell is about as deep
as two Transformer layers. Base (width 512, 3 + 4 cells), big (1024) and deep (640, 9 + 10 cells) are the authors' sizes,
width 128 is the narrowed base that Lite Transformer (Wu et al. 2020) compares with.

What differs from the paper, and why: attention projections have biases, as in all designs here (the authors' have none:
76 x width parameters less in the base), so that weights transfer between designs. The two attentions that open a decoder
cell share one dropout of their sum. Norms, positions and the tables of embeddings are this project's, the optimiser belongs
to the recipe. The heads of that first self-attention are the newest code's, max(min(2h, 16), h). Padding is masked before
every convolution of the encoder, as in the authors' code. The small sizes are ours.

Width 128 is published with 3.0M parameters and 94M Mult-Adds (Wu et al. 2020, their figure); what that number holds is not
published. Ours: 3.0M parameters, and by the convention that reproduces their other designs (linear layers and attention,
30 + 30 tokens) 92.1M, which is 2.0 % less. The taps of the separable convolutions make it 93.0M, which still prints as 93M;
one more per output for the biases of linear layers and convolutions makes it 93.6M, which prints as 94M. Whether they
counted so, or built a block a little differently, cannot be told.
"""

from manual_designs.transformer import EVEN, SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.op import Op
from search_spaces.ops.activated import Activated
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.graph import Sum, Widen
from search_spaces.ops.norm import Norm
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution

PAPER = "So et al. 2019, arXiv 1901.11117"


def encoder_cell(width: int, heads: int) -> Chain:
    """Gated linear unit; a wide linear layer beside a convolution, then a separable one; attention; feed-forward."""
    branches = Sum(
        (
            Activated(op=Dense(channels=4 * width), activation="relu"),
            Activated(op=StandardConvolution(kernel=3, channels=width // 2), activation="relu"),
        )
    )
    narrow = SeparableConvolution(kernel=9, channels=width // 2)
    convolutions = Chain((branches, Norm(), narrow, Widen(channels=width)))
    return layer(GatedLinear(), convolutions, Attention(heads=heads), FeedForward(inner=4 * width), placement="pre")


def decoder_cell(width: int, heads: int) -> Chain:
    """Two attentions side by side; separable convolutions; self-attention; attention to the encoder; feed-forward."""
    first: Op = Sum((Attention(heads=max(min(2 * heads, 16), heads)), Attention(heads=heads, memory=1)))
    branches = Sum(
        (
            Activated(op=SeparableConvolution(kernel=11, channels=2 * width), activation="relu"),
            Activated(op=SeparableConvolution(kernel=7, channels=width // 2)),
        )
    )
    convolutions = Chain((branches, Norm(), SeparableConvolution(kernel=7, channels=width)))
    feed_forward = FeedForward(inner=4 * width, activation="silu", sub_norm=Norm())
    attentions = (Attention(heads=heads), Attention(heads=heads, memory=1))
    return layer(first, convolutions, *attentions, feed_forward, placement="pre")


def evolved_transformer(width: int, heads: int, encoder_cells: int = 3, decoder_cells: int = 4) -> Architecture:
    """An Evolved Transformer with embeddings tied three ways."""
    return Architecture(
        encoder=Stack(width=width, layers=(encoder_cell(width, heads),) * encoder_cells, final=Norm()),
        decoder=Stack(width=width, layers=(decoder_cell(width, heads),) * decoder_cells, final=Norm()),
    )


def named(size: str | int, architecture: Architecture) -> Design:
    """The design of one size."""
    name = f"evolved_transformer-{size}"
    return Design(name=name, family="evolved_transformer", architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    named(128, evolved_transformer(128, 8)),
    named(512, evolved_transformer(512, 8)),
    named(1024, evolved_transformer(1024, 16)),
    named("deep", evolved_transformer(640, 16, 9, 10)),
    # For a budget of minutes on a CPU: one cell a stack stands beside the small Transformers' two layers or three.
    *(named(size, evolved_transformer(width, 4, 1, 1)) for size, (width, _) in SMALL_SIZES.items()),
    named(EVEN, evolved_transformer(104, 4, 1, 1)),
)
