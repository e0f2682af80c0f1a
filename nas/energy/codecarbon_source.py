"""CodeCarbon, kept in a process of its own: its detection of the hardware, and its tracker as a check beside our meter.

This is the only module that imports codecarbon, and only in the child (`python -m nas.energy.codecarbon_source`). The
child has no `CODECARBON_*` variable, an empty home and an empty working folder, because a stray setting in any of the
three changes CodeCarbon's result without a word; every parameter is passed explicitly, nothing is written to files and
nothing tries the network. It ends when its standard input closes, so it can't outlive its parent.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nas
from nas.energy.watts import WATTS_PER_THREAD, Hardware, cpu_full_w
from nas.machine import virtualised
from nas.units import microjoules_from_kwh


@dataclass(frozen=True, kw_only=True)
class Sample:
    """CodeCarbon's own cumulative total since its start."""

    energy_uj: int
    duration_s: float


def detect_hardware(timeout_s: float = 120.0) -> Hardware:
    """What CodeCarbon finds in this machine; a few seconds.

    Raises:
        RuntimeError: CodeCarbon did not answer; the text has its last words.
    """
    child = CodeCarbonChild(None)
    try:
        return child.hardware(timeout_s)
    finally:
        child.stop()


class CodeCarbonChild:
    """The child process. With `on_sample` it also runs the tracker and passes on its samples, one a second."""

    def __init__(self, on_sample: Callable[[Sample], None] | None) -> None:
        self._on_sample = on_sample
        self._found = threading.Event()
        self._hardware: Hardware | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="carbon-nas-codecarbon-")
        self._errors = open(Path(self._folder.name, "stderr"), "w+", encoding="utf-8", errors="replace")
        home = Path(self._folder.name, "home")
        home.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nas.energy.codecarbon_source", "detect" if on_sample is None else "track"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=clean_environment(os.environ, home),
            cwd=home,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="codecarbon", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child's process."""
        return self._process.pid

    def hardware(self, timeout_s: float) -> Hardware:
        """What it found.

        Raises:
            RuntimeError: no answer in time, or the child failed.
        """
        if not self._found.wait(timeout_s) or self._hardware is None:
            self._errors.seek(0)
            words = self._errors.read().strip()[-300:]
            raise RuntimeError(f"expected CodeCarbon to describe this machine within {timeout_s:g} s, got: {words!r}")
        return self._hardware

    def stop(self) -> None:
        """End the child, after a last sample if it tracks."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                data = json.loads(line)
            except ValueError:
                continue  # something else printed by a library
            if "cpu_model" in data:
                self._hardware = Hardware(**data)
                self._found.set()
            elif self._on_sample is not None:
                self._on_sample(Sample(**data))
        self._found.set()


def clean_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment for CodeCarbon: nothing that changes its result, telemetry off, our packages importable."""
    hidden = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")  # "" in a Ray worker; the machine's GPUs are meant
    clean = {
        name: value for name, value in environment.items() if not name.lower().startswith("codecarbon_") and name not in hidden
    }
    ours = str(Path(nas.__path__[0]).resolve().parent)
    paths = [ours, *(str(Path(path).resolve()) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path)]
    off = {"CODECARBON_TELEMETRY": "disabled", "CODECARBON_SEND_TELEMETRY": "false"}
    return {**clean, **off, "HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}


def _detect() -> Hardware:
    from codecarbon.core.cpu import TDP
    from codecarbon.core.gpu import AllGPUDevices, is_nvidia_system, is_rocm_system
    from codecarbon.core.util import count_cpus, count_physical_cpus
    from codecarbon.external.ram import RAM

    tdp = TDP()
    ram, threads = RAM(tracking_mode="machine"), count_cpus()
    return Hardware(
        cpu_model=tdp.model,
        tdp_w=tdp.tdp,
        known=tdp.tdp is not None and tdp.tdp != WATTS_PER_THREAD * threads,
        threads=threads,
        sockets=count_physical_cpus(),
        ram_w=ram.total_power().W,
        ram_gb=ram.machine_memory_GB,
        gpus=AllGPUDevices().device_count if is_nvidia_system() or is_rocm_system() else 0,
        version=importlib.metadata.version("codecarbon"),
    )


def _tracker(hardware: Hardware, folder: str) -> Any:
    """CodeCarbon's offline tracker with every parameter set. Only its energy is used, never its grams."""
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.output_methods.base_output import BaseOutput

    class Printer(BaseOutput):
        def live_out(self, total: Any, delta: Any) -> None:
            _print({"energy_uj": microjoules_from_kwh(total.energy_consumed), "duration_s": total.duration})

        def out(self, total: Any, delta: Any) -> None:
            self.live_out(total, delta)

    virtual = virtualised()
    return OfflineEmissionsTracker(
        country_iso_code="FRA",
        region=None,
        cloud_provider=None,
        cloud_region=None,
        country_2letter_iso_code=None,
        force_carbon_intensity_g_co2e_kwh=0.0,
        project_name="carbon-nas",
        experiment_id="carbon-nas",
        experiment_name="carbon-nas",
        tracking_mode="machine",
        measure_power_secs=1,
        api_call_interval=1,
        api_endpoint=None,
        api_key=None,
        emissions_endpoint=None,
        electricitymaps_api_token=None,
        prometheus_url=None,
        output_dir=folder,
        output_file="unused.csv",
        on_csv_write="append",
        output_methods=[],
        output_handlers=[Printer()],
        logging_logger=None,
        log_level="error",
        logger_preamble="",
        gpu_ids=None,
        force_cpu_power=cpu_full_w(hardware, virtual) if virtual else None,  # never a whole socket for a slice
        force_ram_power=hardware.ram_w,
        force_mode_cpu_load=False,
        rapl_include_dram=False,
        rapl_prefer_psys=False,
        pue=1.0,
        wue=0.0,
        allow_multiple_runs=True,  # the energy ledger's lock is ours; CodeCarbon's is left behind by a kill
        metadata=None,
    )


def _print(data: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(data), flush=True)
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


def main(task: str) -> None:
    """The child: describe the hardware, then track until standard input closes."""
    hardware = _detect()
    _print(asdict(hardware))
    if task == "detect":
        return
    tracker = _tracker(hardware, os.getcwd())
    tracker.start()
    sys.stdin.read()
    tracker.stop()


if __name__ == "__main__":
    main(sys.argv[1])
