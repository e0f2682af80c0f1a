"""RAPL counters: what is counted, how a counter is followed, and the idle baseline."""

import json
import os
from pathlib import Path

import pytest

from nas.energy.fake_counters import RANGE_UJ, FakePowercap
from nas.energy.power import Moment, PowerSource, Unavailable
from nas.energy.rapl import RaplSource, between, find_rapl, restore_rapl
from nas.energy.rapl_zones import Zone, find_zones
from nas.energy.testing import FakeMachine
from nas.energy.ticks import NANOSECONDS, Procfs

NOW = Moment(0, 0)


@pytest.fixture
def tree(tmp_path: Path) -> FakePowercap:
    return FakePowercap(tmp_path / "powercap")


def zone(range_uj: int = RANGE_UJ, power_w: float = 100.0) -> Zone:
    return Zone(component="cpu:package-0", folder="intel-rapl:0", range_uj=range_uj, power_w=power_w)


def components(tree: FakePowercap) -> list[str]:
    return [one.component for one in find_zones(str(tree.root), wait=lambda _: None)]


def found(machine: FakeMachine, tree: FakePowercap, busy: int, virtual: bool = False, **drawn_uj: int) -> RaplSource:
    """The source of a machine that draws this much and is busy for so many ticks a second while it is calibrated."""

    def wait(seconds: float) -> None:
        machine.work(seconds, foreign=busy)
        tree.draw(**drawn_uj)

    return find_rapl(Procfs(str(machine.folder)), machine, 16.0, virtual, str(tree.root), wait)


def later(source: PowerSource, tree: FakePowercap, seconds: float, **drawn_uj: int) -> dict[str, int]:
    before = source.read_uj(NOW)
    tree.draw(**drawn_uj)
    duration_ns = round(seconds * NANOSECONDS)
    return dict(source.drawn(before, source.read_uj(Moment(duration_ns, 0)), duration_ns).uj)


def test_packages_and_their_memories_are_components(tree: FakePowercap) -> None:
    for package in (0, 1):
        tree.zone(f"intel-rapl:{package}", f"package-{package}", 1000 + package)
        tree.zone(f"intel-rapl:{package}:0", "core", 5)
        tree.zone(f"intel-rapl:{package}:1", "dram", 7 + package)
    assert components(tree) == ["cpu:package-0", "cpu:package-1", "ram:dram-0", "ram:dram-1"]


def test_dies_with_counters_of_their_own_are_summed(tree: FakePowercap) -> None:
    for number in range(11):
        tree.zone(f"intel-rapl:{number}", f"package-0-die-{number}", 1000 + number)
    assert len(components(tree)) == 11


def test_a_machine_without_counters_says_so(tree: FakePowercap) -> None:
    with pytest.raises(Unavailable, match="no package counters at"):
        components(tree)
    tree.zone("intel-rapl:0", "psys", 1)
    with pytest.raises(Unavailable, match="no package counters at"):
        components(tree)


def test_counters_for_root_only_say_what_to_do(tree: FakePowercap, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.zone("intel-rapl:0", "package-0", 1)
    whole = Path.read_text

    def denied(path: Path, *rest: object) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_text", denied)  # permissions themselves don't stop root
    with pytest.raises(Unavailable, match=r"only root may read .* sudo chmod a\+r"):
        components(tree)


def test_a_damaged_counter_says_where(tree: FakePowercap) -> None:
    tree.zone("intel-rapl:0", "package-0", 1)
    (tree.root / "intel-rapl:0" / "energy_uj").write_text("?\n")
    with pytest.raises(Unavailable, match="can't be read"):
        components(tree)


def test_a_counter_is_followed() -> None:
    assert between(zone(), 1_000, 51_001_000, NANOSECONDS) == (51_000_000, "")
    assert between(zone(), 1_000, 1_000, NANOSECONDS) == (0, "")


def test_a_wrap_is_followed_where_the_power_is_possible() -> None:
    assert between(zone(), RANGE_UJ - 30_000_000, 20_000_000, NANOSECONDS) == (50_000_000, "")
    assert between(zone(), RANGE_UJ - 1000, 1000, 1_000_000) == (2000, "")
    assert between(zone(), RANGE_UJ - 1000, 1000, 1000) == (2000, "")  # at once, since a counter lags


def test_a_decrease_that_is_no_wrap_is_a_reset() -> None:
    assert between(zone(), 9_000_000_000, 5, NANOSECONDS) == (0, "backwards")  # would be 253 kW
    assert between(zone(range_uj=100), 9_000, 5, NANOSECONDS) == (0, "backwards")


def test_what_may_have_wrapped_twice_is_lost() -> None:
    wraps_ns = RANGE_UJ * 1000 // 200  # at 200 W, twice what is named
    assert between(zone(), 0, 40_000_000, wraps_ns // 2) == (40_000_000, "")
    assert between(zone(), 0, 40_000_000, wraps_ns + NANOSECONDS) == (40_000_000, "lost")
    assert between(zone(), 0, RANGE_UJ // 2, wraps_ns + NANOSECONDS) == (RANGE_UJ // 2, "")  # not that much again


@pytest.mark.parametrize(("power_w", "limit_w"), [(0.0, 1000.0), (65.0, 130.0), (4095.0, 1000.0)])
def test_the_limit_is_what_the_driver_names_below_a_ceiling(power_w: float, limit_w: float) -> None:
    assert zone(power_w=power_w).limit_w == limit_w


def test_a_zone_that_cannot_be_read_for_a_while_is_lost_twice(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500)
    source = found(machine, tree, 0, p0=10_000_000)
    first = source.read_uj(NOW)
    file = tree.root / "intel-rapl:0" / "energy_uj"
    text = file.read_text()
    file.unlink()
    silent = source.read_uj(NOW)
    file.write_text(text)
    again = source.read_uj(NOW)
    for before, after in ((first, silent), (silent, again)):
        drawn = source.drawn(before, after, NANOSECONDS)
        assert (drawn.uj["cpu:package-0"], drawn.lost) == (0, ("cpu:package-0",))
    assert source.drawn(first, again, NANOSECONDS).lost == ()


def test_a_quiet_machine_is_calibrated(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500, power_w=95.0)
    tree.zone("intel-rapl:0:0", "dram", 600)
    source = found(machine, tree, busy=4, p0=11_000_000, p0_0=2_000_000)  # 4 of 200 ticks
    assert (source.idle_w, source.full_w) == (13.0, pytest.approx(95 + 0.392 * 16))
    assert source.info.provenance == "measured" and "quiet window of 1 s (2.0% busy)" in source.info.note
    assert dict(source.info.components) == {"cpu:package-0": "measured", "ram:dram-0": "measured"}
    assert (source.info.low_factor, source.info.high_factor) == (1.0, 1.4)
    assert source.idle_uj(0, NANOSECONDS) == 13_000_000


def test_a_busy_machine_takes_the_models_idle_power_and_says_so(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500)
    tree.zone("intel-rapl:0:0", "dram", 600)
    busy = found(machine, tree, busy=150, p0=60_000_000, p0_0=5_000_000)
    assert busy.idle_w == pytest.approx(2 * 0.74 + 0.392 * 16, abs=1e-3)
    assert "the machine was not quiet" in busy.info.note
    assert found(machine, tree, busy=150, p0=3_000_000).idle_w == 3.0  # it can't idle at more than it draws busy


def test_memory_without_a_counter_is_modelled_and_makes_the_whole_estimated(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500)
    source = found(machine, tree, busy=0, p0=10_000_000)
    ram_w = 0.392 * 16
    assert source.info.provenance == "estimated" and "memory has no counter: 6.3 W" in source.info.note
    assert dict(source.info.components) == {"cpu:package-0": "measured", "ram": "estimated"}
    assert source.idle_w == pytest.approx(10 + ram_w, abs=1e-3)
    assert later(source, tree, 2.0, p0=50_000_000) == {"ram": round(ram_w * 1e6) * 2, "cpu:package-0": 50_000_000}
    assert source.idle_w * source.info.low["idle"] == pytest.approx(10 + 0.08 * 16, abs=0.02)
    assert source.info.low["busy"] == 1.0


def test_a_virtual_machine_with_counters_is_told_apart(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500)
    assert "passed through by its host" in found(machine, tree, 0, virtual=True, p0=1).info.note


def test_a_source_goes_on_with_its_baseline_while_its_zones_are_there(tree: FakePowercap, machine: FakeMachine) -> None:
    tree.zone("intel-rapl:0", "package-0", 500)
    source = found(machine, tree, busy=0, p0=10_000_000)
    start = json.loads(json.dumps(source.parameters()))
    restored = restore_rapl(start)
    assert restored == source and restored is not None and restored.parameters() == start
    (tree.root / "intel-rapl:0" / "max_energy_range_uj").write_text("65712999613\n")
    assert restore_rapl(start) is None  # another processor
    os.remove(tree.root / "intel-rapl:0" / "energy_uj")
    assert restore_rapl(start) is None


def test_a_restarted_meter_continues_the_counters(tree: FakePowercap, machine: FakeMachine, tmp_path: Path) -> None:
    tree.zone("intel-rapl:0", "package-0", RANGE_UJ - 20_000_000)
    tree.zone("intel-rapl:0:0", "dram", 600)
    source = found(machine, tree, busy=0, p0=10_000_000)
    ledger = tmp_path / "energy.jsonl"
    first = machine.meter(ledger, source=source)
    machine.work(1.0, foreign=10)
    tree.set("intel-rapl:0", 20_000_000)  # 30 J, around the end
    assert first.tick()["machine_uj"] == 30_000_000
    first._ledger.close()
    restored = restore_rapl(json.loads(json.dumps(source.parameters())))
    machine.work(10.0, foreign=10)
    tree.draw(p0=300_000_000, p0_0=40_000_000)
    second = machine.meter(ledger, source=restored)
    assert second.state.totals_uj["machine"] == 370_000_000
