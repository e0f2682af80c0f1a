"""What bfloat16 brings to training beside float32, design by design, side by side on one thread.

Steps of hand designs on the default corpus as in the study of translation (2,000 BPE tokens, batches of 1,024), both precisions
in turn on the same batches, so that a busy machine slows both. Where the processor has no bfloat16 products, torch works them
out.

    python benchmarks/precision.py
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

from manual_designs.all_designs import find_design
from nas.corpora.fetch import cache_folder
from nas.evaluation import sizes_of
from nas.machine import cpu_model, supports_bf16
from nas.recipe import Precision, Recipe
from nas.tasks.batches import training_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import Batch
from nas.tasks.translation import TranslationTask
from nas.training import batch_loss
from search_spaces.model import build

DESIGNS = ("lite_transformer-xs", "lite_transformer-s", "lite_transformer-m", "lite_transformer-l", "transformer-mac18m")
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


class Contestant:
    """A model that is trained in one precision, and the seconds that its steps took."""

    def __init__(self, design: str, task: EncodedTask, precision: Precision) -> None:
        torch.manual_seed(0)
        self.model = build(find_design(design).architecture, sizes_of(task)).train()
        self.precision, self.seconds = precision, 0.0
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, betas=(0.9, 0.98), fused=True)

    def step(self, batch: Batch) -> float:
        """Loss, gradients, Adam; the seconds that it took."""
        start = time.perf_counter()
        (batch_loss(self.model, batch, 0.1, self.precision) / batch.num_labels).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start


def speeds(design: str, task: EncodedTask, warm: int, steps: int) -> dict[Precision, float]:
    """Target tokens a second in each precision; the first steps warm up."""
    batches = training_batches(task.train, Recipe().batch_tokens, np.random.default_rng(0))
    contestants, tokens = [Contestant(design, task, one) for one in PRECISIONS], 0
    for at in range(warm + steps):
        batch = next(batches)
        taken = [one.step(batch) for one in contestants]
        if at >= warm:
            tokens += batch.budget_tokens
            for one, seconds in zip(contestants, taken, strict=True):
                one.seconds += seconds
    return {one.precision: tokens / one.seconds for one in contestants}


def main() -> None:
    """Prints speeds and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps that count, of each design and precision")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = TranslationTask(vocabulary_size=2000).prepare(cache_folder())
    print(f"{cpu_model()} {'with' if supports_bf16() else 'without'} bf16, one thread; torch {torch.__version__}")
    print(f"{'design':22} {'float32':>10} {'bfloat16':>10}  target tokens a second; ratio")
    for design in DESIGNS:
        found = speeds(design, task, 20, arguments.steps)
        ratio = found["bfloat16"] / found["float32"]
        print(f"{design:22} {found['float32']:10,.0f} {found['bfloat16']:10,.0f}  {ratio:.2f}")


if __name__ == "__main__":
    main()
