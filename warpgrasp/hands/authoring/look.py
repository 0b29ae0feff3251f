"""What a hand looks like, made from its description: shells with rounded edges, barrels at the joints, pads.

The look is apart from what collides: nothing here changes a simulation. It follows the collision shapes to the
millimetre, so that a contact that is computed is a contact that is seen.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from warpgrasp.geometry.rotations import quaternion_to_matrix, rpy_to_quaternion
from warpgrasp.geometry.shapes import Shape, TriMesh
from warpgrasp.hands.authoring.description import (
    Finish,
    HandDescription,
    JointDescription,
    LinkDescription,
    Look,
    PatchDescription,
)
from warpgrasp.hands.authoring.patch_mesh import patch_mesh
from warpgrasp.hands.authoring.rounded import SmoothMesh, barrel, cushion, joined, smooth_shape, solid_planes

__all__ = ["finish_of", "link_visuals", "visual_finishes"]

FloatArray = NDArray[np.float64]

_FINISHES = {
    "body": Finish(roughness=0.45),
    "link": Finish(roughness=0.35, metallic=0.8),
    "metal": Finish(roughness=0.35, metallic=0.8),
    "tip": Finish(roughness=0.8),
}
_DIRECTIONS = 24  # around a joint's axis in which the size of its barrel is measured
_APART = 2e-6  # m that parts of a link are inset more and more, so that no two have a vertex in common
_SEAM = 2e-4  # m that a barrel stands out of the sides of its link


def finish_of(hand: HandDescription, material: str) -> Finish:
    """Roughness and metalness of a material of the hand's parts."""
    return _FINISHES.get(material, Finish())


def visual_finishes(hand: HandDescription) -> dict[str, tuple[tuple[float, float, float], Finish]]:
    """Colour (linear RGB) and finish of every material that is seen: those of the parts, of joints and of pads."""
    found = {name: (color, finish_of(hand, name)) for name, color in hand.materials.items()}
    if hand.look is not None:
        found["joint"] = (hand.look.joint_color, Finish(roughness=0.3, metallic=0.9))
        found["pad"] = (hand.look.pad_color, Finish(roughness=0.85))
    return found


def link_visuals(hand: HandDescription, link: LinkDescription) -> dict[str, SmoothMesh]:
    """Meshes of a link in its frame by the name of their material; empty for a hand without a look."""
    look = hand.look
    if look is None:
        return {}
    shapes = [part.shape for part in link.parts]
    groups: dict[str, list[SmoothMesh]] = {}
    for index, part in enumerate(link.parts):
        others = shapes[:index] + shapes[index + 1 :]
        shell = smooth_shape(part.shape, look.edge_radius, others, inset=_APART * (index % 5))
        groups.setdefault(part.material, []).append(shell)
    for joint in hand.joints:
        if joint.child == link.name and not joint.prismatic and look.barrels:
            groups.setdefault("joint", []).extend(_joint_barrel(hand, link, joint))
    for patch in hand.patches:
        if patch.link == link.name:
            groups.setdefault("pad", []).extend(_pad(link, patch, look))
    return {name: joined(meshes) for name, meshes in groups.items() if meshes}


def _pad(link: LinkDescription, patch: PatchDescription, look: Look) -> list[SmoothMesh]:
    """The pad of a contact patch; where the parts themselves are of pad material there is none."""
    if any(part.material == "tip" for part in link.parts) or not look.pads:
        return []
    surface: TriMesh = patch_mesh(patch, [part.shape for part in link.parts])
    for share in (1.0, 0.5, 0.25):  # a narrow patch has a narrower border
        pad = cushion(surface, inset=share * look.pad_inset, height=look.pad_height)
        if pad is not None:
            return [pad]
    return []


def _joint_barrel(hand: HandDescription, link: LinkDescription, joint: JointDescription) -> list[SmoothMesh]:
    """The cylinder about a joint's axis as wide and thick as the links that meet there; none where nothing is."""
    parent = next(other for other in hand.links if other.name == joint.parent)
    turn = quaternion_to_matrix(rpy_to_quaternion(joint.rpy))
    own = np.asarray(joint.child_position, dtype=np.float64)
    axis = np.asarray(joint.axis, dtype=np.float64) / np.linalg.norm(joint.axis)
    near = [part.shape for part in link.parts]
    at_parent = np.asarray(joint.position, dtype=np.float64)
    far = [part.shape for part in parent.parts]
    across = _around(axis)
    reach_own = _exits(near, own, np.vstack([axis, -axis, across]))
    reach_far = _exits(far, at_parent, np.vstack([axis, -axis, across]) @ turn.T)
    sides = np.maximum(reach_own[:2], reach_far[:2])
    around = np.maximum(reach_own[2:], reach_far[2:])
    if sides.min() <= 0.0 or around.min() <= 0.0:
        return []
    radius = min(0.94 * float(around.min()), 0.02)
    half = 0.5 * float(sides.sum()) + _SEAM
    if radius < 0.0015 or half < 0.001 or half > 6.0 * radius:
        return []
    middle = own + 0.5 * float(sides[0] - sides[1]) * axis
    return [barrel(middle, axis, radius, half)]


def _around(axis: FloatArray) -> FloatArray:
    """Unit vectors around an axis, shape [24, 3]."""
    helper = np.eye(3)[int(np.argmin(np.abs(axis)))]
    first = np.cross(axis, helper)
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    angle = 2.0 * math.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    return np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second


def _exits(shapes: list[Shape], point: FloatArray, directions: FloatArray) -> FloatArray:
    """How far one gets from a point along directions inside any one shape [m], shape [D]; 0 outside all of them."""
    found = np.zeros(len(directions))
    for shape in shapes:
        planes = solid_planes(shape) if len(shape.mesh.faces) and shape.type != 0 else _mesh_planes(shape)
        room = planes[:, 3] - planes[:, :3] @ point
        if room.min() < 0.0:
            continue
        speed = directions @ planes[:, :3].T
        ways = np.where(speed > 1e-9, room / np.maximum(speed, 1e-9), np.inf)
        found = np.maximum(found, ways.min(axis=1))
    return found


def _mesh_planes(shape: Shape) -> FloatArray:
    corner = shape.mesh.vertices[shape.mesh.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.column_stack([normal, np.einsum("fi,fi->f", corner[:, 0], normal)])
