"""Boxes, balls and bodies of revolution as triangles, about the origin."""

from __future__ import annotations

from typing import Any

import numpy as np

from warpgrasp.objects.raw_mesh import Part

__all__ = ["box", "capsule", "cone", "cylinder", "sphere"]

CIRCLE_SECTIONS = 64
"""Sides of a tessellated circle; the flat sides lie at most 0.12 % of the radius inside it."""
SPHERE_SUBDIVISIONS = 4
"""Of an icosahedron: 5120 faces."""


def box(extents: Any) -> Part:
    """A box of the given sides, shape [3]."""
    import trimesh

    return _part(trimesh.creation.box(extents=np.asarray(extents, np.float64)))


def sphere(radius: float) -> Part:
    """A ball."""
    import trimesh

    return _part(trimesh.creation.icosphere(subdivisions=SPHERE_SUBDIVISIONS, radius=radius))


def cylinder(radius: float, height: float) -> Part:
    """A cylinder about the z axis."""
    import trimesh

    return _part(trimesh.creation.cylinder(radius=radius, height=height, sections=CIRCLE_SECTIONS))


def capsule(radius: float, height: float) -> Part:
    """A cylinder about the z axis with a half ball at either end; ``height`` is that of the cylinder."""
    import trimesh

    count = [CIRCLE_SECTIONS, CIRCLE_SECTIONS]
    return _part(trimesh.creation.capsule(radius=radius, height=height, count=count))


def cone(radius: float, height: float) -> Part:
    """A cone about the z axis, its tip at half its height."""
    import trimesh

    vertices, faces = _part(trimesh.creation.cone(radius=radius, height=height, sections=CIRCLE_SECTIONS))
    vertices[:, 2] -= 0.5 * height  # trimesh stands a cone on the origin
    return vertices, faces


def _part(shape: Any) -> Part:
    return np.array(shape.vertices, np.float64), np.array(shape.faces, np.int64)
