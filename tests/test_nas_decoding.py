"""Greedy and beam search against plain searches over prefixes, with a scripted model and with small real ones."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from manual_designs.lite_transformer import lightweight, lite_transformer
from manual_designs.transformer import transformer
from nas.decoding import beam_search, decode_split, greedy
from nas.recipe import Recipe
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit
from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.op import Flow

A, B, C = 4, 5, 6
ALLOWED = (EOS_ID, UNK_ID, A, B, C)
VOCABULARY = 7
Prefix = tuple[int, ...]
LogProbabilities = Callable[[Prefix], Sequence[float]]  # of the next token, by token id


class Scripted:
    """A model that looks up the logits of what it was fed. Its state knows the sentence and the tokens of each row.

    It would love to say <pad> and <s>. `rows` keeps the number of rows of each step.
    """

    def __init__(self, logits: Callable[[int, Prefix], Sequence[float]]) -> None:
        self.logits = logits
        self.rows: list[int] = []

    def start(self, source_bs: Tensor, room: int) -> tuple[Any, Flow]:
        batch = source_bs.shape[0]
        self.rows = []
        fed_br, length_b = torch.zeros(batch, room, dtype=torch.int64), torch.zeros(batch, dtype=torch.int64)
        return (source_bs[:, 0].clone(), fed_br, length_b), Flow(positions_bt=torch.zeros(batch, 1, dtype=torch.int64))

    def step(self, target_bt: Tensor, state: Any, flow: Flow) -> tuple[Tensor, Any, Flow]:
        sentence_b, fed_br, length_b = state
        assert flow.positions_bt is not None and flow.positions_bt.squeeze(1).tolist() == length_b.tolist()
        fed_br[torch.arange(len(fed_br)), length_b] = target_bt[:, 0]
        self.rows.append(len(fed_br))
        out = []
        for sentence, fed, length in zip(sentence_b.tolist(), fed_br.tolist(), (length_b + 1).tolist(), strict=True):
            assert fed[0] == BOS_ID
            out.append(list(self.logits(sentence, tuple(fed[1:length]))))
            out[-1][PAD_ID] = out[-1][BOS_ID] = 50.0
        following = replace(flow, positions_bt=flow.positions_bt + 1)
        return torch.tensor(out)[:, None], (sentence_b, fed_br, length_b + 1), following


def scripted(*tables: dict[Prefix, dict[int, float]]) -> Any:
    """One table of probabilities a sentence, by prefix and next token; what is not told is next to impossible."""

    def logits(sentence: int, prefix: Prefix) -> list[float]:
        chances = tables[sentence].get(prefix, {})
        return [math.log(chances.get(token, 1e-12)) for token in range(VOCABULARY)]

    return Scripted(logits)


def drawn(seed: int) -> Any:
    """Random logits for every sentence and prefix."""

    @cache
    def logits(sentence: int, prefix: Prefix) -> list[float]:
        draw = random.Random(repr((seed, sentence, prefix)))
        return [1.5 * draw.gauss(0, 1) for _ in range(VOCABULARY)]

    return Scripted(logits)


def sentences(count: int) -> Tensor:
    """Sources that only say which sentence they are."""
    return torch.arange(count)[:, None]


def normalised(logits: Sequence[float]) -> list[float]:
    """Log-probabilities of the tokens that may be said, -inf for the others."""
    total = math.log(sum(math.exp(logits[token]) for token in ALLOWED))
    return [logits[token] - total if token in ALLOWED else -math.inf for token in range(VOCABULARY)]


def of_sentence(model: Any, sentence: int) -> LogProbabilities:
    """Log-probabilities that the scripted model means for one sentence."""
    return lambda prefix: normalised(model.logits(sentence, prefix))


def exhaustive(following: LogProbabilities, max_tokens: int, penalty: float) -> list[tuple[float, Prefix]]:
    """Every hypothesis that ends within `max_tokens` tokens, </s> counted, best first."""
    found: list[tuple[float, Prefix]] = []
    open_ones: list[tuple[float, Prefix]] = [(0.0, ())]
    for length in range(1, max_tokens + 1):
        longer = []
        for score, prefix in open_ones:
            chances = following(prefix)
            found.append(((score + chances[EOS_ID]) / length**penalty, prefix))
            longer += [(score + chances[token], (*prefix, token)) for token in ALLOWED if token != EOS_ID]
        open_ones = longer
    return sorted(found, reverse=True)


def plain_beam_search(following: LogProbabilities, beam: int, max_tokens: int, penalty: float) -> list[int]:
    """What `beam_search` says it does, for one sentence, in lists."""
    live: list[tuple[float, Prefix]] = [(0.0, ())]
    best: tuple[float, Prefix] | None = None
    for length in range(1, max_tokens + 1):
        candidates = [(score + following(prefix)[token], (*prefix, token)) for score, prefix in live for token in ALLOWED]
        candidates = sorted(candidates, reverse=True)[:beam]
        for score, tokens in candidates:
            if tokens[-1] == EOS_ID and (best is None or score / length**penalty > best[0]):
                best = (score / length**penalty, tokens[:-1])
        live = [one for one in candidates if one[1][-1] != EOS_ID]
        if not live or (best is not None and max(live)[0] / (length + 1) ** penalty <= best[0]):
            break
    return list((best or max(live))[1])


SIZES = Sizes(source_vocabulary=12, target_vocabulary=VOCABULARY)
ARCHITECTURES = {
    "transformer": transformer(16, feed_forward=16, heads=2, encoder_layers=1, decoder_layers=2, tying="none", placement="pre"),
    "lite_transformer": lite_transformer(
        16, [lightweight(3, 2), lightweight(7, 2)], heads=2, memory_heads=2, tying="none", placement="pre"
    ),
}
SOURCES = torch.tensor([[5, 6, 7, 8, 2], [9, 2, 0, 0, 0], [11, 4, 2, 0, 0], [4, 4, 4, 2, 0], [3, 10, 5, 4, 2], [7, 2, 0, 0, 0]])


def real(name: str) -> Model:
    """A small random model, its weights enlarged so that outputs differ between sources."""
    torch.manual_seed(4)
    model = build(ARCHITECTURES[name], SIZES).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(1.5)
    return model


def of_real(model: Model, source: Tensor) -> LogProbabilities:
    """Log-probabilities by a parallel pass over one sentence without padding."""
    seen: dict[Prefix, list[float]] = {}

    def following(prefix: Prefix) -> list[float]:
        if prefix not in seen:
            with torch.no_grad():
                logits = model(source[source != PAD_ID][None], torch.tensor([[BOS_ID, *prefix]]))
            seen[prefix] = normalised(logits[0, -1].tolist())
        return seen[prefix]

    return following


def rollout(following: LogProbabilities, max_tokens: int) -> list[int]:
    """The likeliest token at each step."""
    tokens: Prefix = ()
    while len(tokens) < max_tokens:
        chances = following(tokens)
        token = max(range(VOCABULARY), key=lambda one: chances[one])
        if token == EOS_ID:
            break
        tokens = (*tokens, token)
    return list(tokens)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_takes_the_likeliest_token_of_the_parallel_pass(name: str) -> None:
    model = real(name)
    expected = [rollout(of_real(model, source), 9) for source in SOURCES]
    assert greedy(model, SOURCES, 9) == expected
    assert len({len(tokens) for tokens in expected}) > 2  # some end early, so that rows leave the batch


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(("beam", "penalty"), [(2, 0.0), (3, 1.0), (9, 1.6)])
def test_beam_search_on_models_equals_a_search_by_parallel_passes(name: str, beam: int, penalty: float) -> None:
    model = real(name)
    expected = [plain_beam_search(of_real(model, source), beam, 7, penalty) for source in SOURCES]
    assert beam_search(model, SOURCES, beam, 7, penalty) == expected
    assert len({tuple(tokens) for tokens in expected}) > 2
    alone = [beam_search(model, source[source != PAD_ID][None], beam, 7, penalty)[0] for source in SOURCES]
    assert alone == expected


@pytest.mark.parametrize("penalty", [-0.5, 0.0, 0.6, 1.0, 1.8])
@pytest.mark.parametrize("beam", [1, 2, 3, 4, 8, 40])
def test_beam_search_equals_the_plain_one(beam: int, penalty: float) -> None:
    for seed in range(3):
        model = drawn(seed)
        expected = [plain_beam_search(of_sentence(model, one), beam, 6, penalty) for one in range(8)]
        assert beam_search(model, sentences(8), beam, 6, penalty) == expected


@pytest.mark.parametrize("penalty", [-0.5, 0.0])
def test_a_beam_that_holds_everything_finds_the_best(penalty: float) -> None:
    model = drawn(11)
    found = beam_search(model, sentences(12), 4**3 * 5, 4, penalty)
    assert found == [list(exhaustive(of_sentence(model, one), 4, penalty)[0][1]) for one in range(12)]
    assert len({len(tokens) for tokens in found}) > 1


@pytest.mark.parametrize("penalty", [0.5, 1.0, 2.0])
def test_under_a_penalty_nothing_up_to_a_token_longer_is_better(penalty: float) -> None:
    model = drawn(12)
    for one, tokens in enumerate(beam_search(model, sentences(12), 4**4 * 5, 5, penalty)):
        longest = min(5, len(tokens) + 2)  # both with </s>
        assert tokens == list(exhaustive(of_sentence(model, one), longest, penalty)[0][1])


def test_a_hypothesis_that_wins_by_ending_at_the_next_token_is_waited_for() -> None:
    # log 0.4 / 1 = -0.92 for the empty one; log 0.3 / 1 = -1.20 live, and -0.61 once it ends.
    model = scripted({(): {EOS_ID: 0.4, A: 0.3, B: 0.3}, (A,): {EOS_ID: 0.99, B: 0.01}, (B,): {C: 1.0}})
    assert beam_search(model, sentences(1), 3, 10, 1.0) == [[A]]
    assert beam_search(model, sentences(1), 3, 10, 0.0) == [[]]


def test_the_penalty_weighs_lengths() -> None:
    chain: dict[Prefix, dict[int, float]] = {
        (): {EOS_ID: 0.5, A: 0.5},
        (A,): {EOS_ID: 0.5, B: 0.5},
        (A, B): {EOS_ID: 0.5, C: 0.5},
        (A, B, C): {EOS_ID: 1.0},
    }
    model = scripted(chain)  # log-probabilities of 1, 2, 3 and 3 times log 0.5 at lengths 1 to 4
    assert beam_search(model, sentences(1), 2, 8, 0.0) == [[]]
    assert beam_search(model, sentences(1), 2, 8, 1.0) == [[A, B, C]]
    assert beam_search(model, sentences(1), 2, 8, 2.0) == [[A, B, C]]


def test_finished_sentences_leave_the_batch() -> None:
    at_once: dict[Prefix, dict[int, float]] = {(): {EOS_ID: 1.0}}
    later: dict[Prefix, dict[int, float]] = {(): {A: 1.0}, (A,): {B: 1.0}, (A, B): {EOS_ID: 1.0}}
    never = {(A,) * length: {A: 1.0} for length in range(9)}
    model = scripted(at_once, never, later, at_once)
    assert beam_search(model, sentences(4), 2, 5, 1.0) == [[], [A] * 5, [A, B], []]
    assert model.rows == [4, 4, 4, 2, 2]  # a row a sentence first, then two beams a live sentence
    assert greedy(model, sentences(4), 5) == [[], [A] * 5, [A, B], []]
    assert model.rows == [4, 2, 2, 1, 1]


def test_a_beam_goes_on_with_others_when_one_ends() -> None:
    tree: dict[Prefix, dict[int, float]] = {
        (): {EOS_ID: 0.05, A: 0.6, B: 0.35},
        (A,): {EOS_ID: 0.2, A: 0.4, C: 0.4},
        (B,): {EOS_ID: 0.9, A: 0.1},
        (A, A): {EOS_ID: 1.0},
        (A, C): {EOS_ID: 1.0},
    }
    # After two tokens B </s> (0.315) and A A (0.24) fill a beam of two; the ended one frees its place.
    assert beam_search(scripted(tree), sentences(1), 2, 6, 0.0) == [[B]]
    assert beam_search(scripted(tree), sentences(1), 2, 6, 1.0)[0] in ([A, A], [A, C])


def test_an_unfinished_hypothesis_counts_only_where_none_has_finished() -> None:
    unlikely: dict[Prefix, dict[int, float]] = {(): {A: 0.98, EOS_ID: 0.02}, (A,): {A: 1.0}, (A, A): {B: 1.0}}
    never: dict[Prefix, dict[int, float]] = {(): {A: 0.6, B: 0.4}, (A,): {A: 0.5, C: 0.5}, (B,): {C: 1.0}, (B, C): {A: 1.0}}
    model = scripted(unlikely, never)
    assert beam_search(model, sentences(2), 2, 3, 1.0) == [[], [B, C, A]]
    # A beam of one never sees the unlikely end.
    assert beam_search(model, sentences(1), 1, 3, 1.0) == [[A, A, B]]


@pytest.mark.parametrize("max_tokens", [1, 2, 5])
def test_nothing_is_longer_than_it_may_be(max_tokens: int) -> None:
    for seed in range(3):
        model = drawn(seed)
        for outputs in (greedy(model, sentences(20), max_tokens), beam_search(model, sentences(20), 3, max_tokens, 1.0)):
            assert max(map(len, outputs)) <= max_tokens and len(model.rows) <= max_tokens
    endless = scripted({(A,) * length: {A: 1.0} for length in range(9)})
    assert greedy(endless, sentences(1), max_tokens) == [[A] * max_tokens]
    assert beam_search(endless, sentences(1), 3, max_tokens, 1.0) == [[A] * max_tokens]


def test_padding_and_the_first_token_are_never_said() -> None:
    model = drawn(3)  # whose highest logits are theirs
    wide = beam_search(model, sentences(40), 60, 5, 1.0)  # wider than the vocabulary: impossible candidates fill up
    for outputs in (greedy(model, sentences(40), 5), beam_search(model, sentences(40), 4, 5, 1.0), wide):
        assert {token for tokens in outputs for token in tokens} == {UNK_ID, A, B, C}


def test_rows_of_a_batch_do_not_matter_to_each_other() -> None:
    model = drawn(4)
    order = torch.tensor([5, 2, 2, 9, 0])
    for beam in (1, 4):
        whole = beam_search(model, sentences(10), beam, 6, 1.0)
        assert beam_search(model, sentences(10)[order], beam, 6, 1.0) == [whole[at] for at in order.tolist()]
        assert [beam_search(model, sentences(10)[at : at + 1], beam, 6, 1.0)[0] for at in range(10)] == whole
    assert greedy(model, sentences(10)[order], 6) == [greedy(model, sentences(10), 6)[at] for at in order.tolist()]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_split_is_decoded_in_its_order(beam: int) -> None:
    rows = [[5, 6, 7, 8], [9], [11, 4], [4, 4, 4], [3, 10, 5, 4], [7], [8, 8], [6, 5, 4, 3, 10, 9]]
    split = EncodedSplit(TokenRows.of(rows), TokenRows.of([[4]] * len(rows)))
    recipe = Recipe(beam=beam, max_output_tokens=6, length_penalty=0.7, decoding_batch_tokens=9)
    model = real("transformer")
    expected = []
    for row in rows:
        source = torch.tensor([[*row, EOS_ID]])
        expected += greedy(model, source, 6) if beam == 1 else beam_search(model, source, beam, 6, 0.7)
    assert decode_split(model, split, recipe) == expected
    assert decode_split(model, split, replace(recipe, decoding_batch_tokens=1000)) == expected
    shortest_first = sorted(range(len(rows)), key=lambda at: len(rows[at]))
    assert expected != [expected[at] for at in shortest_first]
    assert greedy(model, torch.tensor([[*rows[0], EOS_ID]]), 6) != beam_search(
        model, torch.tensor([[*rows[0], EOS_ID]]), 3, 6, 0.7
    )
