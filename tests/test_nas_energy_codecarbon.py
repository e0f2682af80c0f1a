"""CodeCarbon in its own process: settings lying about have no effect, and its total stands beside ours."""

import threading
from pathlib import Path

import pytest

from nas.energy.codecarbon_source import CodeCarbonChild, Sample, clean_environment, detect_hardware
from nas.energy.watts import linear_source
from nas.machine import virtualised

STRAY = {
    "CODECARBON_FORCE_CPU_POWER": "4000",
    "CODECARBON_FORCE_RAM_POWER": "9000",
    "codecarbon_pue": "3",
    "CODECARBON_TRACKING_MODE": "process",
    "CODECARBON_COUNTRY_ISO_CODE": "XXX",
    "CUDA_VISIBLE_DEVICES": "",
}


def test_the_environment_is_cleaned_and_keeps_the_rest() -> None:
    clean = clean_environment({**STRAY, "PATH": "/bin", "HOME": "/home/user", "PYTHONPATH": "."}, Path("/empty"))
    assert not set(STRAY) & set(clean)
    assert (clean["PATH"], clean["HOME"]) == ("/bin", "/empty")
    assert [name for name in clean if name.lower().startswith("codecarbon")] == [
        "CODECARBON_TELEMETRY",
        "CODECARBON_SEND_TELEMETRY",
    ]
    assert all(Path(path).is_absolute() for path in clean["PYTHONPATH"].split(":"))


def test_stray_settings_change_nothing_and_the_total_is_plausible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STRAY.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".codecarbon.config").write_text("[codecarbon]\nforce_cpu_power = 4000\nforce_ram_power = 9000\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    samples: list[Sample] = []
    enough = threading.Event()

    def on_sample(sample: Sample) -> None:
        samples.append(sample)
        if len(samples) >= 3:
            enough.set()

    child = CodeCarbonChild(on_sample)
    found = child.hardware(60)
    assert enough.wait(60)
    child.stop()
    assert found.ram_w < 100 and found.version and found.threads >= 1
    assert [one.energy_uj for one in samples] == sorted(one.energy_uj for one in samples)
    last = samples[-1]
    model = linear_source(found, found.threads, virtualised())
    power_w = last.energy_uj / 1_000_000 / last.duration_s
    assert 0.8 * found.ram_w < power_w < 1.5 * model.full_w  # each stray setting alone would be outside
    assert not list(tmp_path.glob("*.csv"))


def test_a_child_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.energy.codecarbon_source.sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="expected CodeCarbon to describe this machine"):
        detect_hardware()
