"""Models of the Llama family in a GGUF file as our own: architecture, weights by our names, tokenizer.

What the file says is what is built; a file that says more than our ops can do (scaled rotary positions, biases) is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from manual_designs.llama import llama
from nas.errors import UserError
from nas.pretrained.gguf_file import GgufFile
from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer, pretrained_tokenizer
from search_spaces.architecture import Architecture
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.ops.norm import RmsNorm
from search_spaces.rotary import Rotary

Array = npt.NDArray[np.float32]

CONTROL_TOKEN = 3  # the kind of token that stands in no text

# Names in a GGUF file and in our state_dict.
ENDS = {"token_embd.weight": "ends.target.weight", "output_norm.weight": "decoder.final.weight"}
UNTIED = {"output.weight": "ends.output.weight"}
LAYER = {
    "attn_norm": "0.norm",
    "attn_q": "0.op.query",
    "attn_k": "0.op.key",
    "attn_v": "0.op.value",
    "attn_output": "0.op.output",
    "ffn_norm": "1.norm",
    "ffn_gate": "1.op.gate",
    "ffn_up": "1.op.hidden",
    "ffn_down": "1.op.output",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class LlamaFile:
    """A model as a file holds it. `context` is the longest input in tokens, `kinds` what its numbers were kept in."""

    architecture: Architecture
    sizes: Sizes
    weights: Mapping[str, Array]
    tokenizer: Tokenizer
    context: int
    kinds: tuple[str, ...]


def read_llama(path: Path) -> LlamaFile:
    """The model of a GGUF file.

    Raises:
        UserError: the package gguf is not installed, it is no GGUF file, or one of another form.
    """
    file = GgufFile(path)
    if (family := file.need("general.architecture")) != "llama":
        raise UserError(f"expected a model of the Llama family in {path.name}, got {family}; use another file")
    tokenizer = _tokenizer(file)
    return LlamaFile(
        architecture=_architecture(file),
        sizes=Sizes(source_vocabulary=tokenizer.size, target_vocabulary=tokenizer.size, padding=PAD_ID),
        weights=_weights(file),
        tokenizer=tokenizer,
        context=file.need("llama.context_length"),
        kinds=file.kinds,
    )


def _architecture(file: GgufFile) -> Architecture:
    width, heads = file.need("llama.embedding_length"), file.need("llama.attention.head_count")
    groups = file.get("llama.attention.head_count_kv", heads)
    turned = file.get("llama.rope.dimension_count", width // heads)
    if turned != width // heads or file.get("llama.rope.scaling.type", "none") != "none":
        raise UserError(
            f"expected rotary positions of all {width // heads} channels of a head, unscaled, in {file.path.name}, "
            f"got {turned} channels, scaling {file.get('llama.rope.scaling.type', 'none')}; use another file"
        )
    norm = RmsNorm(epsilon=_shortest(file.need("llama.attention.layer_norm_rms_epsilon")))
    return llama(
        width,
        file.need("llama.block_count"),
        heads,
        inner=file.need("llama.feed_forward_length"),
        key_value_heads=None if groups == heads else groups,
        ends=TokenEnds(tying="none" if "output.weight" in file.names else "all", scaled=False),
        norm=norm,
        final=norm,
        rotary=Rotary(base=_shortest(file.get("llama.rope.freq_base", Rotary().base))),
    )


def _shortest(number: float) -> float:
    """The number that was meant: a file holds 1e-5 in float32."""
    return float(str(np.float32(number)))


def _weights(file: GgufFile) -> dict[str, Array]:
    layers = range(file.need("llama.block_count"))
    names = ENDS | (UNTIED if "output.weight" in file.names else {})
    names |= {
        f"blk.{at}.{theirs}.weight": f"decoder.layers.{at}.{ours}.weight" for at in layers for theirs, ours in LAYER.items()
    }
    if names.keys() != file.names:
        strangers = ", ".join(sorted(names.keys() ^ file.names)[:3])
        raise UserError(f"expected the tensors of a plain Llama in {file.path.name}, got or miss {strangers}; use another file")
    heads = file.need("llama.attention.head_count")
    turned = {"attn_q": heads, "attn_k": file.get("llama.attention.head_count_kv", heads)}
    result = {}
    for theirs, ours in names.items():
        number = turned.get(theirs.split(".")[-2])
        result[ours] = file.tensor(theirs) if number is None else _halves(file.tensor(theirs), number)
    return result


def _halves(rows: Array, heads: int) -> Array:
    """Rows of a projection whose heads pair channels 2i and 2i + 1 as rows that pair i and i + R / 2.

    llama.cpp turns neighbours, so its converter has moved the rows of queries and keys.
    """
    by_pair = rows.reshape(heads, -1, 2, rows.shape[1])
    return np.ascontiguousarray(by_pair.swapaxes(1, 2)).reshape(rows.shape)


def _tokenizer(file: GgufFile) -> Tokenizer:
    """Byte-level pairs behind a split of all digits, what llama.cpp calls smollm."""
    kind = file.need("tokenizer.ggml.model"), file.need("tokenizer.ggml.pre")
    if kind != ("gpt2", "smollm"):
        raise UserError(f"expected a tokenizer gpt2 with smollm's digits in {file.path.name}, got {kind}; use another file")
    kinds = file.need("tokenizer.ggml.token_type")
    special = [at for at, one in enumerate(kinds) if one == CONTROL_TOKEN]
    ids = file.need("tokenizer.ggml.bos_token_id"), file.need("tokenizer.ggml.eos_token_id")
    # Padding must stand in no text: any control token that is neither of the two will do.
    if ids != (BOS_ID, EOS_ID) or PAD_ID not in special:
        raise UserError(
            f"expected texts that begin with token {BOS_ID} and end with {EOS_ID}, and {PAD_ID} for control, in "
            f"{file.path.name}, got {ids}; use another file"
        )
    return pretrained_tokenizer(file.need("tokenizer.ggml.tokens"), file.need("tokenizer.ggml.merges"), special)
