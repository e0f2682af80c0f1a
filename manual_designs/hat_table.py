"""The table of HAT's published SubTransformers, `hat.csv`, as values. Standard library only.

Source: the configurations and the README of the authors' repository (Wang et al., ACL 2020, arXiv 2005.14187). Published
sizes leave out embeddings and the output matrix; FLOPs are two a multiply-accumulate, for sentences of `tokens` tokens.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("hat.csv")

# The table's codes for what a decoder layer attends to, and the number of last encoder layers that they stand for.
ATTENDED = {"-1": 1, "1": 2, "2": 3}


@dataclass(frozen=True, kw_only=True)
class SubTransformer:
    """One row: what was searched for, the architecture, and what was published of it.

    `latency` is as printed, with its unit, measured on `device`. Tuples have one entry a layer; `attended` is the number of
    last encoder layers that a decoder layer attends to. `bleu` is tokenised.
    """

    task: str
    device: str
    latency: str
    encoder_width: int
    decoder_width: int
    encoder_ffn: tuple[int, ...]
    decoder_ffn: tuple[int, ...]
    encoder_heads: tuple[int, ...]
    decoder_heads: tuple[int, ...]
    cross_heads: tuple[int, ...]
    attended: tuple[int, ...]
    params_m: float
    flops_g: float
    bleu: float
    sacrebleu: float

    def __post_init__(self) -> None:
        decoder = {len(one) for one in (self.decoder_ffn, self.decoder_heads, self.cross_heads, self.attended)}
        if len(self.encoder_ffn) != len(self.encoder_heads) or len(decoder) != 1:
            raise ValueError(f"{self.name}: expected one entry a layer in every list of a stack")

    @property
    def name(self) -> str:
        """Unique, made of what was searched for."""
        return f"hat-{self.task}-{self.device}-{self.latency}"

    @property
    def tokens(self) -> int:
        """Length of source and of target in the published FLOPs: the mean of the task's sentences."""
        return 23 if self.task.startswith("iwslt") else 30


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split())


def _read() -> tuple[SubTransformer, ...]:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return tuple(
        SubTransformer(
            task=row["task"],
            device=row["device"],
            latency=row["latency"],
            encoder_width=int(row["encoder_width"]),
            decoder_width=int(row["decoder_width"]),
            encoder_ffn=_integers(row["encoder_ffn"]),
            decoder_ffn=_integers(row["decoder_ffn"]),
            encoder_heads=_integers(row["encoder_heads"]),
            decoder_heads=_integers(row["decoder_heads"]),
            cross_heads=_integers(row["cross_heads"]),
            attended=tuple(ATTENDED[one] for one in row["cross_attends"].split()),
            params_m=float(row["params_m"]),
            flops_g=float(row["flops_g"]),
            bleu=float(row["bleu"]),
            sacrebleu=float(row["sacrebleu"]),
        )
        for row in rows
    )


SUB_TRANSFORMERS: tuple[SubTransformer, ...] = _read()
