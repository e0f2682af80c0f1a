"""What a search pays for its supernet and which candidates it retrains, apart from any run."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from nas.configuration import load_experiment
from nas.experiment_parts import Experiment
from nas.records import Phase, Record
from nas.search_phase import SearchPhase
from nas.testing import tiny


def leg(tokens: int, loaded_uj: int | None) -> Record:
    phase = Phase(name="train", duration_s=1.0, cpu_s=1.0, tokens=tokens, energy_uj=loaded_uj, loaded_uj=loaded_uj)
    return Record(
        record_id="search/supernet", run_id="run", role="search", status="complete", design="supernet", family="searched",
        task="t", corpus={}, recipe={}, budget_tokens=900, seed=0, machine={}, versions={}, started_at="", finished_at="",
        phases=(phase,),
    )  # fmt: skip


def phase_of(experiment: Experiment, **methods: Any) -> Any:
    """What the methods of a search phase ask for."""
    shop = SimpleNamespace(experiment=experiment, intensity=SimpleNamespace(g_per_kwh=100.0), run=SimpleNamespace(records="none"))
    return SimpleNamespace(shop=shop, **methods)


def test_a_leg_of_a_supernet_whose_energy_is_not_known_is_charged_like_the_dearest() -> None:
    legs = [leg(100, 5_000), leg(200, None), leg(100, 8_000)]
    paid = SearchPhase._paid(phase_of(load_experiment("smoke"), _uj_per_token=lambda: 1.0), legs)
    assert (paid.tokens, paid.energy_uj) == (400, 5_000 + 200 * 80 + 8_000) and paid.emissions_g_co2e > 0
    unknown = SearchPhase._paid(phase_of(load_experiment("smoke"), _uj_per_token=lambda: 3.0), [leg(200, None)])
    assert (unknown.tokens, unknown.energy_uj) == (200, 600), "by what hand designs took"


def test_finalists_are_designs_of_their_own() -> None:
    small, large = tiny(width=16), tiny(width=32)
    ranked = [replace(design, name=f"searched-{number}") for number, design in ((9, small), (14, small), (3, large))]
    phase = phase_of(load_experiment("smoke", ("search.finalists=2",)), ranked=lambda outcome: ranked, _design=lambda one: one)
    assert [one.name for one in SearchPhase._finalists(phase, None)] == ["searched-9", "searched-3"]  # type: ignore[arg-type]
