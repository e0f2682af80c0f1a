"""Vocabulary projection and label-smoothed cross-entropy as one step, without keeping logits for the backward pass."""

from typing import Any

import torch
from torch import Tensor


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Forward makes the gradients too: they need the same softmax, and a second pass over the logits costs as much."""

    @staticmethod
    def forward(ctx: Any, hidden_nw: Tensor, weight_vw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else hidden_nw.dtype
        with torch.autocast("cpu", enabled=False):
            hidden, weight = hidden_nw.to(dtype), weight_vw.to(dtype)
            logits = (hidden @ weight.T).float()
            mean = logits.mean(1)
            chosen = logits.gather(1, labels_n[:, None]).squeeze(1)
            normaliser = logits.logsumexp(1)
            loss = (normaliser - (1 - smoothing) * chosen - smoothing * mean).sum()
            gradient = logits.sub_(normaliser[:, None]).exp_().sub_(smoothing / weight.shape[0])
            gradient.scatter_add_(1, labels_n[:, None], gradient.new_full((len(labels_n), 1), smoothing - 1))
            gradient = gradient.to(dtype)
            ctx.save_for_backward((gradient @ weight).to(hidden_nw.dtype), (gradient.T @ hidden).to(weight_vw.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (scale,) = gradients
        hidden, weight = ctx.saved_tensors
        return hidden * scale, weight * scale, None, None


def projected_cross_entropy(hidden_nw: Tensor, weight_vw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
    """Summed loss in nats of hidden states (N, W) against labels (N,) under an output matrix (V, W).

    The target distribution is 1 - smoothing on the label plus smoothing spread evenly over the vocabulary. Under CPU
    autocast the products run in bfloat16, everything else in float32.
    """
    loss: Tensor = _ProjectedCrossEntropy.apply(hidden_nw, weight_vw, labels_n, smoothing)
    return loss
