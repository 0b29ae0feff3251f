"""Objects without end and without anybody's licence: boxes, cylinders, spheres, tori and mugs in random proportions.

Every object is determined by its kind and its number: the same seed gives the same meshes. Lengths are in metres, and what
a hand closes around is between 2.5 and 9 cm wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from warpgrasp.base.atomic_file import write_text

__all__ = ["PRIMITIVE_KINDS", "obj_text", "primitive_mesh", "write_primitives"]

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]

_LOWER, _UPPER = 0.025, 0.09  # m, of what a hand closes around
_LONGEST = 0.20  # m
_SEGMENTS = 32  # around a circle


def _box(random: np.random.Generator) -> Mesh:
    across = random.uniform(_LOWER, _UPPER, 2)
    mesh = trimesh.creation.box(extents=(*across, random.uniform(_LOWER, _LONGEST)))
    return mesh.vertices, mesh.faces


def _cylinder(random: np.random.Generator) -> Mesh:
    radius = 0.5 * random.uniform(_LOWER, _UPPER)
    profile = [(radius, 0.0), (radius, random.uniform(0.5 * _LOWER, _LONGEST))]
    return _turned(profile)


def _sphere(random: np.random.Generator) -> Mesh:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=1.0)
    radii = 0.5 * random.uniform(_LOWER, _UPPER) * random.uniform(0.75, 1.3, 3)
    return np.asarray(mesh.vertices) * radii, mesh.faces


def _torus(random: np.random.Generator) -> Mesh:
    tube = 0.5 * random.uniform(0.012, 0.035)
    ring = random.uniform(1.6 * tube, 0.06) + tube
    mesh = trimesh.creation.torus(
        major_radius=ring, minor_radius=tube, major_sections=_SEGMENTS, minor_sections=16
    )
    return mesh.vertices, mesh.faces


def _mug(random: np.random.Generator) -> Mesh:
    """A cup that was turned, and half of them with a handle."""
    radius, height = 0.5 * random.uniform(0.05, _UPPER), random.uniform(0.05, 0.13)
    wall = random.uniform(0.004, 0.008)
    taper = random.uniform(0.8, 1.0)
    low, inner = radius * taper, radius * taper - wall
    profile = [(low, 0.0), (radius, height), (radius - wall, height), (inner, wall)]
    cup = _turned(profile)
    if random.random() < 0.5:
        return cup
    from manifold3d import Manifold
    from manifold3d import Mesh as ManifoldMesh

    def solid(mesh: Mesh) -> Manifold:
        return Manifold(ManifoldMesh(np.float32(mesh[0]), np.uint32(mesh[1])))

    tube, ring = random.uniform(0.004, 0.007), random.uniform(0.28, 0.4) * height
    handle = trimesh.creation.torus(ring, tube, major_sections=_SEGMENTS, minor_sections=12)
    upright = np.asarray(handle.vertices)[:, [0, 2, 1]] + (0.5 * (low + radius), 0.0, 0.5 * height)
    hollow = _turned([(inner, wall), (radius - wall, height), (radius - wall, height + 2.0 * ring)])
    joined = (solid(cup) + solid((upright, np.asarray(handle.faces)[:, ::-1]))) - solid(hollow)
    mesh = joined.to_mesh()
    return np.asarray(mesh.vert_properties[:, :3], np.float64), np.asarray(mesh.tri_verts, np.int64)


def _turned(profile: Sequence[tuple[float, float]]) -> Mesh:
    """A closed body of revolution about z from (radius, height) pairs; its ends are closed by discs."""
    angle = np.linspace(0.0, 2.0 * np.pi, _SEGMENTS, endpoint=False)
    rings = [
        np.stack([r * np.cos(angle), r * np.sin(angle), np.full(_SEGMENTS, z)], axis=1) for r, z in profile
    ]
    bottom, top = (0.0, 0.0, profile[0][1]), (0.0, 0.0, profile[-1][1])
    vertices = np.concatenate([*rings, [bottom, top]])
    here, there = np.arange(_SEGMENTS), np.roll(np.arange(_SEGMENTS), -1)
    faces = []
    for row in range(len(rings) - 1):
        a, b = row * _SEGMENTS, (row + 1) * _SEGMENTS
        faces += [
            np.stack([a + here, a + there, b + there], axis=1),
            np.stack([a + here, b + there, b + here], axis=1),
        ]
    last = (len(rings) - 1) * _SEGMENTS
    centre = len(vertices) - 2
    faces += [np.stack([there, here, np.full(_SEGMENTS, centre)], axis=1)]
    faces += [np.stack([last + here, last + there, np.full(_SEGMENTS, centre + 1)], axis=1)]
    return vertices, np.concatenate(faces)


PRIMITIVE_KINDS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "box": _box,
    "cylinder": _cylinder,
    "sphere": _sphere,
    "torus": _torus,
    "mug": _mug,
}
"""Kinds of objects by name. Spheres are stretched a little along their axes; half of the mugs have a handle."""


def primitive_mesh(kind: str, number: int, *, seed: int = 0) -> Mesh:
    """One object: vertices [m], shape [V, 3], and faces, shape [F, 3].

    Raises:
        ValueError: Unknown kind.
    """
    if kind not in PRIMITIVE_KINDS:
        raise ValueError(f"kind must be one of {', '.join(PRIMITIVE_KINDS)} (got {kind!r})")
    random = np.random.default_rng([seed, list(PRIMITIVE_KINDS).index(kind), number])
    vertices, faces = PRIMITIVE_KINDS[kind](random)
    vertices = np.asarray(vertices, np.float64)
    return vertices - 0.5 * (vertices.min(axis=0) + vertices.max(axis=0)), np.asarray(faces, np.int64)


def write_primitives(folder: Path, count: int, *, kinds: Sequence[str] = (), seed: int = 0) -> list[Path]:
    """Write ``count`` objects as OBJ files, the kinds in turn; files that are there are left alone.

    Raises:
        ValueError: Unknown kind.
        OutputError: A file cannot be written.
    """
    chosen = tuple(kinds) or tuple(PRIMITIVE_KINDS)
    paths = []
    for number in range(count):
        kind = chosen[number % len(chosen)]
        path = folder / f"{kind}_{seed}_{number // len(chosen):05d}.obj"
        if not path.exists():
            write_text(path, obj_text(*primitive_mesh(kind, number // len(chosen), seed=seed)))
        paths.append(path)
    return paths


def obj_text(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> str:
    """A mesh as the text of an OBJ file, with all digits of its float64 vertices."""
    lines = ["v {!r} {!r} {!r}".format(*row) for row in np.asarray(vertices, np.float64).tolist()]
    lines += ["f {} {} {}".format(*row) for row in (np.asarray(faces) + 1).tolist()]
    return "\n".join(lines) + "\n"
