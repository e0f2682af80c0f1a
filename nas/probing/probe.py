"""What is looked at in a trained model, and in a fresh one of the same architecture beside it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nas.probe_lines import Kind, ProbeLine, Weights
from nas.probing.cutting import cut_rows, cut_sentences
from nas.probing.depth import depth
from nas.probing.locality import locality
from nas.probing.noise import form_of, noise, planted
from nas.probing.spectrum import spectrum
from nas.probing.watching import mapped, sentences, shown
from nas.records import Record
from nas.tasks.encoding import EncodedTask
from search_spaces.components import macs_by_part, work_by_length
from search_spaces.design import Design
from search_spaces.model import Model, build

SENTENCES, MAPS, PLANTED, RANKED = 64, 32, 64, 256
BATCH_TOKENS = 2048


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A model to look at: its record, its design, whose weights it has, and the task whose validation data it sees."""

    record: Record
    design: Design
    model: Model
    weights: Weights
    task: EncodedTask

    def key(self, kind: Kind) -> tuple[str, str, str, str]:
        """That of its table of a kind, see `ProbeLine.key`."""
        return self.record.run_id, self.record.record_id, "none" if kind == "macs" else self.weights, kind

    def line(self, kind: Kind, rows: tuple[dict[str, Any], ...], about: Mapping[str, Any]) -> ProbeLine:
        """A table about it."""
        size = sum(one.numel() for one in self.model.parameters())
        parts = macs_by_part(self.design.architecture, self.model.sizes, self.task.counted_tokens, self.task.counted_tokens)
        common = {
            "task": self.record.task,
            "corpus": str(self.record.corpus.get("name", "")),
            "params": size,
            "budget_tokens": self.record.budget_tokens if self.weights == "trained" else 0,
            "convolution": parts["convolution"] > 0,
        }
        return ProbeLine(
            run_id=self.record.run_id,
            record_id=self.record.record_id,
            design=self.record.design,
            family=self.record.family,
            seed=self.record.seed,
            weights="none" if kind == "macs" else self.weights,
            kind=kind,
            about=common | dict(about),
            rows=tuple(map(rounded, rows)),
        )


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with six significant digits: sums differ beyond them between machines."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def control_of(probed: Probed) -> Probed:
    """The same with a fresh model, drawn from the record's seed: what an architecture shows before it has learned anything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(probed.record.seed)
        model = build(probed.design.architecture, probed.model.sizes).eval()
    return Probed(record=probed.record, design=probed.design, model=model, weights="random", task=probed.task)


def count_work(probed: Probed) -> ProbeLine:
    """MACs by part against length."""
    counted = work_by_length(probed.design.architecture, probed.model.sizes)
    rows = tuple({"source_tokens": tokens, "target_tokens": tokens, **parts} for tokens, parts in counted.items())
    return probed.line("macs", rows, {"vocabulary": probed.model.sizes.target_vocabulary})


def look(probed: Probed, there: Collection[Kind] = ()) -> Iterator[ProbeLine]:
    """Every table about a model that can be made and is not there: none of maps where it has no attention by softmax."""
    valid = probed.task.valid
    if mapped(probed.model):
        yield from _maps(probed, there)
    if "depth" not in there:
        few = valid.sample(RANKED)
        yield probed.line("depth", depth(probed.model, few, BATCH_TOKENS), {"sentences": len(few)})


def _maps(probed: Probed, there: Collection[Kind]) -> Iterator[ProbeLine]:
    valid, model = probed.task.valid, probed.model
    if "locality" not in there:
        few = valid.sample(SENTENCES)
        rows = locality(shown(model, sentences(few, range(len(few)))))
        yield probed.line("locality", rows, {"sentences": len(few)})
    tokens, chosen = cut_rows(valid, MAPS)
    if tokens and "spectrum" not in there:
        rows = spectrum(shown(model, cut_sentences(valid, tokens, chosen)))
        yield probed.line("spectrum", rows, {"sentences": len(chosen), "tokens": tokens})
    if "noise" not in there and (form := form_of(model, valid)):
        # Longer than anything that was trained on, a model sees positions that it never learned.
        most = int(probed.task.train.sources.lengths.max(initial=0))
        asked = planted(form, valid, most, PLANTED, model.architecture.decoder is not None)
        if asked:
            yield probed.line("noise", noise(model, asked), {"form": form, "sentences": len(asked) // 2})
