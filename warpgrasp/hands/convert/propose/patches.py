"""Contact patches of a hand, from its collision geometry and the way its links face."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from warpgrasp.hands.authoring.description import PatchDescription
from warpgrasp.hands.authoring.patch_mesh import patch_mesh
from warpgrasp.hands.contact_sampling import MINIMUM_PER_PATCH, sample_candidates
from warpgrasp.hands.convert.annotation_file import PatchAnnotation, Triple
from warpgrasp.hands.convert.propose.facing import LinkFacing
from warpgrasp.hands.model import ContactPatch, HandModel

__all__ = ["finger_patches", "palm_patch", "patch_surface"]

FloatArray = NDArray[np.float64]

_PAD_ANGLE = 40.0  # deg from the inner direction
_TIP_ANGLE = 60.0
_TIP_LEAN = 0.5  # how far the tip patch's direction leans from the inner side to the end of the finger
_TIP_START = 0.45  # of the last link's length
_SHORTEST_PAD = 0.012  # m; a shorter link (a knuckle) gets no patch
_SMALLEST_AREA = 2e-5  # m^2
_SNAP_ANGLE = 35.0  # deg; the inner direction moves to the faces it finds within this
_INFINITE = math.inf


def finger_patches(hand: HandModel, finger: str, row: list[LinkFacing]) -> list[PatchAnnotation]:
    """Patches of one finger: a pad on every phalanx, and a tip on the last link."""
    patches: list[PatchAnnotation] = []
    for number, facing in enumerate(row):
        if (
            facing.length < _SHORTEST_PAD
            or not np.any(facing.inner)
            or not len(hand.link_shapes(facing.link))
        ):
            continue
        inner = _snapped(hand, facing)
        last = number == len(row) - 1
        link = hand.link_names[facing.link]
        if not last:
            name = f"{finger}_pad_{number}"
            patch = PatchAnnotation(name, link, "middle", _triple(inner), _PAD_ANGLE)
            patches += _usable(hand, patch)
            continue
        axis = int(np.argmax(np.abs(facing.along)))
        lower, upper = _extent(hand, facing.link)
        tip_box, pad_box = _cut(axis, float(np.sign(facing.along[axis])), lower, upper, _TIP_START)
        lean = inner + _TIP_LEAN * facing.along
        lean /= np.linalg.norm(lean)
        tip = PatchAnnotation(f"{finger}_tip", link, "tip", _triple(lean), _TIP_ANGLE, *tip_box)
        pad = PatchAnnotation(f"{finger}_pad_{number}", link, "middle", _triple(inner), _PAD_ANGLE, *pad_box)
        patches += _usable(hand, tip)
        if facing.length * _TIP_START >= _SHORTEST_PAD:
            patches += _usable(hand, pad)
    return patches


def palm_patch(hand: HandModel, palm: int, normal: FloatArray, name: str = "palm") -> list[PatchAnnotation]:
    """The palm's faces that look along ``normal`` (palm link frame)."""
    if not hand.link_shapes(palm):
        return []
    patch = PatchAnnotation(name, hand.link_names[palm], "palm", _triple(normal), _PAD_ANGLE)
    return _usable(hand, patch)


def patch_surface(hand: HandModel, patch: PatchAnnotation, finger: str) -> ContactPatch:
    """The patch cut out of the link's collision surface."""
    link = hand.link_index(patch.link)
    description = PatchDescription(
        patch.name,
        patch.link,
        finger,
        patch.region,
        patch.direction,
        math.radians(patch.angle_deg),
        patch.lower,
        patch.upper,
    )
    mesh = patch_mesh(description, hand.link_shapes(link))
    return ContactPatch(patch.name, link, finger, patch.region, mesh.vertices, mesh.faces)


def _usable(hand: HandModel, patch: PatchAnnotation) -> list[PatchAnnotation]:
    """The patch, unless it is empty, tiny, or buried so that no contact candidates can be placed."""
    try:
        surface = patch_surface(hand, patch, "any")
        if _area(surface) < _SMALLEST_AREA:
            return []
        sample_candidates([surface], [hand.link_shapes(surface.link)], count=MINIMUM_PER_PATCH)
    except ValueError:
        return []
    return [patch]


def _area(patch: ContactPatch) -> float:
    corner = patch.vertices[patch.faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return float(0.5 * np.linalg.norm(cross, axis=1).sum())


def _snapped(hand: HandModel, facing: LinkFacing) -> FloatArray:
    """Mean normal of the outer faces near the inner direction: a flat pad is met exactly, a round one not moved."""
    direction = facing.inner
    for _ in range(3):
        patch = PatchAnnotation(
            "any", hand.link_names[facing.link], "middle", _triple(direction), _SNAP_ANGLE
        )
        try:
            surface = patch_surface(hand, patch, "any")
        except ValueError:
            return direction
        corner = surface.vertices[surface.faces]
        mean = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).sum(axis=0)
        direction = mean / np.linalg.norm(mean)
    return np.asarray(direction) if float(direction @ facing.inner) > 0.7 else facing.inner


def _extent(hand: HandModel, link: int) -> tuple[FloatArray, FloatArray]:
    vertices = np.concatenate([shape.mesh.vertices for shape in hand.link_shapes(link)])
    return vertices.min(axis=0), vertices.max(axis=0)


def _cut(
    axis: int, sign: float, lower: FloatArray, upper: FloatArray, share: float
) -> tuple[tuple[Triple, Triple], tuple[Triple, Triple]]:
    """Boxes beyond and before a plane across the link frame's axis that runs along the finger."""
    low, high = np.full(3, -_INFINITE), np.full(3, _INFINITE)
    size = upper[axis] - lower[axis]
    if sign > 0.0:
        plane = lower[axis] + share * size
        far, near = (_with(low, axis, plane), high), (low, _with(high, axis, plane))
    else:
        plane = upper[axis] - share * size
        far, near = (low, _with(high, axis, plane)), (_with(low, axis, plane), high)
    return (_triple(far[0]), _triple(far[1])), (_triple(near[0]), _triple(near[1]))


def _with(values: FloatArray, axis: int, value: float) -> FloatArray:
    changed = values.copy()
    changed[axis] = value
    return changed


def _triple(vector: FloatArray) -> Triple:
    x, y, z = (float(v) for v in vector)
    return x, y, z
