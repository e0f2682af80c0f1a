"""Metering works without a network and never asks for one, CodeCarbon in its own process included."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.energy.codecarbon_source import clean_environment
from nas.energy.energy_ledger import read_lines
from nas.energy.meter import Meter

# Imported by every Python that starts with this folder in its path: CodeCarbon's process, and those that it starts.
SITECUSTOMIZE = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        with open(os.environ["ATTEMPTS_FILE"], "a") as file:
            file.write(f"{event} {arguments[-1] if event == 'socket.connect' else arguments[0]}\\n")
        raise OSError("no network in this test")

sys.addaudithook(watch)
with open(os.environ["ATTEMPTS_FILE"] + ".watching", "a") as file:
    file.write(f"{os.getpid()}\\n")
"""
CONNECT = "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 9), 0.1)\nexcept OSError:\n    pass"


@pytest.fixture
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which every process that is started writes down its attempts."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    path = tmp_path / "attempts"
    path.touch()
    monkeypatch.setenv("ATTEMPTS_FILE", str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return path


@pytest.fixture
def own_attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Attempts of this process, all of which fail."""
    made: list[str] = []

    def refuse(name: str) -> Callable[..., None]:
        def refused(*arguments: object, **_: object) -> None:
            made.append(f"{name} {arguments[-1]}")
            raise OSError("no network in this test")

        return refused

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse(name))
    return made


def test_metering_never_tries_the_network(tmp_path: Path, attempts: Path, own_attempts: list[str]) -> None:
    path = tmp_path / "energy.jsonl"
    with Meter(str(path), interval_s=0.2, check_interval_s=0.1):
        while sum(line["kind"] == "codecarbon" for line in read_lines(path)) < 2:
            time.sleep(0.1)
    watching = set(Path(f"{attempts}.watching").read_text().split())
    assert len(watching) >= 2, "the processes that detect and that track were not watched"
    assert attempts.read_text() == "" and own_attempts == []


def test_an_attempt_would_be_seen(tmp_path: Path, attempts: Path, own_attempts: list[str]) -> None:
    environment = clean_environment(os.environ, tmp_path)
    subprocess.run([sys.executable, "-c", CONNECT], env=environment, check=True)
    assert "192.0.2.1" in attempts.read_text()
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("192.0.2.1", 9), 0.1)
    with socket.socket() as one, pytest.raises(OSError, match="no network"):
        one.connect(("192.0.2.1", 9))
    assert len(own_attempts) == 2
