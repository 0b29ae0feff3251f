"""The variants of a grasp stage: each poses the hand, sets its joints and draws the contacts of one grasp."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pxr import Gf, Sdf, Vt

from warpgrasp.grasps.gallery import fingers_of_contacts
from warpgrasp.grasps.usd_assets import LinkPrim, asset_prims
from warpgrasp.grasps.usd_columns import vec3f_array
from warpgrasp.grasps.usd_surroundings import FIXED_JOINT, hold_root
from warpgrasp.hands.finger_colors import finger_color

if TYPE_CHECKING:
    from warpgrasp.grasps.grasp_set import GraspSet
    from warpgrasp.hands.model import HandModel

__all__ = ["GraspVariants", "set_pose"]

_TYPES = Sdf.ValueTypeNames
_DOUBLE3, _QUATD, _TOKENS, _FLOAT = _TYPES.Double3, _TYPES.Quatd, _TYPES.TokenArray, _TYPES.Float
_FLOATS, _INTS, _POINTS = _TYPES.FloatArray, _TYPES.IntArray, _TYPES.Point3fArray
_VARYING, _UNIFORM, _OVER = Sdf.VariabilityVarying, Sdf.VariabilityUniform, Sdf.SpecifierOver
_ORDER = ("xformOp:translate", "xformOp:orient", "xformOp:scale")
_ORDERS = {count: Vt.TokenArray(list(_ORDER[:count])) for count in (2, 3)}
_UNIT_SCALE = 1.0e-5  # a scale nearer to 1 is rounding
_FORCE_LENGTH = 0.03  # m, of the line that shows the largest contact force


class GraspVariants:
    """What the variants show of all grasps: computed for all of them at once.

    Args:
        grasps: The grasps, at least one.
        hand: Their hand.
        asset: The hand's file.
        fixed: Whether the stage holds the hand's root by a fixed joint.
    """

    def __init__(self, grasps: GraspSet, hand: HandModel, asset: Path, *, fixed: bool) -> None:
        links, joints = asset_prims(asset)
        self._grasps, self._fixed = grasps, fixed
        positions, quaternions = hand.link_poses(
            grasps.root_position, grasps.root_quaternion, grasps.joint_position
        )
        self._fingers = fingers_of_contacts(grasps.contact_position, positions, quaternions, hand)
        self._shown, self._pressing, self._force_lines = _force_lines(grasps)
        self._positions, self._quaternions = positions.tolist(), quaternions.tolist()
        self._links = [(links[name], _is_identity(links[name])) for name in hand.link_names]
        own = set(hand.joint_names)
        self._joints = []
        grasp, squeeze = (
            hand.expand_joint_positions(values)
            for values in (grasps.joint_position, grasps.squeeze_joint_position)
        )
        paths = [link[0] for link, _ in self._links]
        for name, (path, kind) in joints.items():
            if name in grasp:
                unit = float(np.degrees(1.0)) if kind == "angular" else 1.0
                target = (unit * squeeze[name]).tolist() if name in own else None
                schemas = Sdf.TokenListOp.Create(prependedItems=[f"PhysicsJointStateAPI:{kind}"])
                state, drive = f"state:{kind}:physics:position", f"drive:{kind}:physics:targetPosition"
                self._joints.append((schemas, state, (unit * grasp[name]).tolist(), drive, target))
                paths.append(path)
        self._tree, self._places = _prim_tree(paths + [FIXED_JOINT] * fixed)

    def write_common(self, hand: Sdf.PrimSpec) -> None:
        """Write what is the same in all variants onto ``/World/Hand`` itself: order of operations and schemas of joints."""
        own = self._prims_below(hand)
        for prim, (_, identity) in zip(own, self._links, strict=False):
            if identity:
                _set(prim, "xformOpOrder", _TOKENS, _ORDERS[2], _UNIFORM)
        for prim, (schemas, *_) in zip(own[len(self._links) :], self._joints, strict=False):
            prim.SetInfo("apiSchemas", schemas)

    def _prims_below(self, hand: Sdf.PrimSpec) -> list[Sdf.PrimSpec]:
        """Links, joints that a grasp sets, and the joint that holds the root, below ``hand``; what is missing is made."""
        prims = [hand]
        for parent, name in self._tree:
            prims.append(prims[parent].nameChildren.get(name) or Sdf.PrimSpec(prims[parent], name, _OVER))
        return [prims[place] for place in self._places]

    def write(self, variant: Sdf.PrimSpec, index: int) -> None:
        """Override link poses, joint states and drive targets of ``/World/Hand`` inside one variant, and show contacts."""
        own = self._prims_below(Sdf.PrimSpec(variant, "Hand", _OVER))
        positions, quaternions = self._positions[index], self._quaternions[index]
        for prim, (link, identity), position, (x, y, z, w) in zip(
            own, self._links, positions, quaternions, strict=False
        ):
            rotation = Gf.Quatd(w, x, y, z)
            if identity:  # their order is common
                _set(prim, _ORDER[0], _DOUBLE3, Gf.Vec3d(*position))
                _set(prim, _ORDER[1], _QUATD, rotation)
            else:
                set_pose(prim, *_local_pose(link, Gf.Vec3d(*position), rotation))
        for prim, (_, name, state, drive, target) in zip(own[len(self._links) :], self._joints, strict=False):
            _set(prim, name, _FLOAT, state[index])
            if target is not None:
                _set(prim, drive, _FLOAT, target[index])
        if self._fixed:
            hold_root(own[-1], positions[0], quaternions[0])
        self._show_contacts(variant, index)

    def _show_contacts(self, variant: Sdf.PrimSpec, index: int) -> None:
        """Points and force lines of one grasp; only what is finite can be drawn."""
        shown = self._shown[index]
        if not shown.any():
            return
        colors = _colors([finger for finger, own in zip(self._fingers[index], shown, strict=True) if own])
        ends = self._force_lines[index][shown]
        position = ends[:, 1]
        points = Sdf.PrimSpec(variant, "Contacts", Sdf.SpecifierDef, "Points")
        _set(points, "points", _POINTS, vec3f_array(position))
        _set(points, "widths", _FLOATS, Vt.FloatArray(len(position), 0.006))
        _set_extent(points, position, 0.006)
        _set_colors(points, colors, "vertex")
        if not self._pressing[index]:
            return
        lines = Sdf.PrimSpec(variant, "Forces", Sdf.SpecifierDef, "BasisCurves")
        ends = ends.reshape(-1, 3)
        _set(lines, "type", _TYPES.Token, "linear", _UNIFORM)
        _set(lines, "points", _POINTS, vec3f_array(ends))
        _set(lines, "curveVertexCounts", _INTS, Vt.IntArray(len(position), 2))
        _set(lines, "widths", _FLOATS, Vt.FloatArray(2 * len(position), 0.0015))
        _set_extent(lines, ends, 0.0015)
        _set_colors(lines, colors, "uniform")


def _force_lines(
    grasps: GraspSet,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Which contacts are finite [N, C], whether a grasp presses [N], and lines that end at the contacts [N, C, 2, 3] m.

    A force on the object starts outside it and ends at the contact.
    """
    position, force = grasps.contact_position, grasps.contact_force
    shown = np.asarray(np.isfinite(position).all(axis=2) & np.isfinite(force).all(axis=2))
    force = np.where(shown[..., None], force, np.float32(0.0))
    largest = np.linalg.norm(force, axis=2).max(axis=1, initial=0.0)
    pressing = np.asarray(largest > 0.0)
    scale = np.float32(_FORCE_LENGTH) / np.where(pressing, largest, np.float32(1.0))
    return shown, pressing, np.stack([position - force * scale[:, None, None], position], axis=2)


def _prim_tree(paths: list[str]) -> tuple[list[tuple[int, str]], list[int]]:
    """Prims that hold all of ``paths``, each as (number of its parent, name), 0 being the root; the number of each path."""
    numbers = {"": 0}
    tree = []
    for path in paths:
        parent = ""
        for name in path.split("/"):
            own = f"{parent}/{name}"
            if own not in numbers:
                numbers[own] = len(numbers)
                tree.append((numbers[parent], name))
            parent = own
    return tree, [numbers[f"/{path}"] for path in paths]


def _is_identity(link: LinkPrim) -> bool:
    """Whether the pose of a link in the world is the one to be written below its parent prim."""
    _, group, scale = link
    same = np.allclose(np.array(group), np.eye(4), rtol=0.0, atol=1.0e-12)
    return bool(same and np.allclose(np.array(scale), 1.0, rtol=0.0, atol=_UNIT_SCALE))


def _local_pose(
    link: LinkPrim, position: Gf.Vec3d, rotation: Gf.Quatd
) -> tuple[Gf.Vec3d, Gf.Quatd] | tuple[Gf.Vec3d, Gf.Quatd, Gf.Vec3d]:
    """Pose of a link below its parent prim, with a scale where there is one."""
    _, group, scale = link
    rigid = Gf.Matrix4d(Gf.Rotation(rotation), position)
    local = Gf.Matrix4d().SetScale(scale) * rigid * group.GetInverse()
    own = np.linalg.norm(np.array(local)[:3, :3], axis=1)
    if np.allclose(own, 1.0, rtol=0.0, atol=_UNIT_SCALE):
        return local.ExtractTranslation(), local.ExtractRotationQuat()
    turn = (Gf.Matrix4d().SetScale(_vec3d(1.0 / own)) * local).ExtractRotationQuat()
    return local.ExtractTranslation(), turn, _vec3d(own)


def _vec3d(values: npt.ArrayLike) -> Gf.Vec3d:
    return Gf.Vec3d(*(float(value) for value in np.asarray(values)))


def set_pose(
    prim: Sdf.PrimSpec, position: Gf.Vec3d, rotation: Gf.Quatd, scale: Gf.Vec3d | None = None
) -> None:
    """Write translation [m], rotation and scale of a prim, and their order."""
    _set(prim, _ORDER[0], _DOUBLE3, position)
    _set(prim, _ORDER[1], _QUATD, rotation)
    if scale is not None:
        _set(prim, _ORDER[2], _DOUBLE3, scale)
    _set(prim, "xformOpOrder", _TOKENS, _ORDERS[2 if scale is None else 3], _UNIFORM)


def _set_extent(prim: Sdf.PrimSpec, points: npt.NDArray[np.float32], width: float) -> None:
    """Bounding box [m] of points that are drawn ``width`` wide."""
    box = np.stack([points.min(axis=0) - 0.5 * width, points.max(axis=0) + 0.5 * width])
    _set(prim, "extent", _TYPES.Float3Array, vec3f_array(box))


@functools.cache
def _linear_color(finger: str) -> tuple[float, float, float]:
    red, green, blue = (float((v / 255) ** 2.2) for v in finger_color(finger))
    return red, green, blue


def _colors(fingers: list[str]) -> tuple[Vt.Vec3fArray, Vt.IntArray]:
    """The different colours of fingers, and the number of each finger's."""
    colors = [_linear_color(finger) for finger in fingers]
    numbers = {color: number for number, color in enumerate(dict.fromkeys(colors))}
    return Vt.Vec3fArray([Gf.Vec3f(*color) for color in numbers]), Vt.IntArray([numbers[c] for c in colors])


def _set_colors(prim: Sdf.PrimSpec, colors: tuple[Vt.Vec3fArray, Vt.IntArray], interpolation: str) -> None:
    """One colour for each point or line, every colour written once."""
    color = Sdf.AttributeSpec(prim, "primvars:displayColor", _TYPES.Color3fArray, _VARYING, False)
    color.default = colors[0]
    _set(prim, "primvars:displayColor:indices", _INTS, colors[1])
    color.SetInfo("interpolation", interpolation)


def _set(
    prim: Sdf.PrimSpec,
    name: str,
    kind: Sdf.ValueTypeName,
    value: Any,
    variability: Sdf.Variability = _VARYING,
) -> None:
    Sdf.AttributeSpec(prim, name, kind, variability, False).default = value
