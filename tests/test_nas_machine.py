"""The machine's description: plain JSON, honest about what it can't know."""

import json

import pytest

from nas import machine


def test_describe_is_plain_json_with_the_facts_a_record_needs() -> None:
    found = machine.describe()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"cpu", "cores", "memory_bytes", "os", "python", "architecture", "virtual", "bf16", "boot"}
    assert found["cores"] >= 1 and found["python"].count(".") == 2


def test_versions_name_what_is_installed_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DEPENDENCIES", ("pytest", "surely-not-installed"))
    assert machine.versions() == {"pytest": pytest.__version__}


@pytest.mark.parametrize(
    ("text", "virtual", "bf16"),
    [
        ("model name\t: AMD EPYC\nflags\t\t: fpu avx512_bf16 hypervisor\n", True, True),
        ("model name\t: Ryzen\nflags\t\t: fpu avx2\n", False, False),
        ("Features\t: fp asimd bf16\n", False, True),
        ("", False, False),
    ],
)
def test_flags_decide(monkeypatch: pytest.MonkeyPatch, text: str, virtual: bool, bf16: bool) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: text if path == "/proc/cpuinfo" else None)
    assert (machine.virtualised(), machine.supports_bf16()) == (virtual, bf16)


def test_a_virtual_product_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: "KVM" if path.endswith("product_name") else None)
    assert machine.virtualised()
