"""The notebook runs from top to bottom, holds no outputs, and says what the report says."""

import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = json.loads((ROOT / "docs" / "report.ipynb").read_text(encoding="utf-8"))


def test_it_stores_no_outputs() -> None:
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5 and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT / "docs")
    matplotlib.use("Agg")
    names: dict[str, Any] = {}
    try:
        for cell in NOTEBOOK["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        assert names["plt"].get_fignums() == [1]
        ended = ["".join(cell["source"]).splitlines()[-1] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
        drawn = [eval(line, names) for line in ended if "_against_" in line]
        assert len(drawn) == 2 and all(one._repr_png_().startswith(b"\x89PNG") for one in drawn)
        assert all(figure.axes[0].has_data() for figure in map(names["plt"].figure, names["plt"].get_fignums()))
    finally:
        names["plt"].close("all")
    assert names["verdict"].headline in capsys.readouterr().out
    assert names["trials"]["cumulative_uj"].iloc[-1] > 0
