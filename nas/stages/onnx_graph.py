"""ONNX models of products with ternary weights, written out as bytes: the package onnx would be large for so few.

Field numbers are those of onnx.proto; the product is MatMulNBits of com.microsoft, which onnxruntime has. It scales each block of
a token's activations so that the largest is 127, rounds them to 8 bits, and adds up whole numbers (accuracy level 4).
Letters: M tokens, K columns (input channels), R rows (output channels), B blocks.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from nas.stages.ternary_storage import TWO_BITS
from search_spaces.ternary import LEAST

BLOCK = 128
KINDS = {"float32": 1, "uint8": 2, "int64": 7}
FORMAT, OPERATORS = 8, 17  # versions that every onnxruntime with 2-bit products reads

Field = tuple[int, int | str | bytes]


def product_graph(codes_rk: Tensor, gamma: float) -> bytes:
    """Input x (M, K), output y (M, R): x times codes x gamma, as the library does it. BLOCK divides K."""
    rows, columns = codes_rk.shape
    ends = (11, _matrix("x", columns)), (12, _matrix("y", rows))
    return _model(_product("x", rows, columns), *_weights(codes_rk, gamma), *ends)


def layer_graph(codes_rk: Tensor, gamma: float, bias_r: Tensor | None) -> bytes:
    """Input x (M, K), output (M, R) of a ternary layer behind its norm: the same operations as it has in torch, in their order.

    One more code of 127 in each block, whose weight is zero, makes the library's scale of the block 1, so that codes stay what
    they are. Sums are then whole numbers that float32 holds.
    """
    (rows, columns), real = codes_rk.shape, BLOCK - 1
    blocks = -(-columns // real)
    missing = blocks * real - columns
    filled_rk = pad(pad(codes_rk, (0, missing)).unflatten(1, (blocks, real)), (0, 1)).flatten(1)
    nodes = [
        _node("Abs", "x", "magnitude"),
        _node("ReduceMax", "magnitude", "largest", axes=(1,)),
        _node("Max", "largest least", "bounded"),
        _node("Div", "one bounded", "inverse"),  # as torch divides a number by a tensor
        _node("Mul", "inverse most", "scale"),
        _node("Mul", "x scale", "scaled"),
        _node("Round", "scaled", "codes"),  # ties to even
        _node("Pad", "codes fill", "filled"),
        _node("Reshape", "filled apart", "blocks"),
        _node("Pad", "blocks extra most", "longer"),
        _node("Reshape", "longer joined", "input"),
        _product("input", rows, filled_rk.shape[1]),
        _node("Div", "gamma scale", "factor"),
        _node("Mul", "y factor", "unbiased"),
    ]
    numbers = {"least": LEAST, "one": 1.0, "most": 127.0, "gamma": gamma}
    sizes = {"fill": (0, 0, 0, missing), "apart": (-1, blocks, real), "extra": (0, 0, 0, 0, 0, 1), "joined": (-1, blocks * BLOCK)}
    constants: dict[str, npt.NDArray[np.generic]] = {name: np.array(one, np.float32) for name, one in numbers.items()}
    constants |= {name: np.array(one, np.int64) for name, one in sizes.items()}
    output = "unbiased"
    if bias_r is not None:
        output, constants["bias"] = "biased", bias_r.detach().numpy()
        nodes.append(_node("Add", "unbiased bias", output))
    ends = (11, _matrix("x", columns)), (12, _matrix(output, rows))
    return _model(*nodes, *(_constant(name, one) for name, one in constants.items()), *_weights(filled_rk, 1.0), *ends)


def _product(of: str, rows: int, columns: int) -> Field:
    sizes = {"K": columns, "N": rows, "bits": 2, "block_size": BLOCK, "accuracy_level": 4}
    return _node("MatMulNBits", f"{of} weight scales", "y", "com.microsoft", **sizes)


def _weights(codes_rk: Tensor, gamma: float) -> tuple[Field, Field]:
    """What is stored are codes + 2, of which the operator takes 2 off; packing adds 1 of these."""
    rows, blocks = codes_rk.shape[0], codes_rk.shape[1] // BLOCK
    weight = TWO_BITS.pack(codes_rk.to(torch.int8) + 1).view(rows, blocks, -1).numpy()
    return _constant("weight", weight), _constant("scales", np.full((rows, blocks), gamma, np.float32))


def _model(*graph: Field) -> bytes:
    versions = (8, _message((1, ""), (2, OPERATORS))), (8, _message((1, "com.microsoft"), (2, 1)))
    return _message((1, FORMAT), (7, _message((2, "ternary"), *graph)), *versions)


def _node(operator: str, inputs: str, output: str, domain: str = "", **attributes: int | tuple[int, ...]) -> Field:
    """Attributes are whole numbers, kind 2, or several, kind 7."""
    fields: list[Field] = [*((1, one) for one in inputs.split()), (2, output), (4, operator), (7, domain)]
    for name, value in attributes.items():
        number: tuple[Field, ...] = ((3, value), (20, 2)) if isinstance(value, int) else (*((8, one) for one in value), (20, 7))
        fields.append((5, _message((1, name), *number)))
    return 1, _message(*fields)


def _constant(name: str, array: npt.NDArray[np.generic]) -> Field:
    return 5, _message(*((1, size) for size in array.shape), (2, KINDS[array.dtype.name]), (8, name), (9, array.tobytes()))


def _matrix(name: str, columns: int) -> bytes:
    """An input or output in float32 with any number of rows."""
    shape = _message((1, _message((2, "M"))), (1, _message((1, columns))))
    return _message((1, name), (2, _message((1, _message((1, KINDS["float32"]), (2, shape))))))


def _message(*fields: Field) -> bytes:
    """A message of Protocol Buffers: whole numbers, texts and bytes by field number."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    return bytes([value & 127 | 128]) + _varint(value >> 7) if value > 127 else bytes([value])
