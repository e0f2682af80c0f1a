"""Power sources: the linear model in integers, and CodeCarbon's watts scaled to what the machine is."""

import json

import pytest

from nas.energy.load_table import load_table_source
from nas.energy.power import LinearSource, Moment
from nas.energy.sources import restore_source
from nas.energy.testing import INFO, FixtureSource
from nas.energy.testing import linear_source as fixture_source
from nas.energy.ticks import NANOSECONDS, TICKS_PER_SECOND
from nas.energy.watts import Hardware, cpu_full_w, linear_source


def hardware(
    model: str = "AMD EPYC", tdp_w: float | None = 8.0, known: bool = False, threads: int = 2, sockets: int = 1
) -> Hardware:
    return Hardware(
        cpu_model=model,
        tdp_w=tdp_w,
        known=known,
        threads=threads,
        sockets=sockets,
        ram_w=20.0,
        ram_gb=23.54,
        gpus=0,
        version="3.3.2",
    )


@pytest.mark.parametrize(
    ("found", "virtual", "full_w"),
    [
        (hardware(), True, 8.0),
        (hardware(threads=8, tdp_w=32.0, sockets=8), True, 32.0),  # CodeCarbon itself would say 256
        (hardware("AMD EPYC 7763 64-Core Processor", 280.0, True), True, 280 * 2 / 128),
        (hardware("AMD EPYC 7763 64-Core Processor", 280.0, True, threads=256, sockets=2), False, 560.0),
        (hardware("AMD EPYC 7763 64-Core Processor", 280.0, True, threads=256), True, 280.0),
        (hardware("Some Xeon of a table", 210.0, True), True, 8.0),
        (hardware("Some Xeon of a table", 35.0, True, threads=16, sockets=16), True, 35.0),
        (hardware("Intel Core i7", 65.0, True, threads=8), False, 65.0),
        (hardware("Unknown", None, False, threads=4), False, 16.0),
    ],
)
def test_watts_are_those_of_the_slice(found: Hardware, virtual: bool, full_w: float) -> None:
    assert cpu_full_w(found, virtual) == pytest.approx(full_w)


def test_the_interval_spans_the_other_model_and_the_known_error() -> None:
    source = linear_source(hardware(), cores=2, virtual=True)
    assert (source.idle_w, source.full_w, source.ram_w) == (pytest.approx(20.8), pytest.approx(28.0), 20.0)
    ccf_idle_w = 2 * 0.74 + 0.392 * 23.54
    assert source.info.low_factor == pytest.approx(ccf_idle_w / 20.8, abs=1e-3)
    assert source.info.high_factor == 1.4
    assert source.info.provenance == "estimated"
    assert "virtual machine without counters" in source.info.note
    bare = linear_source(hardware("Intel Core i7", 15.0, True, threads=64), cores=64, virtual=False)
    assert "virtual" not in bare.info.note
    assert bare.info.low_factor <= 1 / 1.4 and bare.info.high_factor > 1.4  # the other model sees far more here


def test_idle_and_busy_watts_have_an_interval_each() -> None:
    info = linear_source(hardware(), cores=2, virtual=True).info
    ccf_idle_w, ccf_busy_w = 2 * 0.74 + 0.392 * 23.54, 2 * (3.5 - 0.74)
    assert info.low == {"idle": pytest.approx(ccf_idle_w / 20.8, abs=1e-3), "busy": pytest.approx(1 / 1.4, abs=1e-3)}
    assert ccf_busy_w / 7.2 > 1 / 1.4  # so the error is the lower of the two
    assert info.high == {"idle": 1.4, "busy": 1.4}
    assert (info.low_factor, info.high_factor) == (min(info.low.values()), 1.4)
    assert dict(info.components) == {"cpu": "estimated", "ram": "estimated"}


def test_the_busy_interval_covers_the_concave_curve_at_half_load() -> None:
    source = linear_source(hardware("Server", 100.0, True, threads=2), cores=2, virtual=False)
    linear_w = (source.full_w - source.idle_w) * 0.5
    concave_w = (0.70 - 0.14) * 100.0
    assert 1.2 < concave_w / linear_w <= source.info.high["busy"]


def test_the_load_table_spans_the_published_models() -> None:
    source = load_table_source(cores=2, memory_gib=23.5)
    assert (source.idle_w, source.full_w) == (pytest.approx(10.7, abs=0.05), pytest.approx(16.2, abs=0.05))
    info = source.info
    assert source.idle_w * info.low["idle"] <= 2 * 0.4 + 0.08 * 23.5 + 0.01  # CodeCarbon's processor, Green-Algorithms' memory
    assert source.idle_w * info.high["idle"] >= 2 * 0.74 + 20 - 0.01  # CodeCarbon's memory
    busy_w = source.full_w - source.idle_w
    assert busy_w * info.low["busy"] <= 2 * 2.76 and busy_w * info.high["busy"] >= 2 * max(3.55, 3.6, 1.12 * 3.5) - 0.01
    assert info.provenance == "estimated" and "Cloud Carbon Footprint" in info.note


def test_the_model_is_linear_in_ticks_and_in_time() -> None:
    source = fixture_source()
    before = source.read_uj(Moment(5 * NANOSECONDS, 1000))
    after = source.read_uj(Moment(7 * NANOSECONDS, 1000 + 2 * 2 * TICKS_PER_SECOND))  # both cores busy
    assert source.drawn(before, after, 2 * NANOSECONDS).uj == {"cpu": 16_000_000, "ram": 40_000_000}
    assert source.idle_uj(5 * NANOSECONDS, 7 * NANOSECONDS) == 41_600_000


def test_pieces_add_up_to_the_whole() -> None:
    source = fixture_source(idle_w=17.3, full_w=31.9, ram_w=3.7)
    moments = [Moment(1_234_567 * step * step, 3 * step) for step in range(50)]
    readings = [source.read_uj(moment) for moment in moments]
    pieces = [sum(source.drawn(a, b, 1).uj.values()) for a, b in zip(readings, readings[1:], strict=False)]
    assert sum(pieces) == sum(source.drawn(readings[0], readings[-1], 1).uj.values())
    idle = [source.idle_uj(a.monotonic_ns, b.monotonic_ns) for a, b in zip(moments, moments[1:], strict=False)]
    assert sum(idle) == source.idle_uj(moments[0].monotonic_ns, moments[-1].monotonic_ns)
    assert sum(pieces) - sum(idle) == source.tick_uj * 3 * 49  # dynamic energy is exactly that of the ticks


def test_a_source_is_restored_from_its_start_line() -> None:
    source = fixture_source(cores=4)
    assert restore_source(json.loads(json.dumps(source.parameters()))) == source
    fixture = FixtureSource(info=INFO, idle_w=1.0, full_w=2.0, counters_uj={})
    assert restore_source(fixture.parameters()) is None


def test_nonsense_watts_are_refused() -> None:
    with pytest.raises(ValueError, match="idle <= full"):
        LinearSource(info=INFO, idle_w=9.0, full_w=8.0, ram_w=1.0, cores=2)


def test_a_new_component_starts_at_nothing() -> None:
    assert fixture_source().drawn({"cpu": 5}, {"cpu": 7, "gpu:1": 900}, 1).uj == {"cpu": 2, "gpu:1": 0}
