"""The package: light import, complete wheel, dependency markers, README that runs."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import warpgrasp

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _python(code: str, folder: Path, timeout: float = 300.0) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light(tmp_path: Path) -> None:
    modules = _python("import sys, warpgrasp; print(*sorted(sys.modules))", tmp_path).split()
    heavy = {"warp", "pxr", "numpy", "scipy", "trimesh", "PIL", "rich", "tyro", "mujoco", "newton", "torch"}
    assert heavy.isdisjoint(modules)


def test_every_public_name_resolves_and_is_documented() -> None:
    assert 10 <= len(warpgrasp.__all__) <= 16
    for name in warpgrasp.__all__:
        assert getattr(warpgrasp, name).__doc__, name
        assert name in dir(warpgrasp)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        warpgrasp.no_such_name  # noqa: B018


def test_versions_agree() -> None:
    assert PROJECT["version"] == warpgrasp.__version__
    assert f"## {warpgrasp.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_exactly_one_openusd_package_on_every_platform() -> None:
    requirements = pytest.importorskip("packaging.requirements")
    usd = [requirements.Requirement(text) for text in PROJECT["dependencies"] if text.startswith("usd-")]
    assert {item.name for item in usd} == {"usd-exchange", "usd-core"}
    platforms = [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("linux", "riscv64"),
        ("win32", "AMD64"),
        ("win32", "ARM64"),
    ]
    platforms += [("darwin", "arm64"), ("darwin", "x86_64")]
    for (system, machine), version in itertools.product(platforms, ("3.11", "3.12", "3.13", "3.14")):
        environment = {"sys_platform": system, "platform_machine": machine, "python_version": version}
        chosen = [item.name for item in usd if item.marker.evaluate(environment)]
        has_wheel = (system, machine) in [("linux", "x86_64"), ("linux", "aarch64"), ("win32", "AMD64")]
        assert chosen == ["usd-exchange" if has_wheel and version != "3.14" else "usd-core"]


def test_root_links_show_the_parts() -> None:
    for name in ("kernels", "hands"):
        if not (ROOT / name).is_symlink():
            pytest.skip("this checkout has no symbolic links")
        assert (ROOT / name).resolve() == ROOT / "warpgrasp" / name


def test_wheel_carries_assets_and_licence(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build backend is not installed")
    code = f"import hatchling.build as b; print(b.build_wheel({str(tmp_path)!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / "warpgrasp").rglob("*.py")}
    expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "warpgrasp").rglob("*.usd[ac]")}
    assert expected | {"warpgrasp/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"warpgrasp"}, (
        "the root links are not packaged"
    )


def test_modules_say_what_they_offer() -> None:
    for path in (ROOT / "warpgrasp").rglob("*.py"):
        text = path.read_text()
        assert text.startswith('"""'), path
        assert "__all__" in text or path.name.startswith("__") or "def " not in text, path


def test_python_example_of_the_readme_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    lines = [line for line in code[1].splitlines() if line.strip()]
    assert len(lines) <= 10
    _python(code[1], tmp_path)
    assert (tmp_path / "mug.npz").exists()
    assert (tmp_path / "mug.usda").exists()


def test_readme_commands_are_those_of_the_ci_script() -> None:
    readme, script = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for words in ("-m venv .venv", "-m warpgrasp.generate", "-m pytest"):
        assert words in readme
        assert words in script
