"""Registers, stack and spills of every kernel on one GPU architecture, by ``ptxas -v``. Needs no GPU.

    python benchmarks/ptx_report.py [--arch 90] [--only mala,penetration]

Read it before and after a change to a kernel of the step: spills go through memory, and more than 128 registers leave room
for less than two blocks of 256 threads on an SM.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import warp as wp

import warpgrasp.kernels


def main() -> int:
    """Compile, assemble and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, default=90, help="compute capability, 90 for H100 and H200")
    parser.add_argument("--only", default="", help="comma-separated kernel modules; all by default")
    options = parser.parse_args()
    ptxas = shutil.which("ptxas")
    if ptxas is None:
        print("ptxas is not on the PATH (it comes with the CUDA toolkit): no report")
        return 0
    wp.config.quiet = True
    wanted = set(filter(None, options.only.split(",")))
    rows = []
    for info in pkgutil.walk_packages(warpgrasp.kernels.__path__, "warpgrasp.kernels."):
        short = info.name.rsplit(".", 1)[1]
        module = importlib.import_module(info.name)
        if (wanted and short not in wanted) or not wp.get_module(info.name).kernels:
            continue
        with tempfile.TemporaryDirectory() as folder:
            (path,) = wp.compile_aot_module(
                module, device=None, arch=options.arch, module_dir=folder, use_ptx=True
            )
            rows += [(short, *row) for row in assemble(ptxas, Path(path), options.arch)]
    print(f"{'module':22s} {'kernel':30s} {'pass':9s} {'registers':>9s} {'stack B':>8s} {'spill B':>8s}")
    for module_name, kernel, direction, registers, stack, spill in sorted(rows, key=lambda row: -row[3]):
        print(f"{module_name:22s} {kernel:30s} {direction:9s} {registers:9d} {stack:8d} {spill:8d}")
    print(f"{len(rows)} kernels, {sum(row[5] > 0 for row in rows)} with spills")
    return 0


def assemble(ptxas: str, path: Path, arch: int) -> list[tuple[str, str, int, int, int]]:
    """Kernel, pass, registers, stack bytes and spilled bytes (stores and loads) of one PTX file."""
    text = path.read_text().rstrip("\x00")
    result = _ptxas(ptxas, path, text, arch)
    older = re.search(r"Unsupported \.version \S+ current version is '([\d.]+)'", result.stderr)
    if older:  # a toolkit older than Warp's compiler: the instructions are known, only the label is not
        text = re.sub(r"^\.version \S+", f".version {older.group(1)}", text, flags=re.MULTILINE)
        result = _ptxas(ptxas, path, text, arch)
    if result.returncode != 0:
        sys.exit(f"ptxas refuses {path.name}:\n{result.stderr}")
    pattern = (
        r"Function properties for (\w+?)_[0-9a-f]+_cuda_kernel_(forward|backward)\s+"
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\s+.*?Used (\d+) registers"
    )
    return [
        (kernel, direction, int(registers), int(stack), int(stores) + int(loads))
        for kernel, direction, stack, stores, loads, registers in re.findall(pattern, result.stderr)
    ]


def _ptxas(ptxas: str, path: Path, text: str, arch: int) -> subprocess.CompletedProcess[str]:
    source = path.with_suffix(".relabelled.ptx")
    source.write_text(text)
    command = [ptxas, "-v", f"-arch=sm_{arch}", str(source), "-o", str(path.with_suffix(".cubin"))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
