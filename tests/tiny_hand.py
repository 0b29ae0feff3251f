"""A planar gripper and a box, small enough to work out every energy by hand.

The root carries two flat plates, boxes of half extents ``HALF`` centred ``LENGTH`` above their joints. The left one turns by
``+q`` about y through ``(-WIDTH, 0, 0)``, the right one by ``RATIO * q`` (a mimic joint) about y through ``(+WIDTH, 0, 0)``. A
point at ``(a, b, c)`` of the left link is at ``(-WIDTH + a cos q + c sin q, b, c cos q - a sin q)``.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np
import trimesh

from warpgrasp.hands import (
    ContactPatch,
    GeometryType,
    HandModel,
    JointType,
    TriMesh,
    load_hand,
    make_grasp_type,
)
from warpgrasp.objects import ObjectModel, load_object

__all__ = ["HALF", "LENGTH", "RADIUS", "RATIO", "WIDTH", "box_object", "tiny_hand"]

WIDTH = 0.06
LENGTH = 0.08
HALF = (0.005, 0.01, 0.02)
RATIO = -0.5
RADIUS = 0.02
_IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


@lru_cache(maxsize=1)
def tiny_hand() -> HandModel:
    """Root, left plate, right plate; one degree of freedom; one self-collision sphere at each plate's centre."""
    zeros, quaternions = np.zeros((3, 3)), np.tile(_IDENTITY, (3, 1))
    plate = trimesh.creation.box(2.0 * np.array(HALF))
    mesh = TriMesh(
        np.asarray(plate.vertices) + np.array([0.0, 0.0, LENGTH]), np.asarray(plate.faces, dtype=np.int32)
    )
    palm_box = trimesh.creation.box([0.02, 0.02, 0.02])
    palm = TriMesh(
        np.asarray(palm_box.vertices) - np.array([0.0, 0.0, 0.3]), np.asarray(palm_box.faces, dtype=np.int32)
    )
    return dataclasses.replace(
        load_hand("robotiq_2f140"),
        name="tiny",
        path=Path("tiny.usda"),
        asset_hash="00",
        link_names=("palm", "left", "right"),
        link_paths=("/palm", "/left", "/right"),
        link_parent=np.array([-1, 0, 0], dtype=np.int32),
        link_joint_names=("", "left_joint", "right_joint"),
        joint_paths=("", "/left_joint", "/right_joint"),
        joint_names=("left_joint",),
        joint_type=np.array([JointType.FIXED, JointType.REVOLUTE, JointType.REVOLUTE], dtype=np.int32),
        joint_axis=np.tile([0.0, 1.0, 0.0], (3, 1)),
        joint_parent_position=np.array([[0.0, 0.0, 0.0], [-WIDTH, 0.0, 0.0], [WIDTH, 0.0, 0.0]]),
        joint_parent_quaternion=quaternions,
        joint_child_position=zeros,
        joint_child_quaternion=quaternions,
        joint_dof=np.array([-1, 0, 0], dtype=np.int32),
        joint_multiplier=np.array([0.0, 1.0, RATIO]),
        joint_offset=np.zeros(3),
        dof_lower=np.array([-0.5]),
        dof_upper=np.array([0.5]),
        dof_effort=np.array([2.0]),
        dof_velocity=np.array([1.0]),
        dof_stiffness=np.array([10.0]),
        dof_damping=np.array([0.1]),
        dof_armature=np.array([0.0]),
        dof_friction=np.array([0.0]),
        dof_opening=np.array([-0.2]),
        link_mass=np.ones(3),
        link_center_of_mass=zeros,
        link_inertia=np.tile(np.eye(3), (3, 1, 1)),
        geometry_type=np.array([GeometryType.BOX] * 3, dtype=np.int32),
        geometry_link=np.array([0, 1, 2], dtype=np.int32),
        geometry_position=np.array([[0.0, 0.0, -0.3], [0.0, 0.0, LENGTH], [0.0, 0.0, LENGTH]]),
        geometry_quaternion=quaternions,
        geometry_size=np.array([[0.01, 0.01, 0.01], HALF, HALF]),
        geometry_plane_start=np.zeros(3, dtype=np.int32),
        geometry_plane_count=np.zeros(3, dtype=np.int32),
        plane=np.zeros((0, 4)),
        geometry_mesh=(palm, mesh, mesh),
        patches=(_pad("left", 1, mesh, +1.0), _pad("right", 2, mesh, -1.0)),
        sphere_link=np.array([1, 2], dtype=np.int32),
        sphere_position=np.tile([0.0, 0.0, LENGTH], (2, 1)),
        sphere_radius=np.array([RADIUS, RADIUS]),
        grasp_types={
            name: make_grasp_type(name, ("left_pad", "right_pad"), ("left", "right"), {})
            for name in ("power", "pinch")
        },
        wrist_position=np.zeros(3),
        wrist_quaternion=_IDENTITY,
        frames=(),
    )


def _pad(finger: str, link: int, mesh: TriMesh, side: float) -> ContactPatch:
    """The faces of a plate that look to +x (left) or -x (right)."""
    corners = mesh.vertices[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces = mesh.faces[side * normal[:, 0] > 0.5 * np.linalg.norm(normal, axis=1)]
    return ContactPatch(f"{finger}_pad", link, finger, "tip", mesh.vertices, faces)


def box_object(directory: Path, half: tuple[float, float, float], name: str = "box") -> ObjectModel:
    """A box of given half extents around the origin."""
    path = directory / f"{name}.stl"
    trimesh.creation.box(2.0 * np.array(half)).export(path)
    return load_object(path)
