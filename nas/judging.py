"""How each kind of task is judged: which architectures fit it, what a model puts out, and the scores of that.

Output is what a model is used for: translations decoded, text scored, classes told. It is metered as inference.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

from nas.decoding import answer_split, decode_split
from nas.losses import losses_by_row, summed_loss, told_labels
from nas.outputs import Made, Output
from nas.recipe import Recipe
from nas.scoring import bits_per_character, score
from nas.summary_scoring import rouge
from nas.tasks.encoding import EncodedTask
from nas.tasks.references import XZ, compressed_nats, copy_source, first_sentence, nearest_neighbour
from nas.tasks.splits import EncodedSplit, PictureSplit, RunningTextSplit
from nas.units import perplexity
from search_spaces.architecture import Architecture
from search_spaces.ends import ClassifierEnds, TokenEnds
from search_spaces.model import Model
from search_spaces.patch_ends import PatchEnds
from search_spaces.picture_ends import PictureEnds


class Judge(ABC):
    """One kind of task. Without state.

    `references` are what needs no model, by name: the marks that a model has to pass before its score means anything.
    """

    kind: str
    shape: str
    references: Mapping[str, Callable[[EncodedTask, EncodedSplit], Output]] = {}

    def fitted(self, architecture: Architecture) -> Architecture:
        """The architecture with the ends that the task needs.

        Raises:
            ValueError: the architecture has another shape than the task.
        """
        if architecture.shape != self.shape:
            raise ValueError(f"expected an architecture that is {self.shape}, got one that is {architecture.shape}")
        return architecture

    def losses(self, model: Model, split: EncodedSplit, recipe: Recipe) -> Mapping[str, float]:
        """What a teacher-forced pass tells beyond the output's scores, none where the output tells all."""
        return {}

    @abstractmethod
    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """What the model makes of a split: what it is used for, and what is metered as inference."""

    @abstractmethod
    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """The scores of it, for which nobody who uses a model pays."""

    def output(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Output:
        """What the model makes of a split, with its scores."""
        return self.scored(self.made(task, model, split, recipe), split)


def _decoded(task: EncodedTask, rows: Sequence[Sequence[int]]) -> Made:
    """Texts of rows of tokens."""
    return Made(content=task.decode(rows), tokens=sum(map(len, rows)), rows=len(rows))


def _translated(texts: Sequence[str], split: EncodedSplit, tokens: int) -> Output:
    """Translations with their scores."""
    scored = score(texts, split.references)
    return Output(
        scores={"bleu": scored.bleu, "chrf": scored.chrf},
        tokens=tokens,
        rows=len(split),
        signatures=scored.signatures,
        sentence_counts={"bleu": scored.bleu_rows, "chrf": scored.chrf_rows},
    )


class TranslationJudge(Judge):
    """BLEU and chrF of decoded translations, bits per character of references."""

    kind, shape = "translation", "encoder-decoder"
    references = {
        "copy": lambda task, split: _translated(copy_source(task, split), split, 0),
        "nearest_neighbour": lambda task, split: _translated(nearest_neighbour(task, split), split, 0),
    }

    def losses(self, model: Model, split: EncodedSplit, recipe: Recipe) -> Mapping[str, float]:
        """Loss (nats a token) and bits_per_character."""
        nats = summed_loss(model, split, recipe)
        bits = bits_per_character(nats, split.num_reference_characters)
        return {"loss": nats / split.num_target_tokens, "bits_per_character": bits}

    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """See Judge."""
        return _decoded(task, decode_split(model, split, recipe))

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge."""
        return _translated(made.content, split, made.tokens)


def _summarised(texts: Sequence[str], split: EncodedSplit, tokens: int) -> Output:
    """Summaries with their scores."""
    found = rouge(texts, split.references)
    signature = f"ROUGE F1, lower case, letters and digits of any script, no stemming, torchmetrics {version('torchmetrics')}"
    return Output(
        scores=found.scores, tokens=tokens, rows=len(split), signatures={"rouge": signature}, sentence_counts=found.rows
    )


class SummarisationJudge(TranslationJudge):
    """ROUGE of decoded summaries, bits per character of references."""

    kind = "summarisation"
    references = {
        "first_sentence": lambda task, split: _summarised(first_sentence(task, split), split, 0),
        "nearest_neighbour": lambda task, split: _summarised(nearest_neighbour(task, split), split, 0),
    }

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge."""
        return _summarised(made.content, split, made.tokens)


class LanguageModelJudge(Judge):
    """Perplexity per token and per word, bits per byte, of text scored block by block.

    The log-likelihood of a byte in bits is bits per byte with the sign turned: of all that decides, more is better.
    """

    kind, shape = "language_model", "decoder-only"
    references = {"xz": lambda task, split: _likelihood(compressed_nats(task, _running(split)), _running(split), XZ)}

    def fitted(self, architecture: Architecture) -> Architecture:
        """See Judge."""
        architecture = super().fitted(architecture)
        if isinstance(architecture.ends, PictureEnds):
            raise ValueError("expected ends of a text alone, got PictureEnds")
        return architecture

    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """See Judge: nats of each row."""
        nats_by_row = losses_by_row(model, split, recipe)
        return Made(content=nats_by_row, tokens=split.num_target_tokens, rows=len(split))

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge. Words and bytes leave the ends of texts out, the loss pays for them."""
        text, nats_by_row = _running(split), made.content
        nats, tokens = math.fsum(nats_by_row), made.tokens
        likelihood = _likelihood(nats, text, {})
        scores = {
            "loss": nats / tokens,
            "perplexity": perplexity(nats, tokens),
            "perplexity_per_word": perplexity(nats, int(text.words.sum())),
        }
        counts = tuple((round(1e6 * one), size) for one, size in zip(nats_by_row, text.text_bytes.tolist(), strict=True))
        return replace(
            likelihood, scores=scores | dict(likelihood.scores), tokens=tokens, sentence_counts={"log_likelihood": counts}
        )


def _running(split: EncodedSplit) -> RunningTextSplit:
    assert isinstance(split, RunningTextSplit)
    return split


def _likelihood(nats: float, split: RunningTextSplit, signatures: Mapping[str, str]) -> Output:
    """What a text of so many nats in all scores by byte."""
    bits = nats / math.log(2) / int(split.text_bytes.sum())
    scores = {"bits_per_byte": bits, "log_likelihood": -bits}
    return Output(scores=scores, tokens=0, rows=len(split), signatures=signatures)


class MaskedTextJudge(Judge):
    """Perplexity over masked tokens, and the share of them that the model tells first."""

    kind, shape = "masked_text", "encoder-only"

    def fitted(self, architecture: Architecture) -> Architecture:
        """See Judge."""
        architecture = super().fitted(architecture)
        if isinstance(architecture.ends, ClassifierEnds | PatchEnds):
            raise ValueError(f"expected ends that tell every token, got {type(architecture.ends).__name__}")
        return architecture

    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """See Judge."""
        return Made(content=told_labels(model, split, recipe), tokens=len(split.sources.tokens), rows=len(split))

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge."""
        loss, accuracy, _ = made.content
        scores = {"loss": loss, "perplexity": perplexity(loss), "accuracy": accuracy}
        return Output(scores=scores, tokens=made.tokens, rows=made.rows)


class ClassificationJudge(Judge):
    """Share of rows whose class the model tells, in per cent."""

    kind, shape = "classification", "encoder-only"

    def fitted(self, architecture: Architecture) -> Architecture:
        """A classifier takes the place of an output vocabulary; the rest of the ends stays."""
        architecture = super().fitted(architecture)
        if isinstance(architecture.ends, TokenEnds):
            return replace(architecture, ends=ClassifierEnds(scaled=architecture.ends.scaled))
        if not isinstance(architecture.ends, ClassifierEnds | PatchEnds):
            raise ValueError(f"expected ends of tokens, classes or patches, got {type(architecture.ends).__name__}")
        return architecture

    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """See Judge."""
        return Made(content=told_labels(model, split, recipe), tokens=len(split.sources.tokens), rows=len(split))

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge. The counts of a row are 1 where its class was told."""
        loss, accuracy, right = made.content
        return Output(
            scores={"loss": loss, "accuracy": accuracy},
            tokens=made.tokens,
            rows=made.rows,
            sentence_counts={"accuracy": tuple((one,) for one in right)},
        )


class PictureQuestionJudge(Judge):
    """Share of questions about pictures that are answered exactly, in per cent."""

    kind, shape = "picture_questions", "decoder-only"

    def fitted(self, architecture: Architecture) -> Architecture:
        """See Judge."""
        architecture = super().fitted(architecture)
        if not isinstance(architecture.ends, PictureEnds):
            raise ValueError(f"expected ends of a picture before a text, got {type(architecture.ends).__name__}")
        return architecture

    def losses(self, model: Model, split: EncodedSplit, recipe: Recipe) -> Mapping[str, float]:
        """Loss in nats a token of the answers."""
        return {"loss": summed_loss(model, split, recipe) / split.num_target_tokens}

    def made(self, task: EncodedTask, model: Model, split: EncodedSplit, recipe: Recipe) -> Made:
        """See Judge."""
        assert isinstance(split, PictureSplit)
        return _decoded(task, answer_split(model, split, recipe))

    def scored(self, made: Made, split: EncodedSplit) -> Output:
        """See Judge. The counts of a row are 1 where its answer is right to the letter."""
        right = [int(found == answer) for found, answer in zip(made.content, split.references, strict=True)]
        return Output(
            scores={"accuracy": 100 * sum(right) / len(right)},
            tokens=made.tokens,
            rows=made.rows,
            sentence_counts={"accuracy": tuple((one,) for one in right)},
        )


ALL_JUDGES: tuple[Judge, ...] = (
    TranslationJudge(),
    SummarisationJudge(),
    LanguageModelJudge(),
    MaskedTextJudge(),
    ClassificationJudge(),
    PictureQuestionJudge(),
)


def judge_of(kind: str) -> Judge:
    """The judge of a kind of task. Raises KeyError where there is none."""
    for one in ALL_JUDGES:
        if one.kind == kind:
            return one
    raise KeyError(f"expected a kind of task of {', '.join(one.kind for one in ALL_JUDGES)}; got {kind!r}")
