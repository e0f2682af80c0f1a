"""The machine and the versions that a record was made with. Standard library only."""

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

DEPENDENCIES = (
    "carbon-nas",
    "codecarbon",
    "matplotlib",
    "numpy",
    "optuna",
    "pandas",
    "pydantic",
    "ray",
    "sacrebleu",
    "tokenizers",
    "torch",
    "torchmetrics",
)

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86, x86, ARM
_VIRTUAL_PRODUCTS = ("KVM", "QEMU", "VirtualBox", "VMware", "Virtual Machine", "HVM domU", "Google Compute Engine")


def describe() -> dict[str, Any]:
    """This machine as plain data. What can't be found out is None, never a guess."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "architecture": platform.machine(),
        "virtual": virtualised(),
        "bf16": supports_bf16(),
        "boot": _hash(_read("/proc/sys/kernel/random/boot_id")),
    }


def versions() -> dict[str, str]:
    """Versions of our main dependencies that are installed, by distribution name."""
    found: dict[str, str] = {}
    for name in DEPENDENCIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str | None:
    """The processor's name as the operating system has it; a hypervisor may hide the real one."""
    return _cpuinfo("model name") or platform.processor() or None


def virtualised() -> bool:
    """Whether this is a virtual machine, as far as processor flags and product names tell."""
    if "hypervisor" in _cpu_flags() or Path("/sys/hypervisor/type").exists():
        return True
    product = (_read("/sys/class/dmi/id/product_name") or "") + (_read("/sys/class/dmi/id/sys_vendor") or "")
    return any(name in product for name in _VIRTUAL_PRODUCTS)


def supports_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware."""
    return not _BF16_FLAGS.isdisjoint(_cpu_flags())


def _cpu_flags() -> frozenset[str]:
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features") or "").split())


def _cpuinfo(key: str) -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _hash(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
