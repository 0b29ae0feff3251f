"""Pages that are never written by hand: the modules of every room and the ``--help`` of every command.

Written to ``docs/reference/_generated`` before a build; a file that has not changed is left alone.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import warp as wp
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import warpgrasp

_PACKAGE = Path(warpgrasp.__file__).parent
# Title, modules or packages of a page, and what stands there. Packages stand for all modules in them.
_ROOMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "hands": ("Hands", ("hands",), "Hand models, the reader of hand assets, converters and exporters."),
    "objects": ("Objects", ("objects",), "Object models, readers, mending, convex pieces and assets."),
    "grasps": ("Grasps", ("grasps", "export"), "Grasp sets, their files, pictures and exports."),
    "synthesis": (
        "Synthesis",
        ("synthesis",),
        "Problem, energy terms, optimisers, seeds and controller targets.",
    ),
    "eval": (
        "Evaluation",
        ("eval", "refine"),
        "Protocols, engines, metrics, results, the report; refinement by evolution.",
    ),
    "dataset": ("Data sets", ("dataset",), "Plans, work items, workers, views, curation."),
    "isaaclab": ("Isaac Lab", ("eval.isaaclab",), "Environments and what they are made of."),
    "kernels": (
        "Kernels",
        ("kernels",),
        "Warp kernels: kinematics, contacts, energies, the quadratic program, chains.",
    ),
    "foundations": (
        "Foundations",
        ("geometry", "base", "generate"),
        "Rotations, shapes, files, run folders.",
    ),
}
# What is run by maintainers or by another command, without options.
_WITHOUT_HELP = {"eval.isaaclab.make_grasps", "evaluate.hand_trial_process", "generate.worker"}
# Isaac Lab's commands print their help without Isaac Lab: only the registration of their tasks asks for gymnasium.
_HELP = """
import importlib.util, runpy, sys, types
if importlib.util.find_spec("gymnasium") is None:
    sys.modules["gymnasium"] = types.SimpleNamespace(registry={}, register=lambda **_: None)
module, sys.argv[1:] = sys.argv[1], ["--help"]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def _modules(prefix: str) -> Iterator[str]:
    """Modules below ``prefix`` that declare public names, without commands and shipped data."""
    base = _PACKAGE / prefix.replace(".", "/")
    for path in sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]:
        parts = path.relative_to(_PACKAGE).with_suffix("").parts
        if "shipped" in parts or parts[-1] == "__main__":
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if _public_names(path):
            yield name


def _public_names(path: Path) -> list[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _is_reexport(name: str) -> bool:
    """A package whose public names are defined in its modules, where they are described."""
    return (_PACKAGE / name.replace(".", "/")).is_dir()


def _room_page(title: str, prefixes: tuple[str, ...], sentence: str, others: set[str]) -> str:
    lines = [title, "=" * len(title), "", sentence, ""]
    for prefix in prefixes:
        for name in _modules(prefix):
            if any(name == other or name.startswith(other + ".") for other in others - set(prefixes)):
                continue
            full = f"warpgrasp.{name}"
            heading = f"``{name}``"
            lines += [heading, "-" * len(heading), "", f".. automodule:: {full}"]
            if _is_reexport(name):
                lines.append("   :no-members:")
                names = _public_names(_PACKAGE / name.replace(".", "/") / "__init__.py")
                lines += ["", "Imported from here: " + ", ".join(f"``{entry}``" for entry in names) + "."]
            lines.append("")
    return "\n".join(lines)


def _help(module: str) -> str:
    environment = {**os.environ, "COLUMNS": "82", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", _HELP, f"warpgrasp.{module}"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=_PACKAGE.parent,
        check=False,
    )
    if done.returncode != 0 or "usage:" not in done.stdout:
        raise ExtensionError(f"python -m warpgrasp.{module} --help failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _commands() -> list[str]:
    """Modules that users run with ``python -m``: packages with ``__main__``, and modules with a public ``main``."""
    found = {path.parent for path in _PACKAGE.rglob("__main__.py")}
    for path in _PACKAGE.rglob("*.py"):
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and "main" in _public_names(path):
            found.add(path.parent if path.stem == "__main__" else path.with_suffix(""))
    names = {
        ".".join(path.relative_to(_PACKAGE).parts)
        for path in found
        if not {"shipped", "scripts"} & {*path.parts}
    }
    return sorted(names - _WITHOUT_HELP, key=lambda name: (name.startswith("eval."), name))


def _commands_page() -> str:
    title = [
        "Commands",
        "========",
        "",
        "What every command prints for ``--help``, taken when this page was built.",
        "",
    ]
    commands = _commands()
    with ThreadPoolExecutor(max_workers=2) as pool:
        texts = list(pool.map(_help, commands))
    lines = title
    for module, text in zip(commands, texts, strict=True):
        heading = f"``python -m warpgrasp.{module}``"
        lines += [heading, "-" * len(heading), "", ".. code-block:: text", ""]
        lines += [f"   {line}".rstrip() for line in text.splitlines()]
        lines.append("")
    return "\n".join(lines)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _generate(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference" / "_generated"
    own = {name for _, prefixes, _ in _ROOMS.values() for name in prefixes}
    for key, (title, prefixes, sentence) in _ROOMS.items():
        _write(folder / f"{key}.rst", _room_page(title, prefixes, sentence, own))
    _write(folder / "commands.rst", _commands_page())


def _unwrap_kernels() -> None:
    """Show Warp functions and structs as the Python functions and classes they were written as, in this process only."""
    # All are imported first: a kernel needs the structs of others as they are.
    modules = [
        importlib.import_module(f"warpgrasp.{name}") for name in [*_modules("kernels"), "eval.engines.newton"]
    ]
    for module in modules:
        for entry in module.__all__:
            value = getattr(module, entry)
            if isinstance(value, wp.Function):
                setattr(module, entry, value.func)
            elif type(value).__name__ == "Struct":
                setattr(module, entry, value.cls)


def _formulas_as_written(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Indented formulas of a module's docstring become literal blocks."""
    if what != "module":
        return
    result: list[str] = []
    margin, inside = 0, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip():
            if inside and indent < margin + 3:
                inside = False
            if not inside and indent >= 3 and result and not result[-1].strip():
                before = next((entry for entry in reversed(result) if entry.strip()), "")
                if not before.rstrip().endswith("::"):
                    item = before.lstrip().startswith("- ") or before.startswith("  ")
                    margin = 2 if item else 0
                    result += [f"{' ' * margin}::", ""]
                inside = True
        result.append(line)
    lines[:] = result


_ATTRIBUTES: dict[str, list[str]] = {}


def _keep_attribute(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Remember the docstring of an attribute: napoleon would take what stands before its first colon for a type."""
    if what == "attribute":
        _ATTRIBUTES[name] = list(lines)


def _restore_attribute(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    if what == "attribute":
        lines[:] = _ATTRIBUTES.pop(name, lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before sources are read."""
    app.connect("builder-inited", _generate)
    app.connect("builder-inited", lambda app: _unwrap_kernels())
    app.connect("autodoc-process-docstring", _formulas_as_written)
    app.connect("autodoc-process-docstring", _keep_attribute, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", _restore_attribute, priority=600)
    return {"version": "1", "parallel_read_safe": False}
