"""Our installed packages: where they lie, and a digest by which two machines know that they have the same code."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

PACKAGES = ("search_spaces", "manual_designs", "nas", "reports")
SHIPPED = (".css", ".csv", ".html", ".js", ".json", ".npz", ".py", ".toml")
"""The suffixes of all that is packaged; an editor's leavings in a checkout are not ours."""


def folders() -> tuple[Path, ...]:
    """The folders of our packages as they are installed here."""
    return tuple(_folder(name) for name in PACKAGES)


@cache
def digest() -> str:
    """SHA-256 over the names and contents of our packages' files, as they were when this was first asked."""
    found = hashlib.sha256()
    for folder in folders():
        for path in sorted(folder.rglob("*")):
            if path.suffix in SHIPPED:
                found.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\0".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return Path(next(iter(spec.submodule_search_locations)))
