"""Prefill of a prompt with image tokens: a decoder as it is beside the same decoder with PyramidDrop, on one CPU thread.

A Llama-like decoder of width 256 and 16 layers, four stages as published. The prompt is an image and a question of 24 tokens,
so that image tokens are three quarters of it or more. Both take turns in one process, in CPU seconds of the one thread, and
the fastest pass of each counts, so that a busy machine slows both alike. Counted beside the measured ratio: MACs.

    python benchmarks/pyramid_prefill.py
    python benchmarks/pyramid_prefill.py --output results/benchmarks/pyramid_prefill.json
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from manual_designs.llava import STAGES, seeing_llama
from nas.machine import cpu_model
from search_spaces.counting import size
from search_spaces.dropping_tokens import carried, pyramid, token_share
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.picture_ends import ANSWER_ID, PictureEnds

WIDTH, LAYERS, TEXT, ROUNDS, KEEPS = 256, 16, 24, 40, (0.4, 0.5, 0.6)
PATCHES_A_SIDE = (10, 14, 24)
PATCH = 4
SIZES = Sizes(source_vocabulary=500, target_vocabulary=500)


def prefill_s(model: Model, picture: torch.Tensor, prompt: torch.Tensor) -> float:
    """CPU seconds from the inputs to the logits and caches that the first token of an answer is made of."""
    start = time.thread_time()
    model.step(prompt, *model.start(picture, prompt.shape[1] + 1))
    return time.thread_time() - start


def measured(width: int, layers: int, side: int, rounds: int) -> dict[str, Any]:
    """Sizes, times in seconds and ratios of one length of image, by the share that is kept."""
    whole = seeing_llama(width, layers, PictureEnds(height=side * PATCH, width=side * PATCH, patch=PATCH))
    torch.manual_seed(0)
    models = {1.0: build(whole, SIZES).eval()}
    for keep in KEEPS:
        shorter = pyramid(whole, keep, STAGES)
        models[keep] = build(shorter, SIZES).eval()
        models[keep].load_state_dict(carried(models[1.0].state_dict(), whole, shorter))
    picture, prompt = torch.randint(256, (1, (side * PATCH) ** 2)), torch.randint(4, 500, (1, TEXT))
    prompt[0, -1] = ANSWER_ID
    times: dict[float, list[float]] = {keep: [] for keep in models}
    with torch.inference_mode():
        for at in range(rounds + 1):
            for keep, model in models.items():
                seconds = prefill_s(model, picture, prompt)
                if at:  # the first round warms up
                    times[keep].append(seconds)
    image = side * side
    rows = [
        {
            "keep": keep,
            "token_share": token_share(models[keep].architecture, TEXT),
            "macs": size(models[keep].architecture, SIZES, TEXT, TEXT).macs.total,
            "seconds": min(seconds),
        }
        for keep, seconds in times.items()
    ]
    first = rows[0]
    for row in rows:
        row |= {"faster": first["seconds"] / row["seconds"], "fewer_macs": first["macs"] / row["macs"]}
    return {"image_tokens": image, "text_tokens": TEXT, "image_share": image / (image + TEXT), "rows": rows}


def lines(results: Iterable[dict[str, Any]]) -> Iterable[str]:
    """The printed table."""
    yield "| image tokens | of the prompt | keep | tokens over depth | ms | times faster | times fewer MACs |"
    yield "|---|---|---|---|---|---|---|"
    for one in results:
        for row in one["rows"]:
            yield (
                f"| {one['image_tokens']} | {one['image_share']:.0%} | {row['keep']} | {row['token_share']:.3f} "
                f"| {1000 * row['seconds']:.1f} | {row['faster']:.2f} | {row['fewer_macs']:.2f} |"
            )


def main() -> None:
    """Measures, prints, and writes JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    width, layers, rounds = (32, 4, 2) if arguments.quick else (WIDTH, LAYERS, ROUNDS)
    results = [measured(width, layers, side, rounds) for side in PATCHES_A_SIDE[: 1 if arguments.quick else None]]
    print(f"prefill on one thread, {cpu_model()}, width {width}, {layers} layers, {STAGES} stages, best of {rounds}")
    print("\n".join(lines(results)))
    if arguments.output:
        about = {"cpu": cpu_model(), "torch": torch.__version__, "width": width, "layers": layers, "rounds": rounds}
        arguments.output.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
