"""What Debian's package tool brings: indices and packages as data, in the cache, as any user and without touching the system.

`apt-get` works on private folders inside the cache and follows the machine's own sources; which suite that gave and the
SHA-256 of what came are part of the corpus. What is in the cache is never fetched again.
"""

import gzip
import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from nas.corpora.fetch import listed, run_client
from nas.errors import UserError

_INDEX = re.compile(r"(.*)_dists_([^_-]+)_main_(?:i18n_|binary-[^_]+_)(Translation-[^_]+|Packages)")
_CACHED = re.compile(r"debian-([^-]+)-main-(.+)\.gz")
_FAILURE = "Debian's data is not cached and could not be fetched"
_ADVICE = "check the network and apt's sources (/etc/apt), or use another corpus"


@dataclass(frozen=True)
class Index:
    """One index of one suite, for example `Translation-en` of bookworm, as plain text."""

    suite: str
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, not of its compressed form."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def are_indices_cached(cache_dir: Path, names: Sequence[str]) -> bool:
    """Whether all of them are in the cache, for one suite."""
    return _cached_suite(cache_dir, names) is not None


def read_indices(cache_dir: Path, names: Sequence[str]) -> list[Index]:
    """The named indices of the main component of one suite (the first in sorted order), fetched where they aren't cached.

    Raises:
        UserError: there is no apt-get, it fails, or its sources lack an index.
    """
    if not are_indices_cached(cache_dir, names):
        with private_apt(cache_dir, languages_of(names)) as apt:
            _keep(apt, cache_dir, names)
    suite = _cached_suite(cache_dir, names)
    if suite is None:
        raise UserError(f"expected {' and '.join(names)} of a Debian suite from apt-get update, got none; {_ADVICE}")
    return [Index(suite, name, gzip.decompress(_path(cache_dir, suite, name).read_bytes()).decode()) for name in names]


def languages_of(names: Sequence[str]) -> str:
    """The languages among the names of indices, as apt wants them: de,en."""
    prefix = "Translation-"
    return ",".join(sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))) or "none"


def are_packages_cached(cache_dir: Path, names: Sequence[str]) -> bool:
    """Whether all of them are in the cache, in one version."""
    return _cached_packages(cache_dir, names) is not None


def fetch_packages(cache_dir: Path, names: Sequence[str]) -> list[Path]:
    """The .deb files of the named packages in one version, downloaded where they aren't cached.

    Raises:
        UserError: there is no apt-get, or it fails.
    """
    if not are_packages_cached(cache_dir, names):
        with private_apt(cache_dir, "none") as apt:
            apt.run("download", *names)
            for path in sorted(apt.folder.glob("*.deb")):
                os.replace(path, cache_dir / path.name)
    paths = _cached_packages(cache_dir, names)
    if paths is None:
        raise UserError(f"expected {' and '.join(names)} in one version from apt-get, got none; {_ADVICE}")
    return paths


def package_files(path: Path, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
    """The UTF-8 files inside a .deb whose whole name matches, with the match, in the order of the package.

    Raises:
        UserError: there is no dpkg-deb, or the file is no package.
    """
    with tempfile.TemporaryFile() as file:
        failure = f"{path} could not be read"
        run_client(["dpkg-deb", "--fsys-tarfile", str(path)], failure, "delete the file and run again", stdout=file)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            for member in archive:
                match = pattern.fullmatch(member.name)
                content = archive.extractfile(member) if match else None
                if match and content is not None:
                    yield match, content.read().decode()


@dataclass(frozen=True)
class PrivateApt:
    """`apt-get` on folders of its own."""

    folder: Path
    languages: str

    @property
    def lists(self) -> Path:
        """Where the indices are."""
        return self.folder / "lists"

    def run(self, *arguments: str) -> None:
        """Runs apt-get with `arguments`; what it downloads comes into the folder."""
        options = {
            "Acquire::Languages": self.languages,
            "Acquire::GzipIndexes": "false",  # plain indices, whatever the system keeps
            "APT::Sandbox::User": "",  # its own user can't write into a user's cache
            "Dir::State::lists": f"{self.lists}/",
            "Dir::Cache": f"{self.folder / 'cache'}/",
        }
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        run_client(["apt-get", "-q", *settings, *arguments], _FAILURE, _ADVICE, self.folder)


@contextmanager
def private_apt(cache_dir: Path, languages: str) -> Iterator[PrivateApt]:
    """apt-get with up-to-date indices in a folder that goes away afterwards."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".apt-") as folder:
            apt = PrivateApt(Path(folder), languages)
            for name in ("lists/partial", "cache/archives/partial"):
                (apt.folder / name).mkdir(parents=True)
            apt.run("update")
            yield apt
    except OSError as error:
        raise UserError(
            f"expected a cache folder that can be written, got {cache_dir}: {error}; set XDG_CACHE_HOME to a folder of yours"
        ) from error


def _keep(apt: PrivateApt, cache_dir: Path, names: Sequence[str]) -> None:
    """The indices go into the cache, compressed without a date, so that equal indices are equal files.

    Only those of archives that have all `names`: a vendor's own archive may have a main component too.
    """
    archives: dict[tuple[str, str], dict[str, Path]] = {}
    for path in sorted(apt.lists.iterdir()):
        if match := _INDEX.fullmatch(path.name):
            archives.setdefault((match[1], match[2]), {})[match[3]] = path
    for (_, suite), found in archives.items():
        if not set(names) <= set(found):
            continue
        for name, path in found.items():
            if not _path(cache_dir, suite, name).is_file():  # what results were made with stays
                packed = apt.folder / "packed"
                packed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=6, mtime=0))
                os.replace(packed, _path(cache_dir, suite, name))


def _path(cache_dir: Path, suite: str, name: str) -> Path:
    return cache_dir / f"debian-{suite}-main-{name}.gz"


def _cached_suite(cache_dir: Path, names: Sequence[str]) -> str | None:
    found = sorted({match[1] for path in listed(cache_dir) if (match := _CACHED.fullmatch(path.name))})
    complete = (suite for suite in found if all(_path(cache_dir, suite, name).is_file() for name in names))
    return next(complete, None)


def _cached_packages(cache_dir: Path, names: Sequence[str]) -> list[Path] | None:
    """The files of the newest version that all of them have, by name."""
    if not names:
        return None
    pattern = f"{names[0]}_*.deb"
    versions = sorted(path.name.removeprefix(f"{names[0]}_") for path in listed(cache_dir) if fnmatch(path.name, pattern))
    for version in reversed(versions):
        paths = [cache_dir / f"{name}_{version}" for name in names]
        if all(path.is_file() for path in paths):
            return paths
    return None
