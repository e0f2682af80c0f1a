"""The registry: every op, in the order in which a reader meets them."""

from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

ALL_OPS: tuple[type[Op], ...] = (
    Attention,
    FeedForward,
    LightweightConvolution,
    DynamicConvolution,
    Norm,
    Skip,
    Chain,
    Residual,
    Split,
)
