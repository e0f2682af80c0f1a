"""Data flows one way: who may import what, held by reading the imports of every file."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_spaces", "manual_designs", "nas", "reports")

# What each package may import of the others. Everything else of ours is forbidden.
ALLOWED = {
    "search_spaces": (),
    "manual_designs": ("search_spaces",),
    "nas": ("search_spaces", "manual_designs", "reports"),  # the last two only where the lists below say
    "reports": (
        "nas.records",
        "nas.units",
        "nas.carbon",
        "nas.errors",
        "nas.ledger",
        "nas.metric",
        "nas.objectives",
        "nas.probe_lines",
        "nas.row_groups",
        "nas.sweep",
        "manual_designs.published",
        "manual_designs.published_macs",
        "manual_designs.published_types",
    ),
}
USERS_OF_DESIGNS = {
    "nas/compression.py",  # checks ladders before anything is trained
    "nas/configuration.py",  # refuses unknown names
    "nas/experiment.py",
    "nas/listing.py",  # carbon-nas designs
    "nas/pretrained/llama_file.py",  # the form that a file's numbers describe
    "nas/pretrained/smollm2.py",  # the design that a file has to be
    "nas/search_phase.py",  # a finalist is no hand design
    "nas/search_plan.py",  # first designs of a search
    "nas/single.py",  # carbon-nas evaluate
}
USERS_OF_REPORTS = {"nas/cli_report.py", "nas/cli_strategies.py"}  # inside a function: deleting reports/ leaves the rest working

# Third-party packages that live in few files, by import name.
CONFINED = {
    "ray": {"nas/execution/on_ray.py"},
    "codecarbon": {"nas/energy/codecarbon_source.py"},
    "pynvml": {"nas/energy/nvml.py"},
    "tokenizers": {"nas/tasks/tokenizer.py"},
    "gguf": {"nas/pretrained/gguf_file.py"},
    "sacrebleu": {"nas/scoring.py"},
    "torchmetrics": {"nas/summary_scoring.py"},
    "num2words": {"nas/corpora/number_words.py"},
    "optuna_dashboard": {"nas/cli_export.py"},
    "onnxruntime": {"nas/stages/ternary_library.py"},
    "yaml": {"nas/corpora/ansible.py"},
    "pydantic": {
        "nas/comparing/parts.py",
        "nas/configuration.py",
        "nas/configuration_errors.py",
        "nas/experiment_parts.py",
        "nas/search_parts.py",
        "nas/study_parts.py",
        "nas/stages/words.py",
    },
    "safetensors": {"nas/stages/storage.py"},
    "typer": {
        "nas/cli.py",
        "nas/cli_compress.py",
        "nas/cli_evaluate.py",
        "nas/cli_export.py",
        "nas/cli_options.py",
        "nas/cli_probe.py",
        "nas/cli_report.py",
        "nas/cli_strategies.py",
        "nas/cli_study.py",
    },
    "jinja2": {"reports/page.py"},
}
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "pynvml": "nvidia-ml-py",
    "optuna_dashboard": "optuna-dashboard",
}  # where the name differs from the import's
FOR_DEVELOPERS = ("dev", "torchao", "tune")  # extras that no package of ours imports
FORBIDDEN = {
    "search_spaces": {"ray", "codecarbon", "pandas", "optuna", "matplotlib"},
    "manual_designs": {"ray", "codecarbon", "pandas", "optuna", "matplotlib", "torch", "numpy"},
    "nas": {"pandas", "matplotlib", "jinja2"},
    "reports": {"torch", "optuna", "ray", "codecarbon"},
}
STANDARD_LIBRARY_ONLY = (
    "manual_designs/hat_table.py",
    "manual_designs/published.py",
    "manual_designs/published_costs.py",
    "manual_designs/published_macs.py",
    "manual_designs/published_results.py",
    "manual_designs/published_types.py",
    "nas/carbon.py",
    "nas/errors.py",
    "nas/files.py",
    "nas/ledger.py",
    "nas/machine.py",
    "nas/metric.py",
    "nas/objectives.py",
    "nas/probe_lines.py",
    "nas/record_checks.py",
    "nas/records.py",
    "nas/row_groups.py",
    "nas/recipe.py",
    "nas/sweep.py",
    "nas/units.py",
    "reports/speedup_degradation.py",
    "search_spaces/stage.py",
)
UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}


@dataclass(frozen=True)
class Imported:
    """One name that a file imports, and whether it does so inside a function."""

    file: str
    name: str
    in_function: bool

    @property
    def top(self) -> str:
        """The package that it comes from."""
        return self.name.split(".")[0]


def imports_of(text: str, file: str) -> list[Imported]:
    """Every import of a file, wherever it stands; `from a import b` gives a, and a.b where a is a whole package of ours."""
    found = []

    def visit(node: ast.AST, in_function: bool) -> None:
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            found.extend(Imported(file, one.name, in_function) for one in node.names)
        if isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            names = [f"{origin}.{one.name}" for one in node.names] if origin in PACKAGES else [origin]
            found.extend(Imported(file, name, in_function) for name in names)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(text), False)
    return found


def sources() -> dict[str, str]:
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


SOURCES = sources()
IMPORTS = [one for file, text in SOURCES.items() for one in imports_of(text, file)]
Check = Callable[[Iterable[Imported]], list[Imported]]


def package_of(one: Imported) -> str:
    return one.file.split("/")[0]


def path_of(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def relative(imports: Iterable[Imported]) -> list[Imported]:
    return [one for one in imports if one.name.startswith(".")]


def against_the_flow(imports: Iterable[Imported]) -> list[Imported]:
    """Imports of ours that no package may have."""
    return [
        one
        for one in imports
        if one.top in PACKAGES
        and one.top != package_of(one)
        and not any(one.name == allowed or one.name.startswith(f"{allowed}.") for allowed in ALLOWED[package_of(one)])
    ]


def misplaced_designs(imports: Iterable[Imported]) -> list[Imported]:
    return [
        one for one in imports if package_of(one) == "nas" and one.top == "manual_designs" and one.file not in USERS_OF_DESIGNS
    ]


def misplaced_reports(imports: Iterable[Imported]) -> list[Imported]:
    """Uses of reports by nas that are not inside a function of the command line."""
    used = [one for one in imports if package_of(one) == "nas" and one.top == "reports"]
    return [one for one in used if one.file not in USERS_OF_REPORTS or not one.in_function]


def unconfined(imports: Iterable[Imported]) -> list[Imported]:
    return [one for one in imports if one.file not in CONFINED.get(one.top, {one.file})]


def forbidden(imports: Iterable[Imported]) -> list[Imported]:
    return [one for one in imports if one.top in FORBIDDEN[package_of(one)]]


def not_standard(imports: Iterable[Imported]) -> list[Imported]:
    """Imports of light files that are neither of the standard library nor light themselves."""
    light = [one for one in imports if one.file in STANDARD_LIBRARY_ONLY and one.top not in sys.stdlib_module_names]
    return [one for one in light if path_of(one.name) not in STANDARD_LIBRARY_ONLY]


def unpicklers(imports: Iterable[Imported]) -> list[Imported]:
    return [one for one in imports if one.top in UNPICKLERS]


BROKEN: list[tuple[Check, str, str]] = [
    (relative, "nas/x.py", "from . import records"),
    (relative, "nas/x.py", "from .records import Record"),
    (against_the_flow, "search_spaces/x.py", "from manual_designs.transformer import small"),
    (against_the_flow, "search_spaces/x.py", "import nas.records"),
    (against_the_flow, "manual_designs/x.py", "from nas.units import kwh"),
    (against_the_flow, "manual_designs/x.py", "def f():\n    import reports.page"),
    (against_the_flow, "reports/x.py", "from nas.evaluation import evaluate"),
    (against_the_flow, "reports/x.py", "from nas import evaluation"),
    (against_the_flow, "reports/x.py", "from manual_designs.all_designs import ALL_DESIGNS"),
    (against_the_flow, "reports/x.py", "import nas.recordsets"),
    (misplaced_designs, "nas/evaluation.py", "from manual_designs.all_designs import find_design"),
    (misplaced_reports, "nas/cli_report.py", "from reports.page import write_report"),
    (misplaced_reports, "nas/experiment.py", "def f():\n    from reports.page import write_report"),
    (unconfined, "nas/workplace.py", "def f():\n    import ray"),
    (unconfined, "nas/evaluation.py", "from codecarbon import EmissionsTracker"),
    (unconfined, "reports/load.py", "import ray.util"),
    (forbidden, "reports/page.py", "import torch.nn"),
    (forbidden, "search_spaces/x.py", "try:\n    import pandas as pd\nexcept ImportError:\n    pass"),
    (not_standard, "nas/records.py", "import numpy as np"),
    (unpicklers, "nas/ledger.py", "def f():\n    from pickle import loads"),
]
CHECKS = (
    relative,
    against_the_flow,
    misplaced_designs,
    misplaced_reports,
    unconfined,
    forbidden,
    not_standard,
    unpicklers,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_imports_keep_to_the_layout(check: Check) -> None:
    assert check(IMPORTS) == []


@pytest.mark.parametrize(("check", "file", "text"), BROKEN)
def test_each_check_finds_what_breaks_it(check: Check, file: str, text: str) -> None:
    assert [one.file for one in check(imports_of(text, file))] == [file]


def test_every_check_is_tried() -> None:
    assert {check for check, _, _ in BROKEN} == set(CHECKS)
    assert len(SOURCES) > 80 and len(IMPORTS) > 400


def test_the_lists_name_what_is_there() -> None:
    assert {one.file for one in IMPORTS if package_of(one) == "nas" and one.top == "manual_designs"} == USERS_OF_DESIGNS
    assert {one.file for one in IMPORTS if package_of(one) == "nas" and one.top == "reports"} == USERS_OF_REPORTS
    for package, files in CONFINED.items():
        assert {one.file for one in IMPORTS if one.top == package} == files, package
    assert set(STANDARD_LIBRARY_ONLY) <= set(SOURCES)
    used = {one.name for one in IMPORTS if package_of(one) == "reports" and one.top in ("nas", "manual_designs")}
    assert used == set(ALLOWED["reports"])


def test_what_reports_reads_drags_nothing_heavy_along() -> None:
    assert {path_of(name) for name in ALLOWED["reports"]} <= set(STANDARD_LIBRARY_ONLY)


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for name, given in project["optional-dependencies"].items() if name not in FOR_DEVELOPERS for one in given]
    declared = {re.split(r"[^A-Za-z0-9_.-]", requirement)[0] for requirement in (*project["dependencies"], *extras)}
    foreign = {one.top for one in IMPORTS if one.top not in sys.stdlib_module_names and one.top not in PACKAGES}
    foreign = {DISTRIBUTIONS.get(name, name) for name in foreign}
    assert foreign == declared


def test_package_files_are_empty_and_complete() -> None:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert all((folder / "__init__.py").read_bytes() == b"" for folder in folders)
    assert {ROOT / package for package in PACKAGES} <= folders


def test_tests_shadow_no_package() -> None:
    tests = Path(__file__).parent
    assert not list(tests.rglob("__init__.py"))
    assert not {folder.name for folder in tests.iterdir() if folder.is_dir()} & set(PACKAGES)


def loads_unsafely(text: str) -> bool:
    """Whether a file calls torch.load without weights_only=True or by another name, or unpickles by pandas or numpy."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "torch" and "load" in [one.name for one in node.names]:
            return True
        if isinstance(node, ast.Call):
            keywords = {one.arg: ast.unparse(one.value) for one in node.keywords}
            called = ast.unparse(node.func)
            unsafe = called == "torch.load" and keywords.get("weights_only") != "True"
            if unsafe or called.endswith("read_pickle") or keywords.get("allow_pickle", "False") != "False":
                return True
    return False


@pytest.mark.parametrize(
    ("text", "unsafe"),
    [
        ("import torch\ntorch.load(path)", True),
        ("import torch\ntorch.load(path, weights_only=False)", True),
        ("import torch\ntorch.load(path, weights_only=True)", False),
        ("from torch import load, nn", True),
        ("from nas.execution.executor import load\nload(path)", False),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", True),
        ("import numpy as np\nnp.load(path)", False),
        ("import pandas as pd\npd.read_pickle(path)", True),
    ],
)
def test_unsafe_loading_is_seen(text: str, unsafe: bool) -> None:
    assert loads_unsafely(text) == unsafe


def test_nothing_is_unpickled() -> None:
    assert [file for file, text in SOURCES.items() if loads_unsafely(text)] == []
