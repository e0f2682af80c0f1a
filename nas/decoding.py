"""Greedy and beam search with decoding states. Letters: B sentences, K beams, R = live rows (sentences x beams)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from nas.recipe import Recipe
from nas.tasks.batches import decoding_batches, evaluation_batches, in_row_order
from nas.tasks.splits import EncodedSplit, PictureSplit
from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID
from search_spaces.model import Model
from search_spaces.op import select_rows


@dataclass(frozen=True)
class _Finished:
    """The best finished hypothesis of each sentence so far."""

    scores: list[float]
    tokens: list[list[int]]

    def offer(self, sentence: int, score: float, tokens: list[int]) -> None:
        """Keeps the hypothesis if it is the best of its sentence."""
        if score > self.scores[sentence]:
            self.scores[sentence], self.tokens[sentence] = score, tokens


@torch.inference_mode()
def greedy(model: Model, source_bs: Tensor, max_tokens: int, prompt_bt: Tensor | None = None) -> list[list[int]]:
    """The most probable next token at each step, ids without <s> and </s>; finished sentences leave the batch.

    A prompt, <pad> on its right, takes the place of <s>.
    """
    tokens = torch.full((source_bs.shape[0], 1), BOS_ID) if prompt_bt is None else prompt_bt
    state, flow = model.start(source_bs, tokens.shape[1] - 1 + max_tokens)
    alive = list(range(source_bs.shape[0]))
    outputs: list[list[int]] = [[] for _ in alive]
    for _ in range(max_tokens):
        logits, state, flow = model.step(tokens, state, flow)
        last = (tokens != PAD_ID).sum(1) - 1
        chosen = _allowed(logits[torch.arange(len(tokens)), last]).argmax(-1)
        for sentence, token in zip(alive, chosen.tolist(), strict=True):
            if token != EOS_ID:
                outputs[sentence].append(token)
        going = (chosen != EOS_ID).nonzero().squeeze(1)
        if not len(going):
            break
        if len(going) < len(alive):
            alive = [alive[row] for row in going.tolist()]
            state, flow, chosen = select_rows(state, going), flow.rows(going), chosen[going]
        tokens = chosen[:, None]
    return outputs


@torch.inference_mode()
def beam_search(model: Model, source_bs: Tensor, beam: int, max_tokens: int, length_penalty: float) -> list[list[int]]:
    """The best of the hypotheses that a beam finishes, scored by log-probability / length ** length_penalty.

    The length counts </s>. A sentence is done when no live hypothesis would beat its best finished one by ending for certain
    at the next token. This is exact for penalties up to 0; under a positive one it may miss what would have won two or more
    tokens later. A hypothesis that reaches `max_tokens` unfinished counts only where a sentence has finished none.
    Ids without <s> and </s>.
    """
    batch = source_bs.shape[0]
    state, flow = model.start(source_bs, max_tokens)
    logits, state, flow = model.step(torch.full((batch, 1), BOS_ID), state, flow)
    finished = _Finished([float("-inf")] * batch, [[] for _ in range(batch)])
    alive = list(range(batch))
    # The first step has one row a sentence; it becomes the rows of all its beams.
    scores_bk, tokens_bk = _best(_allowed(logits[:, -1]).log_softmax(-1), beam)
    rows = torch.arange(batch).repeat_interleave(beam)
    state, flow = select_rows(state, rows), flow.rows(rows)
    prefixes = tokens_bk.reshape(-1, 1)
    for length in range(1, max_tokens + 1):
        ended = prefixes[:, -1].view(-1, beam) == EOS_ID
        for position, slot in ended.nonzero().tolist():
            score = float(scores_bk[position, slot]) / length**length_penalty
            finished.offer(alive[position], score, prefixes[position * beam + slot, :-1].tolist())
        scores_bk = scores_bk.masked_fill(ended, float("-inf"))
        best = scores_bk.max(1).values / (length + 1) ** length_penalty
        keep = [at for at, score in enumerate(best.tolist()) if score > finished.scores[alive[at]]]
        if not keep or length == max_tokens:
            _offer_unfinished(finished, alive, keep, prefixes, scores_bk, beam)
            break
        kept = torch.tensor(keep)
        alive, scores_bk = [alive[at] for at in keep], scores_bk[kept]
        live_rows = (kept[:, None] * beam + torch.arange(beam)).flatten()
        if len(live_rows) < len(prefixes):
            state, flow, prefixes = select_rows(state, live_rows), flow.rows(live_rows), prefixes[live_rows]
        logits, state, flow = model.step(prefixes[:, -1:], state, flow)
        steps = _allowed(logits[:, -1]).log_softmax(-1).view(len(alive), beam, -1)
        scores_bk, flat = _best((scores_bk[..., None] + steps).flatten(1), beam)
        origin = (torch.arange(len(alive))[:, None] * beam + flat // steps.shape[-1]).flatten()
        state, flow = select_rows(state, origin), flow.rows(origin)
        prefixes = torch.cat([prefixes[origin], (flat % steps.shape[-1]).reshape(-1, 1)], dim=1)
    return finished.tokens


def _best(scores_bc: Tensor, beam: int) -> tuple[Tensor, Tensor]:
    """Scores and indices (B, K) of the best of C candidates; where there are fewer than K, impossible ones fill up."""
    scores_bk, index_bk = scores_bc.topk(min(beam, scores_bc.shape[1]), dim=-1)
    missing = (0, beam - scores_bk.shape[1])
    return pad(scores_bk, missing, value=float("-inf")), pad(index_bk, missing)


def _offer_unfinished(
    finished: _Finished, alive: Sequence[int], keep: Sequence[int], prefixes: Tensor, scores_bk: Tensor, beam: int
) -> None:
    for at in keep:
        if finished.scores[alive[at]] == float("-inf"):
            slot = int(scores_bk[at].argmax())
            finished.offer(alive[at], float(scores_bk[at, slot]), prefixes[at * beam + slot].tolist())


def _allowed(logits: Tensor) -> Tensor:
    """float32 logits without the tokens that no output may contain."""
    logits = logits.float()
    logits[:, [PAD_ID, BOS_ID]] = float("-inf")
    return logits


def decode_split(model: Model, split: EncodedSplit, recipe: Recipe) -> list[list[int]]:
    """One hypothesis a sentence, in the split's order; greedy where the beam is 1."""
    rows, outputs = [], []
    for at, source in decoding_batches(split, recipe.decoding_batch_tokens):
        sources = torch.from_numpy(source)
        rows.append(at)
        if recipe.beam == 1:
            outputs.append(greedy(model, sources, recipe.max_output_tokens))
        else:
            outputs.append(beam_search(model, sources, recipe.beam, recipe.max_output_tokens, recipe.length_penalty))
    return in_row_order(rows, outputs)


def answer_split(model: Model, split: PictureSplit, recipe: Recipe) -> list[list[int]]:
    """The greedy answer to the last question of each row, in the split's order."""
    rows, outputs = [], []
    for at, _ in evaluation_batches(split, recipe.decoding_batch_tokens):
        pictures, prompts = torch.from_numpy(split.pictures(at)), torch.from_numpy(split.prompts(at))
        rows.append(at)
        outputs.append(greedy(model, pictures, recipe.max_output_tokens, prompts))
    return in_row_order(rows, outputs)
