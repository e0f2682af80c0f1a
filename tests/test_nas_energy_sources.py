"""Which source a machine gets, what is said of the others, and the source of a ledger that is continued."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.energy.composite import CompositeSource
from nas.energy.energy_ledger import read_lines
from nas.energy.fake_counters import FakeGpu, FakeNvml, FakePowercap, used
from nas.energy.meter import Meter
from nas.energy.power import LinearSource, Moment, PowerSource
from nas.energy.rapl import RaplSource
from nas.energy.sources import CHOICES, HOST_SOURCES, Places, find_source, goes_with, list_sources, restore_source
from nas.energy.testing import INFO, FakeMachine, FixtureSource
from nas.energy.ticks import NANOSECONDS
from nas.energy.watts import Hardware
from nas.errors import UserError

HARDWARE = Hardware(
    cpu_model="AMD EPYC", tdp_w=8.0, known=False, threads=2, sockets=1, ram_w=20.0, ram_gb=23.54, gpus=1, version="3.3.2"
)
GPU = "GPU-8932f937-d72c-4106"


@pytest.fixture
def places(machine: FakeMachine, tree: FakePowercap) -> Places:
    """A virtual machine that CodeCarbon describes, without counters and GPUs."""
    return Places(
        procfs=str(machine.folder),
        powercap=str(tree.root),
        nvml=FakeNvml(),
        clock=machine,
        wait=machine.work,
        virtual=lambda: True,
        memory_gib=lambda: 23.54,
        hardware=lambda: HARDWARE,
    )


def silent() -> Hardware:
    raise RuntimeError("expected CodeCarbon to describe\nthis machine")


def counters(tree: FakePowercap) -> None:
    tree.zone("intel-rapl:0", "package-0", 1_000_000)
    tree.zone("intel-rapl:0:0", "dram", 500_000)


def test_counters_come_first(places: Places, tree: FakePowercap) -> None:
    counters(tree)
    source = find_source("auto", places)
    assert isinstance(source, RaplSource) and source.info.provenance == "measured"


def test_without_counters_codecarbons_watts_are_taken_and_the_note_says_so(places: Places) -> None:
    source = find_source("auto", places)
    assert isinstance(source, LinearSource) and (source.idle_w, source.full_w) == (pytest.approx(20.8), pytest.approx(28.0))
    assert source.info.name == "codecarbon-linear" and "rapl not used: no package counters" in source.info.note
    assert "1 GPUs present and not metered" in source.info.note


def test_the_load_table_is_the_last_resort_and_never_silent(places: Places) -> None:
    source = find_source("auto", replace(places, hardware=silent))
    assert source.info.name == "load-table" and source.info.provenance == "estimated"
    assert (
        "rapl not used: " in source.info.note and "codecarbon not used: expected CodeCarbon to describe this" in source.info.note
    )


@pytest.mark.parametrize("choice", HOST_SOURCES)
def test_a_source_can_be_chosen(choice: str, places: Places, tree: FakePowercap) -> None:
    counters(tree)
    names = {"rapl": "rapl", "codecarbon": "codecarbon-linear", "load_table": "load-table"}
    source = find_source(choice, places)
    assert source.info.name == names[choice] and "not used" not in source.info.note


def test_an_unknown_source_lists_the_known_ones(places: Places) -> None:
    with pytest.raises(UserError, match="auto, rapl, codecarbon, load_table, got 'fixture'"):
        find_source("fixture", places)


def test_a_source_that_is_not_there_says_why(places: Places) -> None:
    with pytest.raises(UserError, match="got rapl: rapl not used: no package counters at .*; choose another of auto, "):
        find_source("rapl", places)


def test_every_kind_is_listed_with_its_reason(places: Places) -> None:
    found = list_sources(replace(places, hardware=silent))
    assert [one.name for one in found] == ["rapl", "codecarbon", "load_table", "nvml"]
    assert [one.source is not None for one in found] == [False, False, True, False]
    assert all(bool(one.reason) == (one.source is None) for one in found)
    assert set(HOST_SOURCES) < set(CHOICES)


@pytest.mark.parametrize("choice", CHOICES)
def test_gpus_are_added_to_any_host(choice: str, places: Places, tree: FakePowercap) -> None:
    counters(tree)
    gpu = FakeGpu(GPU, energy_mj=5)
    source = find_source(choice, replace(places, nvml=FakeNvml(gpu)))
    assert isinstance(source, CompositeSource) and source.info.name.endswith("+nvml")
    before = source.read_uj(Moment(0, 0))
    gpu.energy_mj = 12
    drawn = source.drawn(before, source.read_uj(Moment(0, 0)), NANOSECONDS)
    assert sum(drawn.uj.values()) == 7_000 and drawn.uj[f"gpu:{GPU}"] == 7_000
    assert "not metered" not in source.info.note
    assert source.info.components[f"gpu:{GPU}"] == "measured" and len(source.info.components) == 3
    gpu.samples = [used(7, 1, 40)]
    assert source.gpu_shares() == {f"gpu:{GPU}": {7: 400_000}} and source.resolve_gpus("0") == (f"gpu:{GPU}",)
    source.close()


def test_the_whole_is_as_well_known_as_its_least_known_part(places: Places, tree: FakePowercap) -> None:
    counters(tree)
    sampled = replace(places, nvml=FakeNvml(FakeGpu(GPU, energy_mj=None, power_mw=5)))
    measured = replace(places, nvml=FakeNvml(FakeGpu(GPU)))
    for choice, where, provenance in (
        ("rapl", measured, "measured"),
        ("rapl", sampled, "sampled"),
        ("codecarbon", measured, "estimated"),
        ("codecarbon", sampled, "estimated"),
    ):
        source = find_source(choice, where)
        assert source.info.provenance == provenance
        assert set(source.info.low) == set(source.info.high) == {"idle", "busy", "gpu"}
        assert source.info.low_factor == min(source.info.low.values())
        source.close()


def test_a_host_and_gpus_must_be_disjoint(places: Places) -> None:
    gpus = list_sources(replace(places, nvml=FakeNvml(FakeGpu(GPU))))[-1].source
    assert gpus is not None
    with pytest.raises(ValueError, match="expected a host without GPUs"):
        CompositeSource(gpus, gpus)
    gpus.close()


@pytest.mark.parametrize("choice", HOST_SOURCES)
@pytest.mark.parametrize("energy_mj", [1, None])
def test_every_source_is_restored_from_its_start_line(
    choice: str, energy_mj: int | None, places: Places, tree: FakePowercap, machine: FakeMachine, tmp_path: Path
) -> None:
    counters(tree)
    places = replace(places, nvml=FakeNvml(FakeGpu(GPU, energy_mj=energy_mj)))
    source = find_source(choice, places)
    start = json.loads(json.dumps(source.parameters()))
    restored = restore_source(start, places)
    assert restored is not None and restored.parameters() == start
    assert restored.idle_w == source.idle_w
    assert restore_source(start, replace(places, nvml=FakeNvml())) is None
    first = machine.meter(tmp_path / "energy.jsonl", source=source)
    first._ledger.close()
    machine.work(1.0)
    tree.draw(p0=5_000)
    again = machine.meter(tmp_path / "energy.jsonl", source=restored)
    assert again.state.meters == 2 and again.state.totals_uj["machine"] > 0
    for one in (source, restored):
        one.close()


def test_what_cannot_be_rebuilt_is_not() -> None:
    fixture = FixtureSource(info=INFO, idle_w=1.0, full_w=2.0, counters_uj={})
    assert restore_source(fixture.parameters()) is None
    assert restore_source({**fixture.parameters(), "model": {"kind": "of tomorrow"}}) is None


def test_a_ledger_of_before_the_kinds_is_restored() -> None:
    source: PowerSource = LinearSource(info=INFO, idle_w=2.0, full_w=3.0, ram_w=1.0, cores=2)
    assert restore_source(source.parameters()) == source


def test_the_real_machine_has_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_source("load_table")
    assert source.idle_w > 0 and source.info.provenance == "estimated"
    source.close()
    monkeypatch.setattr("nas.energy.codecarbon_source.sys.executable", "/bin/false")
    with pytest.raises(
        UserError, match="codecarbon not used: expected CodeCarbon to describe this machine.*another of auto, rapl, load_table$"
    ):
        find_source("codecarbon")


def test_a_ledger_of_another_source_than_the_asked_for_is_not_continued(tmp_path: Path) -> None:
    path = str(tmp_path / "energy.jsonl")
    first = Meter(path, check_interval_s=None, power_source="load_table")
    first._machine._ledger.close()  # killed
    first._ended.set()
    with Meter(path, check_interval_s=None, power_source="load_table"):
        pass
    assert goes_with("auto", first._source) and goes_with("load_table", first._source)
    assert not goes_with("codecarbon", first._source)
    assert [line["gap"] for line in read_lines(path) if line["kind"] == "start"] == ["none", "metered"]
