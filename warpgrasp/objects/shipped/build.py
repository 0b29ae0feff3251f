"""Author the shipped examples: ``python -m warpgrasp.objects.shipped.build [DIR]``, needs ``manifold3d`` and ``coacd``.

Each shape is a signed distance function of primitives, meshed by manifold3d's level set and simplified. The mesh is
moved so that the centre of mass of the solid is the origin; z is up. The stage carries what a simulator needs: rigid
body, mass, centre of mass and inertia of the solid at the material's density, convex pieces, friction, colour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from warpgrasp.objects.convex_pieces import convex_pieces
from warpgrasp.objects.geometry import MassProperties, mass_properties
from warpgrasp.objects.model import load_object
from warpgrasp.objects.topology import flip_flat_faces
from warpgrasp.objects.usd_write import ObjectAsset, write_object_asset

__all__ = ["EXAMPLES", "Example", "build", "write_object_usd"]

Floats = NDArray[np.float64]
Point = tuple[float, float, float]


# ------------------------------------------------------------------------------------- signed distances [m], scalars


def _ball(p: Point, center: Point, radii: Point) -> float:
    """Ellipsoid; exact on the surface and first order around it."""
    q = [(x - c) / r for x, c, r in zip(p, center, radii, strict=True)]
    length = float(np.hypot(np.hypot(q[0], q[1]), q[2]))
    gradient = float(np.hypot(np.hypot(q[0] / radii[0], q[1] / radii[1]), q[2] / radii[2]))
    return length * (length - 1.0) / max(gradient, 1.0e-9)


def _can(p: Point, bottom: float, top: float, radius: float, edge: float) -> float:
    """Upright cylinder with rounded edges of radius ``edge``."""
    radial = float(np.hypot(p[0], p[1])) - radius + edge
    axial = abs(p[2] - 0.5 * (bottom + top)) - 0.5 * (top - bottom) + edge
    return min(max(radial, axial), 0.0) + float(np.hypot(max(radial, 0.0), max(axial, 0.0))) - edge


def _ring(p: Point, center: Point, radius: float, stretch: float, tube: float) -> float:
    """Torus about y through ``center``, its circle stretched to a stadium along z, with round tube."""
    x, y = p[0] - center[0], p[1] - center[1]
    z = max(abs(p[2] - center[2]) - stretch, 0.0)
    return float(np.hypot(np.hypot(x, z) - radius, y)) - tube


def _blend(a: float, b: float, width: float) -> float:
    """Smooth union: a fillet of about ``width`` where the surfaces meet."""
    overlap = max(width - abs(a - b), 0.0)
    return min(a, b) - overlap * overlap / (4.0 * width)


def mug(p: Point) -> float:
    """Mug with a 4.5 mm wall and a handle for four fingers."""
    body = _can(p, 0.0, 0.092, 0.038, 0.003)
    handle = _ring(p, (0.038, 0.0, 0.047), 0.022, 0.009, 0.0055)
    cavity = _can(p, 0.0055, 0.14, 0.0335, 0.008)
    return max(_blend(body, handle, 0.006), -cavity)


def bottle(p: Point) -> float:
    """Bottle with shoulder, neck and cap."""
    body = _can(p, 0.0, 0.088, 0.0275, 0.006)
    shoulder = _ball(p, (0.0, 0.0, 0.080), (0.0272, 0.0272, 0.030))
    neck = _can(p, 0.09, 0.125, 0.0105, 0.002)
    cap = _can(p, 0.117, 0.138, 0.0145, 0.0025)
    return _blend(_blend(_blend(body, shoulder, 0.003), neck, 0.010), cap, 0.002)


def duck(p: Point) -> float:
    """Bath duck: body, raised tail, head and beak."""
    body = _ball(p, (0.0, 0.0, 0.030), (0.046, 0.034, 0.030))
    tail = _ball(p, (-0.042, 0.0, 0.044), (0.016, 0.014, 0.012))
    head = _ball(p, (0.024, 0.0, 0.071), (0.024, 0.023, 0.023))
    beak = _ball(p, (0.049, 0.0, 0.068), (0.015, 0.012, 0.0065))
    blob = _blend(_blend(_blend(body, tail, 0.016), head, 0.016), beak, 0.005)
    return max(blob, 0.004 - p[2])


@dataclass(frozen=True)
class Example:
    """One example object.

    Attributes:
        shape: Signed distance [m].
        box: Corners of a box around the shape [m].
        edge: Edge length of the level set's grid [m].
        density: [kg/m^3].
        friction: Static and dynamic friction coefficient.
        color: Linear RGB.
    """

    shape: Callable[[Point], float]
    box: tuple[float, float, float, float, float, float]
    edge: float
    density: float
    friction: float
    color: Point


EXAMPLES = {
    "bottle": Example(
        bottle,
        (-0.032, -0.032, -0.005, 0.032, 0.032, 0.143),
        0.0022,
        950.0,
        0.6,
        (0.10, 0.36, 0.62),
    ),
    "duck": Example(
        duck,
        (-0.065, -0.04, -0.005, 0.07, 0.04, 0.10),
        0.0031,
        600.0,
        0.8,
        (0.93, 0.66, 0.06),
    ),
    "mug": Example(
        mug,
        (-0.043, -0.043, -0.005, 0.073, 0.043, 0.097),
        0.0026,
        2000.0,
        0.5,
        (0.75, 0.20, 0.14),
    ),
}


def mesh_example(example: Example) -> tuple[Floats, NDArray[np.int64], MassProperties]:
    """Mesh of an example with its centre of mass at the origin: vertices [V, 3], faces [F, 3], mass at unit density."""
    import manifold3d

    solid = manifold3d.Manifold.level_set(
        lambda x, y, z: -example.shape((x, y, z)), list(example.box), example.edge, 0.0, 1.0e-5
    )
    result = solid.simplify(2.0e-4).to_mesh64()
    vertices = np.asarray(result.vert_properties, np.float64)[:, :3]
    faces = np.asarray(result.tri_verts, np.int64)
    vertices = vertices - mass_properties(vertices, faces).center_of_mass
    # What the file will hold: float32, rounded to 0.1 um.
    vertices = np.round(vertices, 7).astype(np.float32).astype(np.float64)
    faces, _ = flip_flat_faces(vertices, faces, height=1.0e-6)
    return vertices, faces, mass_properties(vertices, faces)


def write_object_usd(path: Path, name: str, example: Example) -> None:
    """Write one example object as a USD stage with one rigid body."""
    vertices, faces, solid = mesh_example(example)
    asset = ObjectAsset(
        name=name,
        vertices=vertices,
        faces=faces,
        center_of_mass=solid.center_of_mass,
        mass=example.density * solid.volume,
        inertia=example.density * solid.inertia,
        friction=example.friction,
        color=example.color,
        documentation=(example.shape.__doc__ or "").strip(),
    )
    write_object_asset(path, asset, fixed_mesh_name=True)
    pieces = [(piece.vertices, piece.faces) for piece in convex_pieces(load_object(path))]
    write_object_asset(path, replace(asset, pieces=pieces), fixed_mesh_name=True)


def build(directory: Path) -> list[Path]:
    """Write all examples into ``directory``; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / f"{name}.usda" for name in EXAMPLES]
    for (name, example), file in zip(EXAMPLES.items(), files, strict=True):
        write_object_usd(file, name, example)
    return files


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
