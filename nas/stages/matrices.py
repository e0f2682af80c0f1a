"""The weights that pruning and quantisation are about, and how they are trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import nn

from nas.recipe import Recipe
from nas.stages.coded import Sparse
from nas.stages.storage import Stored
from search_spaces.model import Model
from search_spaces.ternary import TernaryLayer, TernaryLinear


def matrices(model: Model) -> dict[str, nn.Parameter]:
    """Every parameter of two or more axes by name, a shared one once: linear layers, embeddings, kernels.

    Not norms and biases, and not the latent weights of ternary layers, of which only the sign and a threshold count.
    """
    ternary = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, TernaryLayer)}
    return {name: one for name, one in model.named_parameters() if one.dim() > 1 and name not in ternary}


def check_not_ternary(stage: str, model: Model) -> None:
    """Raises ValueError where linear layers are ternary."""
    if isinstance(model.architecture.linear, TernaryLinear):
        raise ValueError(f"{stage}: expected ordinary linear layers, got ternary ones; use the stage pack")


def check_not_coded(stage: str, names: Iterable[str], stored: Mapping[str, Stored]) -> None:
    """Raises ValueError where one of the weights is kept as codes already."""
    kinds = {stored[name].kind for name in names if name in stored and not isinstance(stored[name], Sparse)}
    if kinds:
        found = ", ".join(sorted(kinds))
        raise ValueError(f"{stage}: expected weights in floating point, got a quantised model ({found}); put {stage} before that")


def hold(model: Model, stored: Mapping[str, Stored]) -> None:
    """Gives the model what the stored tensors decode to."""
    with torch.no_grad():
        for name, one in stored.items():
            model.get_parameter(name).copy_(one.decode())


def fine_tuning(recipe: Recipe, learning_rate: float) -> Recipe:
    """The recipe from another rate on, which falls to zero as ever. A trained model needs no warm-up."""
    return replace(recipe, peak_learning_rate=learning_rate, warmup_steps=0)
