"""The registry: every op, in the order in which a reader meets them."""

from search_spaces.op import Op
from search_spaces.ops.activated import Activated
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.differential_v2 import DifferentialAttentionV2
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.graph import Graph, Sum, Widen
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution
from search_spaces.ops.shortened import Shortened
from search_spaces.ops.window_attention import WindowAttention

ALL_OPS: tuple[type[Op], ...] = (
    Attention,
    DifferentialAttention,
    DifferentialAttentionV2,
    LinformerAttention,
    LinearAttention,
    GatedLinearAttention,
    WindowAttention,
    FeedForward,
    LightweightConvolution,
    DynamicConvolution,
    StandardConvolution,
    SeparableConvolution,
    Dense,
    GatedLinear,
    Activated,
    Norm,
    RmsNorm,
    Skip,
    Chain,
    Residual,
    Shortened,
    Split,
    Sum,
    Graph,
    Widen,
)
