"""Target tokens per second of training, ours against torch.nn.Transformer in float32, side by side.

Width 128, feed-forward 256, 4 + 4 layers, 4 heads, 8,000 joint entries, on the default corpus. Two processes with one
thread each train at the same time, as the workers of a run do; their speeds are added. The two contestants take turns in
the same processes, so that a busy machine slows both.

    python benchmarks/training_speed.py
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from manual_designs.transformer import transformer
from nas.corpora.fetch import cache_folder
from nas.recipe import Recipe
from nas.tasks.batches import training_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import IGNORED, Batch
from nas.tasks.translation import TranslationTask
from nas.training import batch_loss
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.positions import Sinusoidal

WIDTH, INNER, LAYERS, HEADS, VOCABULARY = 128, 256, 4, 4, 8000


class Plain(nn.Module):
    """torch.nn.Transformer with tied embeddings, as its documentation puts it together."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.transformer = nn.Transformer(WIDTH, HEADS, LAYERS, LAYERS, INNER, 0.0, batch_first=True, norm_first=True)

    def embed(self, tokens_bt: Tensor) -> Tensor:
        """(B, T) to (B, T, W)."""
        positions = torch.arange(tokens_bt.shape[1]).expand(tokens_bt.shape)
        return self.embedding(tokens_bt) * WIDTH**0.5 + Sinusoidal().build(WIDTH)(positions)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits (B, T, V)."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.bool)
        hidden = self.transformer(
            self.embed(source),
            self.embed(target),
            tgt_mask=mask,
            src_key_padding_mask=source == 0,
            memory_key_padding_mask=source == 0,
            tgt_is_causal=True,
        )
        return hidden @ self.embedding.weight.T


def plain_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean label-smoothed cross-entropy by torch's own loss."""
    source, target_in, target_out = (torch.from_numpy(one) for one in batch[:3])
    logits = model(source, target_in)
    return nn.functional.cross_entropy(logits.flatten(0, 1), target_out.flatten(), ignore_index=IGNORED, label_smoothing=0.1)


def turn(step: Callable[[Batch], None], batches: Iterator[Batch], num_batches: int) -> tuple[int, float]:
    """Target tokens and seconds of some steps."""
    taken = [next(batches) for _ in range(num_batches)]
    start = time.perf_counter()
    for batch in taken:
        step(batch)
    return sum(batch.budget_tokens for batch in taken), time.perf_counter() - start


def stepper(model: nn.Module, loss_of: Callable[[Batch], Tensor], fused: bool) -> Callable[[Batch], None]:
    """One training step: loss, gradients, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=fused)

    def step(batch: Batch) -> None:
        loss_of(batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def contest(context: dict, seed: int, turns: int, num_batches: int, barrier: object, results: object) -> None:
    """One process: both contestants in turn, every turn begun together with the other process."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = EncodedTask.from_context(context)
    batches = training_batches(task.train, Recipe().batch_tokens, np.random.default_rng(seed))
    sizes = Sizes(source_vocabulary=VOCABULARY, target_vocabulary=VOCABULARY)
    ours = build(transformer(WIDTH, feed_forward=INNER, heads=HEADS, encoder_layers=LAYERS, decoder_layers=LAYERS), sizes)
    plain = Plain()
    steps = {
        "ours": stepper(ours, lambda batch: batch_loss(ours, batch, 0.1, "auto") / batch.num_labels, fused=True),
        "torch.nn.Transformer": stepper(plain, lambda batch: plain_loss(plain, batch), fused=False),
    }
    totals = {name: [0, 0.0] for name in steps}
    for at in range(turns + 1):
        for name, step in steps.items():
            barrier.wait()  # type: ignore[attr-defined]
            tokens, seconds = turn(step, batches, num_batches)
            if at:  # the first turn warms up
                totals[name][0] += tokens
                totals[name][1] += seconds
    results.put({name: tokens / seconds for name, (tokens, seconds) in totals.items()})  # type: ignore[attr-defined]


def main() -> None:
    """Prints both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--batches", type=int, default=40, help="batches a turn")
    arguments = parser.parse_args()
    task = TranslationTask(vocabulary_size=VOCABULARY).prepare(cache_folder())
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(arguments.processes), spawn.Queue()
    given = (task.context(), arguments.turns, arguments.batches)
    workers = [
        spawn.Process(target=contest, args=(given[0], seed, given[1], given[2], barrier, results))
        for seed in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    speeds = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    total = {name: sum(one[name] for one in speeds) for name in speeds[0]}
    for name, speed in total.items():
        print(f"{name}: {speed:,.0f} target tokens/s on {arguments.processes} cores together")
    print(f"ratio: {total['ours'] / total['torch.nn.Transformer']:.2f}")


if __name__ == "__main__":
    main()
