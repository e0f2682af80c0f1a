"""What the page's script adds to: drawn champions that are there without it, and data of models, regions and verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from nas.metric import metric_in
from nas.records import Counts, Record
from nas.units import MICROJOULES_PER_JOULE
from reports.analysis import Analysis
from reports.architecture_drawing import (
    WIDTH,
    StackDrawing,
    box_row,
    draw_architecture,
    groups,
    stack_svg,
)
from reports.basis import Basis
from reports.comparison import Compared
from reports.design_costs import mean_training_uj
from reports.export import plain
from reports.models import SEARCHED, Model, names_in
from reports.op_words import LOOKS
from reports.payback import cell_data, payback_data, settings_data, words_data
from reports.statistics import Interval
from reports.study import Study
from reports.words import plural, seen

SCRIPTS = ("words.js", "payback.js", "tables.js", "drawn.js", "answers.js", "explorer.js")
"""Files that are put into a page, in this order."""

COLUMNS = (
    "name",
    "kind",
    "family",
    "note",
    "architecture",
    "valid",
    "test",
    "test_low",
    "test_high",
    "macs",
    "params",
    "output_j",
    "train_uj",
)
"""What is known of a model, in the order of its row in the data. `output_j` are loaded joules of 1,000 outputs, `train_uj`
loaded microjoules of one training, `architecture` a place in the data's list; null is unknown."""


@dataclass(frozen=True)
class Picture:
    """An architecture drawn into the page."""

    title: str
    stacks: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class Interactive:
    """Pictures that every reader sees, those that a click opens, and the data of what the script adds."""

    pictures: tuple[Picture, ...]
    data: Mapping[str, Any]
    folded: tuple[Picture, ...] = ()


@dataclass
class _Gathering:
    """Models and drawings, each architecture, layer, box and label once."""

    models: list[list[Any]] = field(default_factory=list)
    architectures: dict[str, int] = field(default_factory=dict)
    drawn: list[tuple[StackDrawing, ...]] = field(default_factory=list)

    def place(self, records: Sequence[Record]) -> int | None:
        """Where an architecture stands among those that are drawn; None where no record has one."""
        plain = next((one.architecture for one in records if one.architecture), None)
        if plain is None:
            return None
        key = json.dumps(plain, sort_keys=True, default=str)
        if key not in self.architectures:
            self.architectures[key] = len(self.drawn)
            self.drawn.append(draw_architecture(plain))
        return self.architectures[key]

    def add(self, **known: Any) -> None:
        self.models.append([known.get(name) for name in COLUMNS])

    @property
    def most(self) -> int:
        """The largest work of any box: bars of all drawings are of one scale."""
        return max((layer.most for stacks in self.drawn for stack in stacks for layer in stack.layers), default=0)

    def drawings(self) -> dict[str, Any]:
        """Each once: boxes as rows of numbers, their texts as places in `labels`; layers of places of boxes; stacks of layers."""
        labels: dict[str, int] = {}
        boxes: dict[tuple[int, ...], int] = {}
        layers: dict[Any, int] = {}
        stacks = [
            [
                [
                    one.name,
                    one.width,
                    [[first, count, layers.setdefault(layer, len(layers))] for first, count, layer in groups(one.layers)],
                ]
                for one in drawing
            ]
            for drawing in self.drawn
        ]
        rows = [[layer.height, [boxes.setdefault(box_row(box, labels), len(boxes)) for box in layer.boxes]] for layer in layers]
        return {
            "looks": LOOKS,
            "labels": list(labels),
            "boxes": list(boxes),
            "layers": rows,
            "architectures": stacks,
            "most": self.most,
            "width": WIDTH,
        }


def interactive_search(analysis: Analysis) -> Interactive:
    """Every model and trial of a search, and its verdict to be answered again."""
    gathering = _Gathering()
    champions = [one for one in (analysis.evidence.search, analysis.evidence.hand) if one is not None]
    for model in analysis.evidence.models:
        kind = "champion" if any(model is one for one in champions) else "finalist" if model.searched else "hand"
        _add_model(gathering, model, kind, analysis.findings.score_intervals.get(model.design))
    _add_trials(gathering, analysis)
    return _interactive(gathering, analysis, champions, [payback_data(analysis)])


def interactive_study(study: Study) -> Interactive:
    """Every model and trial of all searches and each one's verdict; champions drawn, those within the tightest limit unfolded."""
    gathering = _Gathering()
    champions = study.champions
    names = {one.design for one in champions}
    for model in study.evidence.models:
        kind = "champion" if model.design in names else "finalist" if model.searched else "hand"
        _add_model(gathering, model, kind, study.findings.score_intervals.get(model.design))
    _add_trials(gathering, study)
    first = [one for one in study.cells if one.key.mac_limit == study.cells[0].key.mac_limit]
    unfolded = {one.design for cell in first for one in cell.analysis.champions}
    shown = [one for one in champions if one.design in unfolded] or list(champions)
    found = _interactive(gathering, study, shown, [cell_data(cell) for cell in study.cells])
    return replace(found, folded=_pictures(gathering, [one for one in champions if one not in shown]))


def interactive_comparison(compared: Compared) -> Interactive:
    """Every design of a comparison."""
    gathering = _Gathering()
    for model in compared.ranked:
        _add_model(gathering, model, "hand", compared.intervals.get(model.design))
    best = [] if compared.best is None else [compared.best]
    return _interactive(gathering, compared, best, [])


def _interactive(gathering: _Gathering, basis: Basis, shown: Sequence[Model], cells: list[dict[str, Any]]) -> Interactive:
    data = {
        "metric": basis.metric.title,
        "places": basis.metric.places,
        "columns": COLUMNS,
        "models": gathering.models,
        **gathering.drawings(),
        "cells": cells,
        "words": words_data(),
        "settings": settings_data(basis.settings),
        "provenance": basis.source.provenance,
    }
    return Interactive(_pictures(gathering, shown), data)


def _pictures(gathering: _Gathering, shown: Sequence[Model]) -> tuple[Picture, ...]:
    places = [(model, gathering.place(model.runs)) for model in shown]
    return tuple(_picture(gathering, model, place) for model, place in places if place is not None)


def _picture(gathering: _Gathering, model: Model, place: int) -> Picture:
    svgs = [seen(stack_svg(one, gathering.most)) for one in gathering.drawn[place]]
    drawn = [(f"{one.name}, width {one.width}", Markup(svg)) for one, svg in zip(gathering.drawn[place], svgs, strict=True)]
    return Picture(f"{model.design}, {'searched' if model.searched else 'by hand'}", tuple(drawn))


def _add_model(gathering: _Gathering, model: Model, kind: str, interval: Interval | None) -> None:
    output_uj = model.mean_output_uj("loaded")
    tested = plural(len(model.test_scores), "seed") + " on test" if model.test_scores else "not scored on the test set"
    gathering.add(
        name=model.design,
        kind=kind,
        family=model.family,
        note=f"full budget, {tested}",
        architecture=gathering.place(model.runs),
        valid=model.valid_score,
        test=model.test_score,
        test_low=interval.low if interval else None,
        test_high=interval.high if interval else None,
        output_j=None if output_uj is None else output_uj * 1000 / MICROJOULES_PER_JOULE,
        train_uj=mean_training_uj(model, "loaded"),
        **_sizes(model.counts),
    )


def _add_trials(gathering: _Gathering, analysis: Analysis) -> None:
    named = names_in(analysis.runs)
    for trial in analysis.trials:
        record, train = trial.record, trial.record.phase("train")
        gathering.add(
            name=named(record.design, SEARCHED, record.run_id),
            kind="trial",
            family=SEARCHED,
            note=trial.outcome.words,
            architecture=gathering.place([record]),
            valid=record.metrics.get(metric_in([record]).valid),
            train_uj=train.loaded_uj if train else None,
            **_sizes(record.counts),
        )


def _sizes(counts: Counts | None) -> dict[str, int]:
    return {} if counts is None else {"macs": counts.macs_paper, "params": counts.params}


def data_block(data: Mapping[str, Any]) -> Markup:
    """The data as JSON that can stand in a script element: nothing in it ends the element or opens a comment."""
    text = json.dumps(plain(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = seen(text)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def page_parts() -> dict[str, Markup]:
    """Style and scripts that a page carries itself."""
    folder = files("reports")
    scripts = (folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    return {"script": Markup("\n".join(scripts)), "style": Markup(folder.joinpath("interactive.css").read_text(encoding="utf-8"))}
