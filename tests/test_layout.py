"""The rooms of the package: data runs one way, nothing imports in a circle, kernels stand on the ground.

Imports are read from the sources, those inside functions and under ``TYPE_CHECKING`` too: a class that is only named in an
annotation counts like any other.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import warpgrasp

ROOT = Path(warpgrasp.__file__).parent

# From the ground up: a room may use the rooms below it, and modules of its own.
FLOORS = (
    ("geometry", "base"),
    ("kernels",),
    ("hands", "objects"),
    ("grasps",),
    ("synthesis",),
    ("eval",),
    ("generate", "evaluate", "export", "refine"),
    ("dataset",),
)
# Inside two large rooms.
HAND_FLOORS = (
    (
        "model",
        "contact_sampling",
        "grasp_type",
        "library",
        "finger_colors",
        "device",
        "joint_drives",
        "mujoco_spec",
        "usd",
    ),
    ("authoring", "export", "picture", "shipped"),
    ("convert", "check"),
)
EVAL_FLOORS = (
    ("metrics", "protocol"),
    ("engines",),
    ("results",),
    ("evaluation",),
    ("report",),
    ("isaaclab",),
)
LAZY = {"warpgrasp.hands.library": {"warpgrasp.hands.usd.read"}}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, itself left out."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {other for other in found if other in MODULES and other != name}


GRAPH = {name: imports(name) for name in MODULES}


def floor(room: str, floors: tuple[tuple[str, ...], ...]) -> int:
    """Number of the floor on which a room lies."""
    return next(level for level, rooms in enumerate(floors) if room in rooms)


@pytest.mark.parametrize(
    ("prefix", "floors"),
    [("warpgrasp", FLOORS), ("warpgrasp.hands", HAND_FLOORS), ("warpgrasp.eval", EVAL_FLOORS)],
)
def test_no_room_asks_a_higher_one(prefix: str, floors: tuple[tuple[str, ...], ...]) -> None:
    def room(name: str) -> str | None:
        rest = name.removeprefix(prefix + ".")
        known = rest != name and any(rest.split(".")[0] in rooms for rooms in floors)
        return rest.split(".")[0] if known else None

    upward = [
        f"{name} imports {other}"
        for name, others in GRAPH.items()
        for other in others
        if (below := room(name)) and (above := room(other)) and floor(above, floors) > floor(below, floors)
    ]
    assert not upward


def test_no_imports_in_a_circle() -> None:
    state: dict[str, int] = {}
    circles = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if state.get(name) == 2:
            return
        if name in way:
            circles.append(" -> ".join((*way[way.index(name) :], name)))
            return
        for other in sorted(GRAPH[name] - LAZY.get(name, set())):
            visit(other, (*way, name))
        state[name] = 2

    for name in MODULES:
        visit(name, ())
    assert not circles


def test_every_room_stands_on_a_floor() -> None:
    rooms = {name.split(".")[1] for name in MODULES if name.count(".") >= 1}
    listed = {room for rooms in FLOORS for room in rooms}
    assert rooms - listed == {"torch", "torch_bridge"}  # the documented places of two modules


def test_kernels_know_neither_hands_nor_objects() -> None:
    for name, others in GRAPH.items():
        if name.startswith("warpgrasp.kernels"):
            assert all(other.startswith(("warpgrasp.kernels", "warpgrasp.base")) for other in others), name
