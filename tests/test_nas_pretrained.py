"""Pretrained models: a tiny one written in the same file format and read back, and the real one where its wheel is cached.

The wheel is never downloaded here. Its logits were compared with those of transformers 5.23.0, which reads the same file.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize

import nas.pretrained.all_pretrained
import nas.pretrained.smollm2
import nas.pretrained.text
from manual_designs.llama import llama
from nas.corpora.corpus import CorpusFacts, SplitRule, Text, TextCorpus, TextReader, TextSplits
from nas.corpora.fetch import Package, cache_folder, is_cached
from nas.errors import UserError
from nas.judging import LanguageModelJudge
from nas.pretrained.all_pretrained import ALL_PRETRAINED, find_pretrained, pretrained, pretrained_with_task
from nas.pretrained.llama_file import LlamaFile, read_llama
from nas.pretrained.smollm2 import SMOLLM2, WHEEL, Pretrained
from nas.pretrained.text import PretrainedText, documents
from nas.recipe import Recipe
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import RunningTextSplit
from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from search_spaces.architecture import Architecture
from search_spaces.design import Design
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.model import Model, build
from search_spaces.ops.norm import RmsNorm
from search_spaces.rotary import Rotary

WIDTH, LAYERS, HEADS, GROUPS, INNER, CONTEXT = 64, 2, 4, 2, 96, 64
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>")
MERGES = ("t h", "Ġ th", "Ġth e", "1 2", "Ġ Ġ")
NAMES = {
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

Arrays = dict[str, npt.NDArray[np.float32]]


def vocabulary() -> list[str]:
    """Control tokens, the bytes in the signs of byte-level encoding, and what merges make."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    signs = [chr(byte) for byte in printable] + [chr(256 + at) for at in range(len(others))]
    return [*SPECIAL, *signs, *(merge.replace(" ", "") for merge in MERGES)]


SIZE = len(vocabulary())
SIZES = Sizes(source_vocabulary=SIZE, target_vocabulary=SIZE, padding=PAD_ID)


def architecture(tied: bool = True, rotary: Rotary = Rotary(base=5000.0)) -> Architecture:  # noqa: B008
    norm = RmsNorm(epsilon=1e-6)
    ends = TokenEnds(tying="all" if tied else "none", scaled=False)
    return llama(WIDTH, LAYERS, HEADS, inner=INNER, key_value_heads=GROUPS, ends=ends, norm=norm, final=norm, rotary=rotary)


def theirs(tied: bool) -> tuple[Arrays, Arrays]:
    """Random tensors by their names in a file, as they are written, and by ours with the rows of heads as they are written."""
    rng = np.random.default_rng(3)
    shapes = {name: tuple(one.shape) for name, one in build(architecture(tied), SIZES, "meta").state_dict().items()}
    ours = {name: rng.normal(0, 0.3, size=shape).astype(np.float32) for name, shape in shapes.items()}
    file = {"token_embd.weight": ours["ends.target.weight"], "output_norm.weight": ours["decoder.final.weight"]}
    if not tied:
        file["output.weight"] = ours["ends.output.weight"]
    for at in range(LAYERS):
        file |= {f"blk.{at}.{one}.weight": ours[f"decoder.layers.{at}.{other}.weight"] for one, other in NAMES.items()}
    return file, ours


def kind_of(name: str, array: npt.NDArray[np.float32]) -> Kind:
    """As in the real file: norms in float32, the embedding in 8 bits, all else in 4."""
    if array.ndim == 1:
        return Kind.F32
    return Kind.Q8_0 if name in ("token_embd.weight", "output.weight") else Kind.Q4_1


METADATA: dict[str, Any] = {
    "llama.block_count": LAYERS,
    "llama.context_length": CONTEXT,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": INNER,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": GROUPS,
    "llama.rope.freq_base": 5000.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-6,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.bos_token_id": BOS_ID,
    "tokenizer.ggml.eos_token_id": EOS_ID,
}


def write(path: Path, tensors: Mapping[str, npt.NDArray[np.float32]], family: str = "llama", **changed: Any) -> Path:
    """A GGUF file; `changed` are metadata by key with two underscores for a dot, None to leave one out."""
    writer = gguf.GGUFWriter(path, family)
    values = METADATA | {key.replace("__", "."): value for key, value in changed.items()}
    adders = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in values.items():
        if value is not None:
            adders[type(value)](key, value)
    writer.add_token_list(vocabulary())
    writer.add_token_types([3] * len(SPECIAL) + [1] * (SIZE - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    for name, array in tensors.items():
        kind = kind_of(name, array)
        writer.add_tensor(name, array if kind == Kind.F32 else quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LlamaFile:
    return read_llama(write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", theirs(tied=True)[0]))


def loaded(form: Architecture, weights: Mapping[str, npt.NDArray[np.float32]], sizes: Sizes = SIZES) -> Model:
    model = build(form, sizes)
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return model.eval()


def test_a_file_is_the_architecture_that_its_numbers_say(tiny: LlamaFile) -> None:
    assert tiny.architecture == architecture()
    assert (tiny.sizes, tiny.context, tiny.kinds) == (SIZES, CONTEXT, ("F32", "Q4_1", "Q8_0"))


@pytest.mark.parametrize("tied", [True, False])
def test_weights_are_what_the_codes_decode_to(tied: bool, tmp_path: Path) -> None:
    file, ours = theirs(tied)
    found = read_llama(write(tmp_path / "one.gguf", file))
    assert found.architecture.ends == TokenEnds(tying="all" if tied else "none", scaled=False)
    assert found.weights.keys() == ours.keys()
    for name, array in ours.items():
        theirs_name = next(one for one, other in file.items() if other is array)
        kind = kind_of(theirs_name, array)
        decoded = array if kind == Kind.F32 else dequantize(quantize(array, kind), kind)
        assert found.weights[name].dtype == np.float32
        if "query" in name or "key" in name:  # rows in another order
            assert not np.array_equal(found.weights[name], decoded)
            decoded, mine = (np.sort(one, axis=0) for one in (decoded, found.weights[name]))
            assert np.array_equal(mine, decoded)
        else:
            assert np.array_equal(found.weights[name], decoded)


def test_heads_are_turned_as_the_file_means(tiny: LlamaFile) -> None:
    # The file's rows pair neighbours: left as they are they belong to the interleaved layout.
    file, ours = theirs(tied=True)
    written = {
        name: array if array.ndim == 1 else dequantize(quantize(array, kind_of(one, array)), kind_of(one, array))
        for name, array in ours.items()
        for one in [next(key for key, other in file.items() if other is array)]
    }
    reference = loaded(architecture(rotary=Rotary(base=5000.0, layout="interleaved")), written)
    tokens = torch.randint(4, SIZE, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = reference(None, tokens)
        assert torch.allclose(loaded(tiny.architecture, tiny.weights)(None, tokens), expected, atol=1e-4)
        wrong = loaded(tiny.architecture, written)(None, tokens)
    assert not torch.allclose(wrong, expected, atol=1e-2)


def test_the_tokenizer_reads_bytes_and_digits_one_by_one(tiny: LlamaFile) -> None:
    tokenizer, ids = tiny.tokenizer, {token: at for at, token in enumerate(vocabulary())}
    assert tokenizer.size == SIZE
    assert tokenizer.encode(["the the 12"]) == [[ids[one] for one in ("th", "e", "Ġthe", "Ġ", "1", "2")]]
    odd = "\ttwo  blanks, größer 日本 <|im_end|> 3\n12"
    [row] = tokenizer.encode([odd])
    assert min(row) >= len(SPECIAL)
    assert b"".join(tokenizer.token_bytes()[one] for one in row) == odd.encode()
    assert tokenizer.decode([[*row, EOS_ID, 5]]) == [odd.strip()]
    assert tokenizer.token_bytes()[: len(SPECIAL)] == [b""] * len(SPECIAL)
    assert Tokenizer(tokenizer.json_text).encode([odd]) == [row]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"llama__rope__scaling__type": "linear"}, "scaling linear"),
        ({"llama__rope__dimension_count": 8}, "got 8 channels"),
        ({"llama__embedding_length": None}, "llama.embedding_length among the metadata"),
        ({"tokenizer__ggml__pre": "qwen2"}, "smollm's digits"),
        ({"tokenizer__ggml__eos_token_id": 0}, "end with 2"),
        ({"llama__block_count": 1}, "tensors of a plain Llama"),
    ],
)
def test_a_file_of_another_form_is_refused(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "odd.gguf", theirs(tied=True)[0], **changed)
    with pytest.raises(UserError, match=words) as caught:
        read_llama(path)
    assert "odd.gguf" in str(caught.value) and "\n" not in str(caught.value)


def test_another_family_a_bias_and_no_file_at_all_are_refused(tmp_path: Path) -> None:
    tensors = theirs(tied=True)[0]
    with pytest.raises(UserError, match="the Llama family"):
        read_llama(write(tmp_path / "a.gguf", tensors, family="gemma"))
    with pytest.raises(UserError, match=r"blk\.0\.attn_q\.bias"):
        read_llama(write(tmp_path / "b.gguf", tensors | {"blk.0.attn_q.bias": np.zeros(WIDTH, dtype=np.float32)}))
    (tmp_path / "c.gguf").write_bytes(b"not a model" * 9)
    for name in ("c.gguf", "missing.gguf"):
        with pytest.raises(UserError, match="expected a GGUF file"):
            read_llama(tmp_path / name)


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UserError, match=r"pip install 'carbon-nas\[pretrained\]'"):
        read_llama(tmp_path / "any.gguf")


# The way from a wheel to a model and a task, with a wheel of our own.

TINY_DESIGN = Design(name="tiny-llama", family="llama", architecture=architecture())


class Shelf(TextReader):
    """Texts without a file."""

    name = "shelf"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        raise AssertionError("nobody asks")

    def read(self, cache_dir: Path) -> TextCorpus:
        return TextCorpus(name="shelf", version="3", sha256="f" * 64, licence="none", texts=self.texts("train"))

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        return TextSplits(train=corpus.texts, valid=self.texts("valid"), test=self.texts("test"))

    def texts(self, part: str) -> tuple[Text, ...]:
        return tuple(Text(f"the {part}  text {at}\nof 12 words", f"{part} {at // 3}") for at in range(9))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    """A wheel in the cache, `tmp_path`, as the real one is, and the text of Shelf."""
    path = write(tmp_path / "tiny.gguf", theirs(tied=True)[0])
    with zipfile.ZipFile(tmp_path / "tiny-1-py3-none-any.whl", "w") as wheel:
        wheel.write(path, "tiny/tiny.gguf")
    content = (tmp_path / "tiny-1-py3-none-any.whl").read_bytes()
    package = replace(
        WHEEL, file_name="tiny-1-py3-none-any.whl", sha256=hashlib.sha256(content).hexdigest(), num_bytes=len(content)
    )
    assert isinstance(package, Package)
    one = Pretrained(
        name="tiny",
        wheel=package,
        member="tiny/tiny.gguf",
        design="tiny-llama",
        paper="none",
        licence="none",
        context=CONTEXT,
    )
    monkeypatch.setattr(nas.pretrained.smollm2, "find_design", {"tiny-llama": TINY_DESIGN}.__getitem__)
    monkeypatch.setattr(nas.pretrained.all_pretrained, "ALL_PRETRAINED", (one,))
    monkeypatch.setattr(nas.pretrained.text, "find_text", lambda name: Shelf())
    return one


TEXT = PretrainedText(block_tokens=40, train_blocks=3, valid_blocks=2, test_blocks=2)


def test_a_wheel_becomes_a_model_that_is_judged_on_text(source: Pretrained, tmp_path: Path) -> None:
    found, task = pretrained_with_task("tiny", TEXT, tmp_path)
    design, sizes, weights = found
    assert (design.name, design.stages, design.architecture) == ("tiny", (), TINY_DESIGN.architecture)
    assert (task.kind, task.counted_tokens, task.describe()["pretrained"]) == ("language_model", 40, "tiny")
    assert sizes == Sizes(source_vocabulary=task.source_vocabulary, target_vocabulary=SIZE, padding=task.padding)
    assert (len(task.train), len(task.valid), len(task.test or ())) == (3, 2, 2)
    output = LanguageModelJudge().output(task, loaded(design.architecture, weights, sizes), task.valid, Recipe())
    assert output.rows == 2 and 1 < output.scores["perplexity"] < float("inf")
    again = EncodedTask.from_context(task.context())
    assert again.tokenizer is not None and again.tokenizer.encode(["the 12"]) == source.read(tmp_path).tokenizer.encode(
        ["the 12"]
    )
    assert pretrained("tiny", tmp_path).design == design


def test_blocks_count_the_words_and_bytes_of_the_text(tiny: LlamaFile) -> None:
    texts = Shelf().texts("train")
    stream = documents(texts, tiny.tokenizer)
    split = nas.pretrained.text.running(stream, 40, tiny.tokenizer)
    assert isinstance(split, RunningTextSplit)
    lines = ["\n" + " ".join(one.text.split()) for one in texts]
    assert int(split.words.sum()) == sum(len(line.split()) for line in lines)
    assert int(split.text_bytes.sum()) == sum(len(line.encode()) for line in lines)
    assert stream.tolist().count(EOS_ID) == 3 and stream[-1] == EOS_ID  # one a group
    assert PAD_ID not in stream
    pieces = tiny.tokenizer.token_bytes()
    assert b"".join(pieces[one] for one in stream).decode() == "".join(lines)


def test_a_file_of_another_design_is_refused(source: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected tiny-llama for 32 tokens"):
        replace(source, context=32).read(tmp_path)


def test_what_does_not_fit_is_told_in_one_line(source: Pretrained, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="block_tokens of at most 64 for tiny, got 65"):
        pretrained_with_task("tiny", replace(TEXT, block_tokens=65), tmp_path)
    with pytest.raises(UserError, match="expected a pretrained model of tiny; got 'gpt5'"):
        pretrained("gpt5", tmp_path)
    for name, value in (("block_tokens", 7), ("train_blocks", 0), ("valid_blocks", 0), ("test_blocks", 0)):
        with pytest.raises(UserError, match=f"expected {name} of"):
            replace(TEXT, **{name: value})  # type: ignore[arg-type]


def test_every_source_is_a_hand_design_of_its_own_name() -> None:
    assert [one.name for one in ALL_PRETRAINED] == ["smollm2-135m"]
    assert find_pretrained("smollm2-135m") is SMOLLM2
    design = nas.pretrained.smollm2.find_design(SMOLLM2.design)
    assert design.size().params == 134_515_008  # 30 layers, 576 wide, the embedding of 49,152 counted once


# The real one. Logits by transformers 5.23.0 from the same file; over five texts of up to 512 tokens the largest difference
# to ours was 1.1e-4, logits lying between -32 and 44.

CLOSE = 1e-3
CAPITAL = "The capital of Germany is"
MIXED = (
    "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller staatlichen Gewalt. "
    "日本語のテキスト, Россия, 1234567 and 3.14159; it's we'll don't!  two  spaces\n\n\tTabs\r\nand so on… 😀"
)
# By text and position: logits by token id.
PINNED: dict[str, dict[int, dict[int, float]]] = {
    CAPITAL: {
        0: {29: 27.35337, 28: 25.5656, 0: 15.65529, 1000: 19.62097, 49151: 5.87088},
        2: {260: 12.94257, 4649: 12.6884, 0: 0.11199, 1000: 2.78025, 49151: -4.59292},
        4: {11452: 15.57197, 34391: 12.1921, 0: -0.25233, 1000: 3.62886, 49151: -11.30902},
    },
    MIXED: {
        0: {29: 29.27197, 28: 27.29351, 0: 16.9359, 1000: 21.64259, 49151: 8.18934},
        50: {10391: 31.72873, 11100: 30.14315, 0: 16.73357, 1000: 18.28977, 49151: 3.83107},
        105: {198: 25.16078, 1116: 24.70107, 0: 18.39376, 1000: 15.90644, 49151: 8.66508},
    },
}


@pytest.fixture(scope="module")
def smollm2() -> LlamaFile:
    if not is_cached(WHEEL, cache_folder()):
        pytest.skip(f"{WHEEL.file_name} is not in the cache, and tests download nothing")
    return SMOLLM2.read(cache_folder())


def test_the_real_tokens_are_those_of_transformers(smollm2: LlamaFile) -> None:
    capital, mixed = smollm2.tokenizer.encode([CAPITAL, MIXED])
    assert capital == [504, 3575, 282, 4521, 314] and len(mixed) == 106
    digest = hashlib.sha256(json.dumps(mixed).encode()).hexdigest()
    assert digest == "a85dc6a068d0c13efd388a5b58e781ffea9c965d68f36eb7966bd3b5b8ee0cf7"


def test_the_real_logits_are_those_of_transformers(smollm2: LlamaFile, one_thread: None) -> None:
    design, sizes, weights = SMOLLM2.model(smollm2)
    model = build(design.architecture, sizes, "meta")
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, assign=True)
    with torch.inference_mode():
        for text, places in PINNED.items():
            [ids] = smollm2.tokenizer.encode([text])
            logits = model.eval()(None, torch.tensor([ids]))[0]
            for position, pinned in places.items():
                for token, value in pinned.items():
                    assert abs(float(logits[position, token]) - value) < CLOSE, (text, position, token)
    assert smollm2.tokenizer.decode([[11452]]) == ["Berlin"]
