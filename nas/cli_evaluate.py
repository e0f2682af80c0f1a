"""The command `carbon-nas evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli_options import PowerSource, Set, Stages

TASK_HELP = "translation, number_words, summarisation, language_model, masked_text, passage_class, pixels or digit_questions."


def evaluate(
    design: Annotated[str, typer.Argument(help="A design of `carbon-nas designs`, or a pretrained model: smollm2-135m.")],
    task: Annotated[str, typer.Option(help=TASK_HELP)] = "translation",
    tokens: Annotated[int, typer.Option(min=0, help="Tokens to train on; 0 scores the untrained model.")] = 500_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and batches.")] = 0,
    power_source: PowerSource = None,
    overrides: Set = None,
    output: Annotated[Path | None, typer.Option(help="Append the record, or one a step, to this file.")] = None,
    stage: Stages = None,
) -> None:
    """Train and score one design on one task, metered, and print its record's figures.

    With stages, each is carried out on the model that the one before left, and scored. A pretrained model is not trained; its
    task is text in its own tokens.

    Tokens of the budget are target tokens where the design has a decoder, source tokens elsewhere.

    --set takes keys of the task and recipe tables, e.g. task.max_valid_sentences=400 or recipe.peak_learning_rate=1e-3.
    """
    from nas.single import Request, evaluate_one
    from nas.stages.words import parse_stage

    request = Request(
        name=design,
        task=task,
        tokens=tokens,
        seed=seed,
        stages=tuple(map(parse_stage, stage or ())),
        overrides=tuple(overrides or ()),
        power_source=power_source or "auto",
    )
    evaluate_one(request, output)
