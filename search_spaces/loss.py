"""Vocabulary projection and label-smoothed cross-entropy as one step, without keeping logits for the backward pass."""

from typing import Any

import torch
from torch import Tensor


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Forward makes the gradients too: they need the same softmax, and a second pass over the logits costs as much."""

    @staticmethod
    def forward(ctx: Any, hidden_nw: Tensor, weight_vw: Tensor, labels_n: Tensor, smoothing: float, dtype: torch.dtype) -> Tensor:
        loss, probabilities = _loss(hidden_nw, weight_vw, labels_n, smoothing, dtype)
        even = smoothing / weight_vw.shape[0]
        probabilities.scatter_add_(1, labels_n[:, None], probabilities.new_full((len(labels_n), 1), smoothing - 1))
        gradient = probabilities.to(dtype)
        hidden_gradient = (gradient @ weight_vw.to(dtype)).to(hidden_nw.dtype) - even * weight_vw.sum(0)
        weight_gradient = (gradient.T @ hidden_nw.to(dtype)).to(weight_vw.dtype) - even * hidden_nw.sum(0)
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        (scale,) = gradients
        hidden, weight = ctx.saved_tensors
        return hidden * scale, weight * scale, None, None, None


def _loss(hidden_nw: Tensor, weight_vw: Tensor, labels_n: Tensor, smoothing: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The summed loss, and the probabilities (N, V), with products in `dtype`."""
    logits = hidden_nw.to(dtype) @ weight_vw.to(dtype).T
    probabilities = logits.softmax(1, dtype=torch.promote_types(dtype, torch.float32))
    # log(sum(exp(x))) = max(x) - log(max(softmax(x))), and a largest probability never underflows.
    normaliser = logits.amax(1).to(probabilities.dtype) - probabilities.amax(1).log()
    chosen = logits.gather(1, labels_n[:, None]).squeeze(1).to(probabilities.dtype)
    loss = normaliser - (1 - smoothing) * chosen
    if smoothing:
        # The smoothed part of the target is the same for every entry, so it needs no pass over the logits.
        loss = loss - smoothing * (hidden_nw @ weight_vw.mean(0))
    return loss.sum(), probabilities


def projected_cross_entropy(hidden_nw: Tensor, weight_vw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
    """Summed loss in nats of hidden states (N, W) against labels (N,) under an output matrix (V, W).

    The target distribution is 1 - smoothing on the label plus smoothing spread evenly over the vocabulary. Under CPU
    autocast the products run in bfloat16, everything else in float32.
    """
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else hidden_nw.dtype
    with torch.autocast("cpu", enabled=False):
        if torch.is_grad_enabled():
            loss: Tensor = _ProjectedCrossEntropy.apply(hidden_nw, weight_vw, labels_n, smoothing, dtype)
            return loss
        # Scoring must not pay for gradients: its energy is what inference is said to cost.
        return _loss(hidden_nw, weight_vw, labels_n, smoothing, dtype)[0]
