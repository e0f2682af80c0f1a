"""Packaging: four plain names that are ours alone, and a wheel that holds all of our files and no others."""

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.execution.packages import PACKAGES, SHIPPED

ROOT = Path(__file__).parent.parent
DATA = (
    "reports/template.html",
    "manual_designs/hat.csv",
    "nas/carbon_intensity.csv",
    "nas/experiments/quickstart.toml",
    "nas/experiments/smoke.toml",
    "nas/search/testbeds/nas_bench_201.npz",
)


def ours() -> set[str]:
    """Every file of the four packages that has to be in the wheel."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.suffix in SHIPPED)
    return {file.relative_to(ROOT).as_posix() for file in files}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """A wheel of a copy of the tree with strangers in it. No network: torch requires the setuptools that builds it."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    for stranger in ("nasty_scratch", "tests", "runs", "reports_old"):
        (copy / stranger).mkdir()
        (copy / stranger / "__init__.py").touch()
    build = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(copy)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [path] = copy.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


@pytest.mark.parametrize("package", PACKAGES)
def test_the_name_is_ours_alone(package: str) -> None:
    owners = importlib.metadata.packages_distributions()
    assert set(owners[package]) == {"carbon-nas"}  # a set: an editable install lists it twice


def test_the_command_is_installed() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="carbon-nas")
    assert command.value == "nas.cli:main" and command.dist is not None and command.dist.name == "carbon-nas"


def test_the_wheel_holds_our_files_and_no_others(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == ours()
    assert set(DATA) <= held and len(held) > 90


def test_the_digest_of_our_code_covers_every_kind_of_file_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert {Path(name).suffix for name in wheel.namelist() if ".dist-info/" not in name} == set(SHIPPED)


def test_the_wheel_names_its_packages_command_and_licence(wheel: zipfile.ZipFile) -> None:
    texts = {name.split("/", 1)[1]: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert set(texts["top_level.txt"].split()) == set(PACKAGES)
    assert "carbon-nas = nas.cli:main" in texts["entry_points.txt"]
    assert "\nName: carbon-nas\n" in texts["METADATA"] and "licenses/LICENSE" in texts
