"""Ternary weights packed to 2 bits, and run in whole numbers (BitNet b1.58, Ma et al. 2024, arXiv 2402.17764).

Embeddings, norms, biases and head stay in float32. The model that is left holds other latent weights than the trained one, and
the same codes and scales: its outputs are the same to the last bit.
"""

import torch

from nas.stages.storage import Stored
from nas.stages.ternary_library import check_library
from nas.stages.ternary_storage import BASE_3, MOST_WEIGHTS, SCALE_BYTES, Ternary
from nas.stages.work import Reworked, StageWork, Subject
from search_spaces.model import Model
from search_spaces.stage import Pack
from search_spaces.ternary import TernaryLayer

FORMS = {"torch": "ternary", "onnxruntime": "ternary_2_bits"}


class PackWork(StageWork[Pack]):
    """See Pack."""

    stage = Pack

    def check(self, stage: Pack, model: Model) -> None:
        """See StageWork. A library that is not installed is found out here too."""
        layers = ternary_layers(model)
        if not layers:
            raise ValueError(
                "pack: expected a model with ternary linear layers, got one without; train a bitnet design or one with the "
                "ternary linear kind first"
            )
        for name, layer in layers.items():
            if layer.weight.numel() > MOST_WEIGHTS:
                raise ValueError(
                    f"pack: expected at most {MOST_WEIGHTS:,} weights a layer, got {layer.weight.numel():,} in {name}; "
                    "train a narrower model"
                )
        if stage.kernel == "onnxruntime":
            check_library()

    def run(self, stage: Pack, subject: Subject) -> Reworked:
        """See StageWork. How the tensors of a model that are not ternary are kept stays as it was."""
        packed: dict[str, Ternary] = {}
        for name, layer in ternary_layers(subject.model).items():
            packed[f"{name}.weight"] = kept = Ternary.of_weight(layer.weight)
            with torch.no_grad():
                layer.weight.copy_(kept.decode())
        state = subject.model.state_dict()
        before: dict[str, Stored] = {name: one for name, one in subject.stored.items() if name in state}
        trace = tuple(
            {"tensor": name, "weights": one.codes().numel(), "zero_share": _zeros([one])} for name, one in packed.items()
        )
        metrics = _metrics(list(packed.values()))
        return Reworked(model=subject.model, stored={**before, **packed}, form=FORMS[stage.kernel], metrics=metrics, trace=trace)


def ternary_layers(model: Model) -> dict[str, TernaryLayer]:
    """The ternary layers of a model by name."""
    return {name: one for name, one in model.named_modules() if isinstance(one, TernaryLayer)}


def _metrics(packed: list[Ternary]) -> dict[str, float]:
    """Bytes of codes and scales, without what a file's header says of them; bits a weight, also of the densest packing."""
    weights = sum(one.codes().numel() for one in packed)
    num_bytes = sum(one.num_bytes for one in packed)
    densest = sum(one.bytes_rp.shape[0] * BASE_3.row_bytes(one.columns) + SCALE_BYTES for one in packed)
    return {
        "ternary_weights": float(weights),
        "ternary_bytes": float(num_bytes),
        "bits_per_ternary_weight": 8 * num_bytes / weights,
        "base_3_bits_per_ternary_weight": 8 * densest / weights,
        "zero_share": _zeros(packed),
    }


def _zeros(packed: list[Ternary]) -> float:
    """Share of the weights that are zero."""
    codes = torch.cat([one.codes().flatten() for one in packed])
    return 1 - int(codes.count_nonzero()) / codes.numel()
