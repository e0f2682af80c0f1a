"""Generation by SmolLM2-135M with 25 % and 50 % of its attention layers dropped, beside the whole model, on one CPU thread.

Measured at a context of 2,048 tokens, batch 1: the pass over the prompt (prefill), and the time of one token behind it, with
keys and values cached (decode). The models take turns, prompt by prompt and token by token, and medians count. What a model's
own counts predict, both as a ratio of the whole model's to its own:

- Prefill is bound by work: its time goes with MACs of a pass over the prompt, logits of all tokens included. The count is
  the declared one, in which a causal mask saves nothing; beside it stands the same with half of the attention products,
  which is what remains of them where hidden ones are left out.
- Decode is bound by memory: its time goes with the bytes that a token has to read, every weight once (the tied embedding as
  the output matrix) and the keys and values of all tokens before it, each of them in float32.

Layers are ranked by the Drop stage on training blocks, or given: --ranking 21,25,... are layers, the first to go first.
Quality is the perplexity on test blocks of the Brown corpus. Some ten minutes on a quiet machine.

    python benchmarks/dropped_generation.py --output results/dropped_generation.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manual_designs.all_designs import find_design
from nas.judging import LanguageModelJudge
from nas.machine import describe
from nas.pretrained.all_pretrained import pretrained_with_task
from nas.pretrained.text import PretrainedText
from nas.recipe import Recipe
from nas.stages.work import Subject
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import RunningTextSplit
from search_spaces.architecture import Architecture
from search_spaces.counting import placed, size
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.stage import Drop
from search_spaces.sublayers import Place, sublayers, with_op

SHARES = (0.25, 0.5)
CONTEXT, TOKENS, ROUNDS, CALIBRATION = 2048, 64, 5, 16
QUICK_CONTEXT, QUICK_TOKENS, QUICK_ROUNDS = 32, 3, 2
BYTES = 4  # of a number in float32
WHOLE = "whole"
ENOUGH = 0.9  # of the predicted speed-up


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a model has to do: MACs of the prompt, declared and without what a causal mask hides, and bytes read a token."""

    prefill_macs: int
    prefill_macs_causal: int
    decode_bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Median seconds, and perplexity on held-out text."""

    prefill_s: float
    decode_s: float
    perplexity: float


def counts(architecture: Architecture, sizes: Sizes, prompt: int, context: int) -> Counts:
    """Counts of a prompt, and of a token behind a context, of that many tokens."""
    here = size(architecture, sizes, prompt, prompt)
    cached = sum(cached_numbers(op, site.width) for _, op, site in placed(architecture))
    return Counts(
        prefill_macs=here.macs.total,
        prefill_macs_causal=here.macs.total - here.macs.attention // 2,
        decode_bytes=BYTES * (here.params + cached * context),
    )


def cached_numbers(op: Op, width: int) -> int:
    """Numbers of keys and values that a layer of plain attention holds of one token."""
    if isinstance(op, Chain):
        return sum(cached_numbers(one, width) for one in op.ops)
    if isinstance(op, Residual):
        return cached_numbers(op.op, width)
    return 2 * (op.inner or width) // op.heads * op.groups if isinstance(op, Attention) else 0


def attention_places(architecture: Architecture) -> list[Place]:
    """Sublayers that are attention, from shallow to deep."""
    return [place for place, residual in sublayers(architecture) if isinstance(residual.op, Attention)]


def without(model: Model, places: Sequence[Place]) -> Model:
    """The model without the sublayers at these places. The rest is shared with it, not copied."""
    architecture = model.architecture
    for place, residual in sublayers(architecture):
        if place in places:
            architecture = with_op(architecture, place, residual.dropped())
    smaller = build(architecture, model.sizes, "meta")
    state = model.state_dict()
    smaller.load_state_dict({name: state[name] for name in smaller.state_dict()}, assign=True)
    return smaller.eval()


def ranking_of(model: Model, task: EncodedTask, calibration: int) -> list[Place]:
    """Attention layers from the least important on, as the Drop stage ranks them in one round."""
    from nas.stages.drop import DropWork

    places = {str(place): place for place in attention_places(model.architecture)}
    stage = Drop(count=len(places) - 1, calibration=calibration)
    reworked = DropWork().run(stage, Subject(model=model, task=task, recipe=recipe(task), seed=0))
    return [places[name] for name in reworked.trace[0]["dropped"]]


def recipe(task: EncodedTask) -> Recipe:
    """One block at a time: the logits of one take 0.4 GB."""
    return Recipe(batch_tokens=max(1, task.counted_tokens // 2))


@torch.inference_mode()
def timed(models: Mapping[str, Model], prompt_1t: Tensor, tokens: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of prefill and of one token, by model, the first round not counted."""
    prefills: dict[str, list[float]] = {name: [] for name in models}
    decodes: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds + 1):
        going = {}
        for name, model in models.items():
            state, flow = model.start(prompt_1t, prompt_1t.shape[1] + tokens)
            start = time.perf_counter()
            logits, state, flow = model.step(prompt_1t, state, flow)
            prefills[name].append(time.perf_counter() - start)
            going[name] = logits[:, -1:].argmax(-1), state, flow
            del logits
        for _ in range(tokens):
            for name, model in models.items():
                token, state, flow = going[name]
                start = time.perf_counter()
                logits, state, flow = model.step(token, state, flow)
                decodes[name].append(time.perf_counter() - start)
                going[name] = logits.argmax(-1), state, flow
    return {name: (statistics.median(prefills[name][1:]), statistics.median(decodes[name][tokens:])) for name in models}


def speed_ups(counted: Mapping[str, Counts], measured: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    """Of every smaller model the speed-ups that its counts predict, and those that were measured."""
    whole, found = counted[WHOLE], measured[WHOLE]
    return {
        name: {
            "prefill_predicted": whole.prefill_macs / counted[name].prefill_macs,
            "prefill_predicted_causal": whole.prefill_macs_causal / counted[name].prefill_macs_causal,
            "prefill_measured": found.prefill_s / measured[name].prefill_s,
            "decode_predicted": whole.decode_bytes / counted[name].decode_bytes,
            "decode_measured": found.decode_s / measured[name].decode_s,
        }
        for name in counted
        if name != WHOLE
    }


def report(counted: Mapping[str, Counts], measured: Mapping[str, Measured]) -> str:
    """A paragraph a model, and a verdict for each speed-up."""
    lines = []
    for name, one in measured.items():
        has = counted[name]
        lines.append(
            f"{name}: prefill {one.prefill_s:.3f} s ({has.prefill_macs / 1e9:.3f} G MACs), decode {1e3 * one.decode_s:.2f} ms "
            f"a token ({has.decode_bytes / 1e6:.2f} MB), perplexity {one.perplexity:.2f}"
        )
    for name, found in speed_ups(counted, measured).items():
        for what in ("prefill", "decode"):
            predicted, reached = found[f"{what}_predicted"], found[f"{what}_measured"]
            verdict = "pass" if reached >= ENOUGH * predicted else "FAIL"
            causal = f", {found['prefill_predicted_causal']:.3f} without what is hidden" if what == "prefill" else ""
            lines.append(
                f"{name}: {what} {reached:.3f} times as fast, predicted {predicted:.3f}{causal}; "
                f"measured / predicted {reached / predicted:.2f}, at least {ENOUGH}: {verdict}"
            )
    return "\n".join(lines)


def subject(arguments: argparse.Namespace) -> tuple[Model, EncodedTask]:
    """The model and its text."""
    if arguments.quick:
        return untrained(arguments.context)
    text = PretrainedText(
        block_tokens=arguments.context, train_blocks=arguments.calibration, valid_blocks=1, test_blocks=arguments.test_blocks
    )
    found, task = pretrained_with_task("smollm2-135m", text)
    model = build(found.design.architecture, found.sizes, "meta")
    model.load_state_dict({name: torch.from_numpy(array) for name, array in found.weights.items()}, assign=True)
    return model.eval(), task


def untrained(context: int) -> tuple[Model, EncodedTask]:
    """A small model and four blocks of text without sense."""
    torch.manual_seed(0)
    sizes = Sizes(source_vocabulary=300, target_vocabulary=300)
    stream = np.random.default_rng(0).integers(4, 300, size=4 * context).astype(np.int32)
    blocks, ones = TokenRows.cut(stream, context), np.ones(4, dtype=np.int32)
    split = RunningTextSplit(TokenRows.empty(4), blocks, first=ones, words=ones, text_bytes=ones)
    task = EncodedTask(
        name="noise",
        kind="language_model",
        description={},
        tokenizer=None,
        train=split,
        valid=split,
        test=split,
        counted_tokens=context,
    )
    return build(find_design("llama-xs").architecture, sizes).eval(), task


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens decoded behind it in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calibration", type=int, default=CALIBRATION, help="training blocks that rank layers")
    parser.add_argument("--test-blocks", type=int, default=16, help="blocks that tell the perplexity")
    parser.add_argument("--ranking", default="", help="layers to drop, the first to go first, in place of the Drop stage's")
    parser.add_argument("--output", type=Path, help="a JSON file of all that was measured")
    parser.add_argument("--quick", action="store_true", help="a small random model, to see that all of it works")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.context, arguments.tokens, arguments.rounds = QUICK_CONTEXT, QUICK_TOKENS, QUICK_ROUNDS
    return arguments


def contestants(model: Model, ranking: Sequence[Place]) -> dict[str, Model]:
    """The whole model and the smaller ones by name. Exits where the ranking is too short."""
    total = len(attention_places(model.architecture))
    models = {WHOLE: model}
    for number in (int(share * total + 0.5) for share in SHARES):  # as the Drop stage rounds
        if number > len(ranking):
            raise SystemExit(f"expected {number} layers or more in --ranking, got {len(ranking)}")
        models[f"{number} of {total} attention layers dropped"] = without(model, ranking[:number])
    return models


def main() -> None:
    """Prints what was measured and predicted."""
    arguments = parsed()
    torch.set_num_threads(1)
    model, task = subject(arguments)
    if arguments.ranking:
        places = attention_places(model.architecture)
        ranking = [places[int(layer)] for layer in arguments.ranking.split(",")]
    else:
        ranking = ranking_of(model, task, arguments.calibration)
    models = contestants(model, ranking)
    prompt = torch.from_numpy(task.test.targets.padded(np.zeros(1, dtype=np.int64)))
    seconds = timed(models, prompt, arguments.tokens, arguments.rounds)
    measured, counted = {}, {}
    for name, one in models.items():
        scores = LanguageModelJudge().output(task, one, task.test, recipe(task)).scores
        prefill_s, decode_s = seconds[name]
        measured[name] = Measured(prefill_s=prefill_s, decode_s=decode_s, perplexity=scores["perplexity"])
        counted[name] = counts(one.architecture, one.sizes, prompt.shape[1], prompt.shape[1] + arguments.tokens // 2)
    print(f"Context {prompt.shape[1]}, one thread; dropped, the first to go first: {', '.join(map(str, ranking))}")
    print(report(counted, measured))
    if arguments.output:
        facts = {
            "machine": describe(),
            "text": task.describe(),
            "ranking": [str(place) for place in ranking],
            "counts": {name: asdict(one) for name, one in counted.items()},
            "measured": {name: asdict(one) for name, one in measured.items()},
            "speed_ups": speed_ups(counted, measured),
        }
        arguments.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
