"""Byte-pair encoding of both languages with one vocabulary. Travels between processes as its JSON text."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken
from tokenizers import Tokenizer as BpeTokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as Splits
from tokenizers.trainers import BpeTrainer

from nas.errors import UserError

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
MASK_ID = UNK_ID  # every byte is a token, so that <unk> stands in no text and is free to mask one
ANSWER_ID = UNK_ID  # or to say that an answer follows
MIN_VOCABULARY_SIZE = len(SPECIAL_TOKENS) + 256  # every byte is a token, so that no text is unknown


class Tokenizer:
    """Text to token ids and back. Byte-level: any text returns unchanged up to white space at its ends."""

    def __init__(self, json_text: str) -> None:
        self.json_text = json_text
        self._bpe = BpeTokenizer.from_str(json_text)
        self._bpe.encode_special_tokens = True  # "</s>" written in a text is text

    @property
    def size(self) -> int:
        """Number of tokens, special ones included."""
        return self._bpe.get_vocab_size()

    @property
    def sha256(self) -> str:
        """Hash of the JSON text: vocabulary, merges and settings."""
        return hashlib.sha256(self.json_text.encode()).hexdigest()

    def token_bytes(self) -> list[bytes]:
        """The bytes of each token by its id; none for special tokens."""
        alphabet = {sign: byte for byte, sign in _byte_signs().items()}
        names = {at: name for name, at in self._bpe.get_vocab(with_added_tokens=True).items()}
        special = {at for at, token in self._bpe.get_added_tokens_decoder().items() if token.special}
        return [b"" if at in special else bytes(alphabet[sign] for sign in name) for at, name in sorted(names.items())]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without <s> and </s>."""
        return [encoding.ids for encoding in self._bpe.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """The text of each row of ids, up to its first </s> if there is one."""
        cut = [[int(token) for token in row] for row in rows]
        cut = [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in cut]
        return [text.strip() for text in self._bpe.decode_batch(cut, skip_special_tokens=True)]


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A tokenizer trained on `texts`. Equal texts in equal order give equal JSON.

    Small corpora may not have enough distinct pairs to fill the vocabulary; `size` tells what was reached.
    """
    if vocabulary_size < MIN_VOCABULARY_SIZE:
        raise UserError(
            f"expected a vocabulary_size of {MIN_VOCABULARY_SIZE} or more (256 bytes and 4 special tokens), "
            f"got {vocabulary_size}; 2000 suits a small corpus"
        )
    bpe = BpeTokenizer(BPE(unk_token=SPECIAL_TOKENS[UNK_ID]))
    bpe.pre_tokenizer = ByteLevel(add_prefix_space=True)
    bpe.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return Tokenizer(_canonical(bpe))


def pretrained_tokenizer(tokens: Sequence[str], merges: Sequence[str], special: Sequence[int]) -> Tokenizer:
    """The tokenizer of a model that was trained elsewhere: byte-level, every digit by itself, no blank put before a text.

    Its ids are kept, so <pad>, <s> and </s> are whatever has the first three.

    Args:
        tokens: by id, in the signs of byte-level encoding.
        merges: pairs with a blank between, the most frequent first.
        special: ids of tokens that no text becomes.
    """
    pairs = [(left, right) for left, _, right in (one.partition(" ") for one in merges)]
    bpe = BpeTokenizer(BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=pairs))
    bpe.pre_tokenizer = Splits([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    bpe.decoder = ByteLevelDecoder()
    bpe.add_special_tokens([AddedToken(tokens[at], normalized=False, special=True) for at in special])
    return Tokenizer(_canonical(bpe))


def _canonical(bpe: BpeTokenizer) -> str:
    return json.dumps(json.loads(bpe.to_str()), separators=(",", ":"), ensure_ascii=False)


def _byte_signs() -> dict[int, str]:
    """The sign that byte-level encoding writes for each byte: itself where it is printable, else one from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}
