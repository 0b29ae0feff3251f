"""Every kernel of the package compiles for CUDA (sm_90) ahead of time, without a GPU or a driver.

Modules are found by walking the package, so new kernels are covered without being listed. Warp's wheels for Linux and Windows
carry the compiler (NVRTC); where it is missing (macOS), the tests say so.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import warp as wp

import warpgrasp

ARCHITECTURE = 90


ROOT = Path(warpgrasp.__file__).parent


def kernel_modules() -> list[str]:
    """Names of the modules that define kernels, read from their sources: those of ``kernels`` and of the engines."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        if re.search(r"^\s*@wp\.kernel", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            found.append(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    return found


def _source(name: str) -> str:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


def _defined(module: ModuleType) -> int:
    """Kernels in a module's source; factories may make more of them."""
    return len(re.findall(r"^@wp\.kernel", _source(module.__name__), flags=re.MULTILINE))


def compile_module(name: str, folder: Path, *, ptx: bool) -> Path:
    module = importlib.import_module(name)
    assert len(wp.get_module(name).kernels) >= _defined(module) > 0
    (path,) = wp.compile_aot_module(module, device=None, arch=ARCHITECTURE, module_dir=folder, use_ptx=ptx)
    return Path(path)


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    wp.init()
    if not wp._src.context.runtime.core.wp_is_cuda_enabled():
        pytest.skip("this build of Warp carries no CUDA compiler")


def test_kernels_live_in_their_rooms() -> None:
    elsewhere = [name for name in kernel_modules() if not name.startswith("warpgrasp.kernels.")]
    assert elsewhere == ["warpgrasp.eval.engines.newton_kernels"]
    assert len(kernel_modules()) >= 15


@pytest.mark.parametrize("name", kernel_modules())
def test_module_compiles(name: str, tmp_path: Path) -> None:
    """To PTX, and to the machine code (CUBIN) that Warp loads on such a device by default."""
    text = compile_module(name, tmp_path, ptx=True).read_text()
    assert f".target sm_{ARCHITECTURE}" in text
    entries = re.findall(r"^\.visible \.entry (\w+_cuda_kernel_forward)", text, flags=re.MULTILINE)
    assert len(entries) >= _defined(importlib.import_module(name))

    binary = compile_module(name, tmp_path, ptx=False).read_bytes()
    assert binary.startswith(b"\x7fELF")
    assert all(entry.encode() in binary for entry in entries)
