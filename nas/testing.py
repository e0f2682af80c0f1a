"""A task of a few sentences, a text of a user's own, a design to go with them and the command line, for tests of what trains."""

import importlib.util
import io
import json
import random
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from nas.corpora.corpus import Corpus, Pair, Splits
from nas.recipe import Recipe
from nas.records import Phase, Record
from nas.tasks.encoding import EncodedTask
from nas.tasks.translation import TranslationTask, encode
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

THINGS = {"light": "das Licht", "fan": "den Lüfter", "heater": "die Heizung", "door": "die Tür"}
PLACES = {"kitchen": "in der Küche", "hall": "im Flur", "garden": "im Garten"}
WORDS = ("red", "green", "small", "large", "old", "new", "house", "tree", "dog", "car")
DROPOUT = {"embedding": 0.1, "residual": 0.1, "attention": 0.1, "hidden": 0.1, "kernel": 0.1}
RECIPE = Recipe(warmup_steps=4, batch_tokens=128, beam=2, max_output_tokens=12, dropout=DROPOUT)


def lights() -> EncodedTask:
    """Translation of sentences that turn things on: 12 to train on, 7 to validate with, 9 to test with."""
    splits = Splits(train=_pairs("on", "ein", "a"), valid=_pairs("off", "aus", "b")[:7], test=_pairs("up", "lauter", "c")[:9])
    corpus = Corpus(
        name="lights",
        version="1",
        sha256="0" * 64,
        licence="none",
        source_language="en",
        target_language="de",
        pairs=(*splits.train, *splits.valid, *splits.test),
    )
    return encode(TranslationTask(vocabulary_size=300), corpus, splits)


def _pairs(state: str, word: str, group: str) -> tuple[Pair, ...]:
    return tuple(
        Pair(f"turn {state} the {thing} in the {place}", f"schalte {ding} {ort} jetzt {word}", f"{group}-{thing}-{place}")
        for thing, ding in THINGS.items()
        for place, ort in PLACES.items()
    )


def write_mirrored(folder: Path, num_train: int = 300) -> None:
    """Parallel files in a new folder: words, and the same words backwards in reversed order."""
    folder.mkdir()
    rng = random.Random(0)
    for split, count in (("train", num_train), ("valid", 12), ("test", 11)):
        rows = [[rng.choice(WORDS) for _ in range(rng.randint(3, 5))] for _ in range(count)]
        (folder / f"{split}.en").write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")
        mirrored = (" ".join(word[::-1] for word in reversed(row)) + "\n" for row in rows)
        (folder / f"{split}.de").write_text("".join(mirrored), encoding="utf-8")


def carry_out(*arguments: str) -> tuple[int, str, str]:
    """Exit code of the console script in this process, what it said, and what it said on standard error."""
    from nas import cli

    said, complained, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["carbon-nas", *arguments]
    code = 0
    try:
        with redirect_stdout(said), redirect_stderr(complained):
            cli.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    return code, said.getvalue(), complained.getvalue()


def module_at(path: Path) -> ModuleType:
    """A file of Python outside our packages as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader, f"expected a file of Python, got {path}"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


OWN, MEMORY = Attention(heads=2), Attention(heads=2, memory=1)


def tiny(width: int = 16, inner: int = 16, layers: int = 1, own: Op = OWN, memory: Op = MEMORY) -> Design:
    """A pre-norm Transformer; `own` is the encoder's attention to itself, `memory` the decoder's to the encoder."""

    def stack(*ops: Op) -> Stack:
        layer = Chain(tuple(Residual(op=op, placement="pre") for op in (*ops, FeedForward(inner=inner))))
        return Stack(width=width, layers=(layer,) * layers, final=Norm())

    architecture = Architecture(encoder=stack(own), decoder=stack(OWN, memory))
    return Design(name="tiny", family="transformer", architecture=architecture, paper="none")


def drawn(architecture: Architecture, sizes: Sizes, seed: int = 1) -> Model:
    """A model every parameter of which is random: zeros and ones would hide mistakes."""
    torch.manual_seed(seed)
    model = build(architecture, sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def timeless(record: Record) -> dict[str, Any]:
    """A record without what no seed can fix."""
    phases = tuple(Phase(name=one.name, duration_s=0.0, cpu_s=0.0, tokens=one.tokens) for one in record.phases)
    plain: dict[str, Any] = json.loads(replace(record, phases=phases, energy=None, started_at="", finished_at="").to_json())
    return plain
