"""One-shot search: one dictionary of maximal tensors, trained so that every member of a space can use its slices.

Sources: Wang et al. 2020 (HAT) for the shared weights; Yu and Huang 2019 (Universally slimmable networks)
for the sandwich rule, as in BigNAS (Yu et al. 2020). Left out: their in-place distillation.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.errors import UserError
from nas.recipe import Recipe
from nas.tasks.splits import Batch
from nas.training import Learner, batch_loss, set_dropout
from search_spaces.architecture import Architecture
from search_spaces.counting import COUNTED_TOKENS, parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.parameter import shape
from search_spaces.slicing import maximal, sliced
from search_spaces.space import Space

MAX_DRAWS = 1000
CACHED_MODELS = 64


def drawn(space: Space, sizes: Sizes, seed: int) -> dict[str, nn.Parameter]:
    """Maximal tensors of a space by name, each as a largest member draws it that has the whole of it.

    Raises:
        ValueError: no largest member has the whole of a tensor.
    """
    torch.manual_seed(seed)
    wanted = {name: shape(axes) for name, axes in maximal(space.largest(), sizes).items()}
    found: dict[str, nn.Parameter] = {}
    for architecture in space.largest():
        for name, parameter in build(architecture, sizes).named_parameters():
            if parameter.shape == wanted[name]:
                found.setdefault(name, parameter)
    if missing := sorted(set(wanted) - set(found)):
        raise ValueError(f"space {space.name}: expected a largest member with the whole of {missing[0]}, got parts; add one")
    return {name: found[name] for name in wanted}


def extracted(tensors: Mapping[str, Tensor], architecture: Architecture, sizes: Sizes) -> Model:
    """The member of this architecture as a model of its own, with copies of its slices, in evaluation mode.

    Raises:
        ValueError: the tensors are not those of a supernet of its space.
    """
    slices = sliced(tensors, parameters(architecture, sizes))
    model = build(architecture, sizes, device="meta")
    copies = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in slices.items()}
    model.load_state_dict(copies, assign=True)
    return model.eval()


@dataclass(frozen=True, kw_only=True)
class Sandwich:
    """Which members learn from a batch: a largest one, the smallest one, and `num_random` drawn ones within the MAC limit.

    A space may have many largest members, since ops of several kinds have no common largest. They take turns, one a batch:
    all of them at each would be most of the cost, and each tensor of theirs is in drawn members too. MACs are those of
    linear layers and attention products in a pass of `tokens` a side.
    """

    num_random: int = 2
    mac_limit: int | None = None
    tokens: int = COUNTED_TOKENS

    def draw(self, space: Space, sizes: Sizes, rng: random.Random) -> Architecture:
        """A member drawn gene by gene, within the limit.

        Raises:
            UserError: hardly any member is within the limit.
        """
        for _ in range(MAX_DRAWS):
            architecture = space.decode(space.sample(rng))
            if self.mac_limit is None or size(architecture, sizes, self.tokens, self.tokens).macs.paper <= self.mac_limit:
                return architecture
        raise UserError(
            f"expected members of space {space.name} within {self.mac_limit:,} MACs, got none in {MAX_DRAWS} draws; "
            "raise the limit"
        )


class SupernetLearner(Learner):
    """The shared tensors; each member of the sandwich sees the batch and is charged for it.

    Gradients are the mean of the members': the recipe's bound on them means what it does in any training, and Adam does not
    see the difference to their sum.
    """

    def __init__(
        self, space: Space, sizes: Sizes, recipe: Recipe, tensors: dict[str, nn.Parameter], sandwich: Sandwich, seed: int
    ) -> None:
        self._space, self._sizes, self._recipe, self._sandwich, self._seed = space, sizes, recipe, sandwich, seed
        self.tensors = self.parameters = tensors
        self._largest, self._smallest = space.largest(), space.smallest()
        self._module = lru_cache(CACHED_MODELS)(self._build)

    def members(self, step: int) -> list[Architecture]:
        """The sandwich of a step, which depends on nothing but the seed and the step."""
        rng = random.Random(f"{self._seed} {step}")
        drawn = [self._sandwich.draw(self._space, self._sizes, rng) for _ in range(self._sandwich.num_random)]
        return [self._largest[step % len(self._largest)], self._smallest, *drawn]

    def begin(self) -> None:
        """See Learner."""

    def end(self) -> None:
        """See Learner."""

    def learn(self, batch: Batch, step: int) -> tuple[float, int]:
        """See Learner. The loss is the members' mean."""
        members = self.members(step)
        total = 0.0
        for architecture in members:
            loss = self.loss(architecture, batch) / (batch.num_labels * len(members))
            loss.backward()
            total += float(loss.detach())
        return total, batch.budget_tokens * len(members)

    def loss(self, architecture: Architecture, batch: Batch) -> Tensor:
        """Summed loss (nats) of a member over the labels of a batch, in training; gradients reach the shared tensors."""
        slices = sliced(self.tensors, parameters(architecture, self._sizes))
        named = {f"model.{name}": tensor for name, tensor in slices.items()}
        loss: Tensor = functional_call(self._module(architecture), named, (batch,), strict=True)
        return loss

    def _build(self, architecture: Architecture) -> nn.Module:
        model = build(architecture, self._sizes, device="meta")
        set_dropout(model, self._recipe.dropout)
        return _BatchLoss(model, self._recipe).train()


class _BatchLoss(nn.Module):
    """A model with its loss, which can be called with other tensors than its own."""

    def __init__(self, model: Model, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(self, batch: Batch) -> Tensor:
        return batch_loss(self.model, batch, self.recipe.label_smoothing, self.recipe.precision)
